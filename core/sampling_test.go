package core

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
)

// What one place leaves open, another fills in; what is not known counts as open.
func TestSamplingOr(t *testing.T) {
	own := Sampling{"ddim", 10, 2.5, 0, 0.25, Size{128, 128}, ""}
	for _, c := range []struct{ s, want Sampling }{
		{Sampling{}, own},
		{Sampling{NumSteps: 4, Eta: math.NaN()}, Sampling{"ddim", 4, 2.5, 0, 0.25, Size{128, 128}, ""}},
		{Sampling{"euler", 1, 1, 0, 1, Size{8, 16}, ""}, Sampling{"euler", 1, 1, 0, 1, Size{8, 16}, ""}},
	} {
		if got := c.s.Or(own); got != c.want {
			t.Errorf("%+v: %+v, want %+v", c.s, got, c.want)
		}
	}
}

// The same ranges hold wherever an image is asked for, under the names of that place.
func TestSamplingCheck(t *testing.T) {
	flag := func(key string) string { return "--" + key }
	good := Default().Sample
	if err := good.Check(flag); err != nil {
		t.Error(err)
	}
	bad := Sampling{"zebra", 1000, 51, 0, -1, Size{100, 128}, ""}
	err := bad.Check(flag)
	for _, want := range []string{"--num_steps: 1000, want 1 to 999", "--guidance_scale: 51, want 0 to 50", "--eta: -1, want 0 to 1", "--size: 100x128, want multiples of 8"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

// A request's JSON is flat, and leaves out what the run decides.
func TestDrawingJSON(t *testing.T) {
	text, err := json.Marshal(Drawing{Prompt: "a cat", Seed: 7, Sampling: Sampling{NumSteps: 4, Size: Size{512, 768}, Preview: "taesd"}})
	if want := `{"prompt":"a cat","seed":7,"num_steps":4,"size":"512x768"}`; err != nil || string(text) != want {
		t.Errorf("%s, %v, want %s", text, err, want)
	}
	var d Drawing
	if err := json.Unmarshal([]byte(`{"prompt":"x","size":"10"}`), &d); err == nil {
		t.Errorf("size 10 is read as %v", d.Size)
	}
}
