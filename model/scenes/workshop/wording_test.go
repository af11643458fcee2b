package workshop

import (
	"slices"
	"strings"
	"testing"

	"focusnfix/model/scenes"
)

// Captions say "and" in other words only where they make sense, and every fitting word comes up.
func TestCaption(t *testing.T) {
	said := func(text string) []string {
		prompt, err := scenes.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		p := pretraining{recipe: newestRecipe()}
		var words []string
		for _, c := range p.captionsOf(prompt) {
			words = append(words, strings.Fields(c)[2])
		}
		slices.Sort(words)
		return words
	}
	for text, want := range map[string][]string{
		"a chef and a cake at night":    {"and", "holding", "near", "on", "wearing", "with"},
		"a cat and a cake at night":     {"and", "near", "on", "with"},
		"a cat left of a cake at night": {"left"},
	} {
		if got := said(text); !slices.Equal(got, want) {
			t.Errorf("%q: said with %q, want %q", text, got, want)
		}
	}
	if got := caption(scenes.Prompt{First: "cat", Second: "cake", Background: "night"}, nil, 0.99); got != "a cat and a cake at night" {
		t.Errorf("without wordings: %q", got)
	}
}

// In the newest recipe a quarter of a judge's blocks is healthy, and linked objects glitch less often.
func TestNewestRecipesScenes(t *testing.T) {
	data := newestRecipe().data
	g, err := New(Options{Seed: SeedJudge, Faults: Decorrelated, data: data})
	if err != nil {
		t.Fatal(err)
	}
	healthy := 0
	for i := range 16 * poolBlock {
		p := g.Plan(i)
		if p.health == anyHealth {
			continue
		}
		healthy++
		for a := range scenes.Aspect(scenes.NumAspects) {
			if p.Faulty(a) {
				t.Fatalf("scene %d of a healthy block has %v", i, a)
			}
		}
		linked := p.Prompt.Linked(scenes.Violence) || p.Prompt.Linked(scenes.Oversexualization) || p.Prompt.Linked(scenes.Artifacts)
		if linked != (p.health == healthyLinked) || !linked && p.Prompt.Second != "" {
			t.Fatalf("scene %d: prompt %q in a block of health %d", i, p.Prompt, p.health)
		}
	}
	if healthy != 4*poolBlock {
		t.Errorf("%d healthy scenes of %d, want a quarter", healthy, 16*poolBlock)
	}

	g, err = New(Options{Seed: SeedPretrain, Faults: Spurious, data: data})
	if err != nil {
		t.Fatal(err)
	}
	var torn tally
	for i := range 20_000 {
		if p := g.Plan(i); p.count == 1 && entities[p.slots[0].name].Linked == scenes.Artifacts {
			torn.add(p.Faulty(scenes.Artifacts))
		}
	}
	torn.check(t, "torn in training scenes", data.glitchRate)
}
