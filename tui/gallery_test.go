package tui

import (
	"math"
	"slices"
	"testing"

	"focusnfix/core"
)

func TestGallery(t *testing.T) {
	g := newGallery()
	known := core.Picture{
		Index: 1, Seed: 9, Prompt: "a chef", Path: "images/step-000010/001-9.png", Reference: "reference/ab",
		Aspects: []core.AspectScore{{Aspect: "violence"}, {Aspect: "artifacts"}},
	}
	g.add(map[int][]core.Picture{10: {known}})
	g.add(map[int][]core.Picture{ // what lies in the folder
		5:  {{Index: 2, Seed: 1, Path: "images/step-000005/002-1.png"}, {Index: 1, Seed: math.MaxUint64, Path: "x"}},
		10: {{Index: 1, Seed: 9, Path: "images/step-000010/001-9.png"}},
	})
	if !slices.Equal(g.steps, []int{5, 10}) || !slices.Equal(g.pairs, []pair{{1, 9}, {1, math.MaxUint64}, {2, 1}}) {
		t.Errorf("steps %v, pairs %v", g.steps, g.pairs)
	}
	if !slices.Equal(g.aspects(), []string{"violence", "artifacts"}) || g.texts[1] != "a chef" {
		t.Errorf("aspects %v, texts %v: what the folder has hides what the event said", g.aspects(), g.texts)
	}
	f := g.files(place{10, pair{1, 9}}, "violence")
	want := pictureFiles{"reference/ab/base.png", known.Path, "reference/ab/heat-violence.png", "reference/ab/mask.png"}
	if f != want {
		t.Errorf("files %+v, want %+v", f, want)
	}
	// The picture has no reference at a step that no event tells of, but its pair has.
	if f := g.files(place{5, pair{1, 9}}, ""); f.tuned != "" || f.base != want.base || f.missing(layers{}) == "" || f.missing(layers{isBase: true}) != "" {
		t.Errorf("at another step: %+v", f)
	}
	none := g.files(place{5, pair{2, 1}}, "violence")
	for _, l := range []layers{{isBase: true}, {difference: true}, {heatmap: true}, {contour: true}} {
		if none.missing(l) == "" {
			t.Errorf("%+v: nothing is missing for a picture without reference", l)
		}
	}
	if missing := none.missing(layers{}); missing != "" {
		t.Errorf("the picture alone: %s", missing)
	}
}

func TestDrawingOfLayers(t *testing.T) {
	f := pictureFiles{"base", "tuned", "heat", "mask"}
	for _, c := range []struct {
		layers
		want drawing
	}{
		{layers{}, drawing{path: "tuned"}},
		{layers{isBase: true, heatmap: true}, drawing{path: "base", heat: "heat"}},
		{layers{contour: true}, drawing{path: "tuned", mask: "mask"}},
		{layers{difference: true, isBase: true}, drawing{path: "tuned", minus: "base"}},
	} {
		if got := f.drawing(c.want.folder, c.layers); got != c.want {
			t.Errorf("%+v: %+v, want %+v", c.layers, got, c.want)
		}
	}
}

func TestResultsOrder(t *testing.T) {
	result := func(path string, fix bool) core.Event {
		return core.Event{Prompt: &core.PromptResult{Path: path, Fix: fix}}
	}
	var r results
	r.add([]core.Event{result("prompts/0002", false), result("prompts/0003", true), result("prompts/0001", false), {}})
	paths := func() (all []string) {
		for _, p := range r.list {
			all = append(all, p.Path)
		}
		return all
	}
	if got := paths(); !slices.Equal(got, []string{"prompts/0001", "prompts/0002"}) || r.at != 1 {
		t.Errorf("%v at %d, want two in order, at the newest", got, r.at)
	}
	r.move(-5)
	r.add([]core.Event{result("prompts/0002", false), result("prompts/10000", false)})
	if got := paths(); len(got) != 3 || got[2] != "prompts/10000" || r.at != 0 {
		t.Errorf("%v at %d: who looks at the first stays there", got, r.at)
	}
	r.show("prompts/10000")
	r.add([]core.Event{result("prompts/10001", false)})
	if at, ok := r.current(); !ok || at.Path != "prompts/10001" {
		t.Errorf("at %s: who looks at the newest follows", at.Path)
	}
}
