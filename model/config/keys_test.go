package config_test

import (
	"math"
	"strings"
	"testing"

	"focusnfix/model/config"
)

type sizes struct {
	Side   int      `json:"side"`
	Scale  float64  `json:"scale"`
	Name   string   `json:"name"`
	On     bool     `json:"on"`
	Off    bool     `json:"off"`
	Widths []int64  `json:"widths"`
	Low    *float64 `json:"low"`
}

var keys = config.Keys{
	Plain:      map[string][]any{"act": {"silu", "swish"}, "extra": {}, "mask": {false}},
	Irrelevant: map[string]string{"dropout": "in training only"},
}

func TestParse(t *testing.T) {
	low := math.Inf(-1)
	for text, want := range map[string]sizes{
		`{}`:                          {Side: 7, On: true},
		`{"side":[8,8],"scale":1e-2}`: {Side: 8, Scale: 0.01, On: true},
		`{"side":null,"name":"a\"NaN","on":null}`:                                    {Side: 7, Name: `a"NaN`},
		`{"low":-Infinity,"widths":[1, 2]}`:                                          {Side: 7, Low: &low, Widths: []int64{1, 2}, On: true},
		`{"act":"swish","mask":[false,false],"extra":null,"dropout":0.1,"_note":[]}`: {Side: 7, On: true},
		` { "scale" : Infinity } `:                                                   {Side: 7, Scale: math.Inf(1), On: true},
	} {
		got := sizes{Side: 7, On: true}
		if err := config.Parse("f.json", []byte(text), &got, keys); err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if (got.Low == nil) != (want.Low == nil) || got.Low != nil && *got.Low != *want.Low {
			t.Errorf("%s: low %v, want %v", text, got.Low, want.Low)
		}
		got.Low, want.Low = nil, nil
		if len(got.Widths) != len(want.Widths) || got.Side != want.Side || got.Scale != want.Scale || got.Name != want.Name || got.On != want.On {
			t.Errorf("%s: %+v, want %+v", text, got, want)
		}
	}
}

// A file of another class is refused in one line: its other keys are not ours to judge.
func TestParseOfAnotherClass(t *testing.T) {
	named := config.Keys{Plain: map[string][]any{"_class_name": {"Ours"}}}
	err := config.Parse("f.json", []byte(`{"_class_name":"Theirs","beta":1,"side":"x"}`), &sizes{}, named)
	if err == nil || err.Error() != `f.json: _class_name: "Theirs" is not supported, want "Ours"` {
		t.Errorf("%v", err)
	}
}

func TestParseRefuses(t *testing.T) {
	for text, want := range map[string]string{
		`{`:                             "f.json: not JSON: the file is cut off",
		"{\n\n\"a\": x}":                "f.json: not JSON: line 3",
		`[1]`:                           "f.json: [1], want an object",
		`{} x`:                          "f.json: not JSON: something follows the last brace",
		`{"side":1.5}`:                  "f.json: side: 1.5, want a whole number",
		`{"side":[8,9]}`:                "f.json: side: [8, 9], want one whole number",
		`{"scale":NaN}`:                 "f.json: scale: NaN, want a number",
		`{"on":1}`:                      "f.json: on: 1, want a true or false",
		`{"widths":3}`:                  "f.json: widths: 3, want a list",
		`{"widths":[1,"a"]}`:            `f.json: widths: number 2 of the list: "a", want a whole number`,
		`{"act":"gelu"}`:                `f.json: act: "gelu" is not supported, want "silu" or "swish"`,
		`{"mask":[false,true]}`:         "f.json: mask: [false, true] is not supported, want false",
		`{"tomorrow":{"a":1},"side":1}`: "f.json: tomorrow: unknown key",
	} {
		err := config.Parse("f.json", []byte(text), &sizes{}, keys)
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}

// However much is wrong, an error is one line that fits on a screen, and speaks of JSON, not of Go.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{`{"side":[1,[2]],"low":-Infinity}`, `{"a":1,"b":2,"c":"\u0000NaN"}`, `{"widths":[[[]]]}`, `{"on":{"x":NaN}}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		err := config.Parse("f", text, &sizes{}, keys)
		if err == nil {
			return
		}
		line := err.Error()
		if len(line) > 300 || strings.Contains(line, "json:") || strings.Contains(line, "unmarshal") || strings.Contains(line, "\n") {
			t.Errorf("%d bytes: %s", len(line), line)
		}
	})
}
