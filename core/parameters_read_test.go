package core

import (
	"bytes"
	"image"
	"reflect"
	"strings"
	"testing"
)

func TestParseParameters(t *testing.T) {
	for _, p := range []Parameters{
		{Drawing: Drawing{Prompt: "a chef", Seed: 7, Sampling: Sampling{NumSteps: 10, GuidanceScale: 2.5, Size: Size{128, 128}}}, Sampler: "DDIM"},
		{
			Drawing: Drawing{Prompt: "a chef, Steps: 3, of stone", Negative: "blood: red", Seed: 1 << 63, Sampling: Sampling{NumSteps: 4, GuidanceScale: 1, Eta: 0.5, Size: Size{64, 32}}},
			LoRA:    []LoRAUse{{"fix", 0.8}, {"b", -1}}, Sampler: "DPM++ 2M Karras", Model: `odd: "name", 2`, Version: "focusnfix v1",
		},
	} {
		got, err := ParseParameters(p.String())
		if err != nil || !reflect.DeepEqual(got, p) {
			t.Errorf("%q is read as %+v, %v", p.String(), got, err)
		}
	}
	for text, want := range map[string]string{
		"a chef": "no line", "\nSteps: 3": "no prompt", "a\nSteps: x": "no number", "a <lora:b:c>\nSteps: 3": "strength", "a\nSteps: 3, Seed: -1": "no number",
	} {
		if p, err := ParseParameters(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %+v, %v, want %s", text, p, err, want)
		}
	}
}

func TestReadPNGText(t *testing.T) {
	for _, text := range []string{"a chef\nSteps: 3", "größer", "日本 <lora:x:1>"} {
		var b bytes.Buffer
		if err := WritePNG(&b, image.NewGray(image.Rect(0, 0, 3, 3)), PNGText{"other", "x"}, PNGText{ParametersKey, text}); err != nil {
			t.Fatal(err)
		}
		if got, ok := ReadPNGText(b.Bytes(), ParametersKey); !ok || got != text {
			t.Errorf("got %q, %v, want %q", got, ok, text)
		}
		if got, ok := ReadPNGText(b.Bytes(), "nothing"); ok {
			t.Errorf("got %q", got)
		}
	}
}

// FuzzReadPNGText: no file and no text makes the readers fail otherwise than by an error.
func FuzzReadPNGText(f *testing.F) {
	var b bytes.Buffer
	if err := WritePNG(&b, image.NewGray(image.Rect(0, 0, 3, 3)), PNGText{ParametersKey, "a\nSteps: 3, Seed: 4"}); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Add([]byte("\x89PNG\r\n\x1a\n\xff\xff\xff\xfftEXtparameters\x00x"))
	f.Add([]byte("\x89PNG\r\n\x1a\n\x00\x00\x00\x0fiTXtparameters\x00\x00\x00"))
	f.Fuzz(func(_ *testing.T, data []byte) {
		if text, ok := ReadPNGText(data, ParametersKey); ok {
			_, _ = ParseParameters(text)
		}
		_, _ = ParseParameters(string(data))
	})
}
