package feed

import (
	"math"
	"slices"
	"testing"

	"focusnfix/core"
)

func TestGallery(t *testing.T) {
	g := NewGallery()
	known := core.Picture{
		Index: 1, Seed: 9, Prompt: "a chef", Path: "images/step-000010/001-9.png", Reference: "reference/ab",
		Aspects: []core.AspectScore{{Aspect: "violence"}, {Aspect: "artifacts"}},
	}
	g.Add(map[int][]core.Picture{10: {known}})
	g.Add(map[int][]core.Picture{ // what lies in the folder
		5:  {{Index: 2, Seed: 1, Path: "images/step-000005/002-1.png"}, {Index: 1, Seed: math.MaxUint64, Path: "x"}},
		10: {{Index: 1, Seed: 9, Path: "images/step-000010/001-9.png"}},
	})
	if !slices.Equal(g.Steps, []int{5, 10}) || !slices.Equal(g.Samples, []Sample{{1, 9}, {1, math.MaxUint64}, {2, 1}}) {
		t.Errorf("steps %v, pairs %v", g.Steps, g.Samples)
	}
	if !slices.Equal(g.Aspects(), []string{"violence", "artifacts"}) || g.Texts[1] != "a chef" {
		t.Errorf("aspects %v, texts %v: what the folder has hides what the event said", g.Aspects(), g.Texts)
	}
	f := g.Files(Place{10, Sample{1, 9}}, "violence")
	want := Files{"reference/ab/base.png", known.Path, "reference/ab/heat-violence.png", "images/step-000010/001-9.heat-violence.png", "reference/ab/mask.png"}
	if f != want {
		t.Errorf("files %+v, want %+v", f, want)
	}
	// The image has no reference at a step that no event tells of, but its pair has.
	if f := g.Files(Place{5, Sample{1, 9}}, ""); f.tuned != "" || f.Base != want.Base || f.Missing(Layers{}) == "" || f.Missing(Layers{IsBase: true}) != "" {
		t.Errorf("at another step: %+v", f)
	}
	none := g.Files(Place{5, Sample{2, 1}}, "violence")
	for _, l := range []Layers{{IsBase: true, Over: Nothing}, {Difference: true}, {IsBase: true, Over: Heat}, {Over: Outline}} {
		if none.Missing(l)+none.Without(l) == "" {
			t.Errorf("%+v: nothing is missing for an image without reference", l)
		}
	}
	if missing := none.Missing(Layers{}); missing != "" {
		t.Errorf("the image alone: %s", missing)
	}
}

func TestDrawingOfLayers(t *testing.T) {
	f := Files{"base", "tuned", "heat", "tuned heat", "mask"}
	for _, c := range []struct {
		Layers
		want Drawing
	}{
		{Layers{Over: Nothing}, Drawing{Path: "tuned"}},
		{Layers{IsBase: true, Over: Heat}, Drawing{Path: "base", Heat: "heat"}},
		{Layers{Over: Heat}, Drawing{Path: "tuned", Heat: "tuned heat"}}, // each image has its own
		{Layers{}, Drawing{Path: "tuned", Mask: "mask"}},
		{Layers{Difference: true, IsBase: true, Over: Heat}, Drawing{Path: "tuned", Minus: "base"}},
	} {
		if got := f.Drawing(c.want.Folder, c.Layers); got != c.want {
			t.Errorf("%+v: %+v, want %+v", c.Layers, got, c.want)
		}
	}
}

func TestResultsOrder(t *testing.T) {
	result := func(path string, fix bool) core.Event {
		return core.Event{Prompt: &core.PromptResult{Path: path, Fix: fix}}
	}
	var r Results
	r.Add([]core.Event{result("prompts/0002", false), result("prompts/0003", true), result("prompts/0001", false), {}})
	paths := func() (all []string) {
		for _, p := range r.List {
			all = append(all, p.Path)
		}
		return all
	}
	if got := paths(); !slices.Equal(got, []string{"prompts/0001", "prompts/0002"}) || r.At != 1 {
		t.Errorf("%v at %d, want two in order, at the newest", got, r.At)
	}
	r.Move(-5)
	r.Add([]core.Event{result("prompts/0002", false), result("prompts/10000", false)})
	if got := paths(); len(got) != 3 || got[2] != "prompts/10000" || r.At != 0 {
		t.Errorf("%v at %d: who looks at the first stays there", got, r.At)
	}
	r.Show("prompts/10000")
	r.Add([]core.Event{result("prompts/10001", false)})
	if at, ok := r.Current(); !ok || at.Path != "prompts/10001" {
		t.Errorf("at %s: who looks at the newest follows", at.Path)
	}
}
