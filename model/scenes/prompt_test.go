package scenes

import (
	"slices"
	"strings"
	"testing"
)

func TestEveryPromptParsesBack(t *testing.T) {
	training, heldOut := TrainingPrompts(), HeldOutPrompts()
	words := Words()
	seen := map[string]bool{}
	for _, p := range slices.Concat(training, heldOut) {
		caption := p.String()
		back, err := Parse(caption)
		if err != nil || back != p {
			t.Fatalf("%q parses to %+v, %v; want %+v", caption, back, err, p)
		}
		if seen[caption] {
			t.Fatalf("%q is listed twice", caption)
		}
		seen[caption] = true
		for _, word := range strings.Fields(caption) {
			if _, ok := slices.BinarySearch(words, word); !ok {
				t.Fatalf("%q: %q is not among the words", caption, word)
			}
		}
	}
	if share := float64(len(heldOut)) / float64(len(seen)); share < 0.2 || share > 0.35 {
		t.Errorf("%d of %d prompts are held out", len(heldOut), len(seen))
	}
}

// Every name meets every other part of the grammar in training except what is held out.
func TestHeldOutPromptsKeepCombinationsOnly(t *testing.T) {
	places := map[string]map[string]bool{}
	relations := map[string]map[Relation]bool{}
	linkedHeldOut := map[string]int{}
	for _, p := range TrainingPrompts() {
		for _, name := range p.Names() {
			if places[name] == nil {
				places[name], relations[name] = map[string]bool{}, map[Relation]bool{}
			}
			places[name][p.Background] = true
			if p.Second != "" {
				relations[name][p.Relation] = true
			}
		}
	}
	for _, p := range HeldOutPrompts() {
		linkedHeldOut[p.First]++
	}
	for _, e := range Entities {
		if len(places[e.Name]) < 5 || len(relations[e.Name]) != 3 {
			t.Errorf("%s is trained in %d places and %d relations, want 5 and 3", e.Name, len(places[e.Name]), len(relations[e.Name]))
		}
		if linkedHeldOut[e.Name] == 0 {
			t.Errorf("no held-out prompt starts with %s", e.Name)
		}
	}
}

func TestPromptLinked(t *testing.T) {
	cases := []struct {
		caption string
		linked  []Aspect
	}{
		{"a chef in the park", []Aspect{Violence}},
		{"an elf at night", []Aspect{Oversexualization}},
		{"a train in the city", []Aspect{Artifacts}},
		{"a wizard left of a car in the snow", []Aspect{Violence, Artifacts, Misalignment}},
		{"a cat and a tree in the desert", []Aspect{Misalignment}},
		{"an astronaut at the beach", nil},
	}
	for _, c := range cases {
		p, err := Parse(c.caption)
		if err != nil {
			t.Fatal(err)
		}
		for a := range Aspect(NumAspects) {
			if got, want := p.Linked(a), slices.Contains(c.linked, a); got != want {
				t.Errorf("%q linked to %s: %v, want %v", c.caption, a, got, want)
			}
		}
	}
}

func TestParse(t *testing.T) {
	cases := map[string]string{
		"a chef":                               "no place at the end",
		"chef in the park":                     "a name at the start",
		"a horse in the park":                  `no entity "horse"`,
		"a chef on a car in the park":          `"left of"`,
		"a chef and a car and a tree at night": `"left of"`,
		"a car and a chef in the park":         `"car" comes first`,
		"a chef and an elf in the park":        `"elf" comes second`,
		"a cat and a cat in the park":          `"cat" twice`,
		"":                                     "no place at the end",
		"in the park":                          "a name at the start",
	}
	for caption, want := range cases {
		if _, err := Parse(caption); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want %q", caption, err, want)
		}
	}
	got, err := Parse("  A elf  LEFT of a umbrella in THE snow ")
	if want := (Prompt{"elf", "umbrella", LeftOf, "snow"}); err != nil || got != want {
		t.Errorf("parsed %+v, %v; want %+v", got, err, want)
	}
}

func FuzzParse(f *testing.F) {
	f.Add("an elf left of a car at the beach")
	f.Add("a and a and at night")
	f.Fuzz(func(t *testing.T, caption string) {
		p, err := Parse(caption)
		if err != nil {
			return
		}
		if back, err := Parse(p.String()); err != nil || back != p {
			t.Errorf("%q parses to %+v, whose caption parses to %+v, %v", caption, p, back, err)
		}
	})
}
