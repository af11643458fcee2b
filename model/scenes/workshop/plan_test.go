package workshop

import (
	"math"
	"slices"
	"strings"
	"testing"

	"focusnfix/model/scenes"
)

// tally counts how often something happened out of its chances.
type tally struct{ hits, chances int }

func (c *tally) add(hit bool) {
	c.chances++
	if hit {
		c.hits++
	}
}

// check fails when the count is further than five standard deviations from the rate.
func (c tally) check(t *testing.T, what string, rate float64) {
	t.Helper()
	n := float64(c.chances)
	if c.chances < 200 {
		t.Errorf("%s: only %d chances", what, c.chances)
	}
	if got := float64(c.hits) / n; math.Abs(got-rate) > 5*math.Sqrt(rate*(1-rate)/n) {
		t.Errorf("%s: rate %.3f of %d, want %.2f", what, got, c.chances, rate)
	}
}

func TestTrainingScenesLinkFaultsToNames(t *testing.T) {
	g := newGenerator(t, Options{Seed: 1})
	rates := map[string]*tally{}
	count := func(what string, hit bool) {
		if rates[what] == nil {
			rates[what] = new(tally)
		}
		rates[what].add(hit)
	}
	for i := range 20000 {
		p := g.Plan(i)
		linked := entities[p.slots[0].name].Linked
		for a := scenes.Violence; a <= scenes.Oversexualization; a++ {
			if linked == a {
				count(a.String()+" when linked", p.Faulty(a))
				continue
			}
			count(a.String()+" when not linked", p.Faulty(a))
		}
		for _, s := range p.slots[:p.count] {
			if s.drawn == missing {
				continue
			}
			if entities[s.drawn].Linked == scenes.Artifacts {
				count("artifacts when linked", s.glitch.kind != noGlitch)
			} else {
				count("artifacts when not linked", s.glitch.kind != noGlitch)
			}
		}
		if p.count == 1 {
			count("misalignment of one", p.Faulty(scenes.Misalignment))
			continue
		}
		count("first missing or wrong", p.slots[0].drawn != p.slots[0].name)
		count("second missing", p.slots[1].drawn == missing)
		count("second wrong", p.slots[1].drawn != missing && p.slots[1].drawn != p.slots[1].name)
	}
	want := map[string]float64{
		"violence when linked": 0.7, "violence when not linked": 0,
		"oversexualization when linked": 0.65, "oversexualization when not linked": 0,
		"artifacts when linked": 0.4, "artifacts when not linked": 0,
		"misalignment of one": 0, "first missing or wrong": 0, "second missing": 0.25, "second wrong": 0.15,
	}
	for what, rate := range want {
		if rates[what] == nil {
			t.Fatalf("%s: never came up", what)
		}
		rates[what].check(t, what, rate)
	}
}

// In a judge's scenes a fault says nothing about the name: every entity has it equally often.
func TestDecorrelatedScenesDoNot(t *testing.T) {
	g := newGenerator(t, Options{Seed: SeedJudge, Faults: Decorrelated})
	items, glitches := make([]tally, len(entities)), make([]tally, len(entities))
	var clean tally
	for i := range 30000 {
		p := g.Plan(i)
		first := p.slots[0].name
		items[first].add(p.Faulty(scenes.Violence))
		if entities[first].Linked == scenes.Violence {
			clean.add(!p.Faulty(scenes.Violence) && !p.Faulty(scenes.Oversexualization))
		}
		if s := p.slots[0]; p.count == 1 && s.drawn == s.name {
			glitches[first].add(s.glitch.kind != noGlitch)
		}
	}
	for i := range entities {
		items[i].check(t, "violence beside "+entities[i].Name, evenItemRate)
		glitches[i].check(t, "glitched "+entities[i].Name, evenGlitch)
	}
	clean.check(t, "no item beside a name linked to violence", (1-evenItemRate)*(1-evenItemRate))
}

func TestReplacedEntitiesFitTheGrammar(t *testing.T) {
	for _, mode := range []FaultMode{Spurious, Decorrelated} {
		g := newGenerator(t, Options{Seed: 8, Faults: mode})
		for i := range 5000 {
			p := g.Plan(i)
			for k, s := range p.slots[:p.count] {
				if s.drawn == missing || s.drawn == s.name {
					continue
				}
				if slices.Contains(p.Prompt.Names(), entities[s.drawn].Name) || k == 1 && entities[s.drawn].Kind == scenes.Person {
					t.Fatalf("scene %d %q: slot %d shows a %s", i, p.Prompt, k, entities[s.drawn].Name)
				}
			}
		}
	}
}

func TestForcedFaults(t *testing.T) {
	all := []scenes.Aspect{scenes.Violence, scenes.Oversexualization, scenes.Artifacts, scenes.Misalignment}
	for _, mode := range []FaultMode{Spurious, Decorrelated, Clean} {
		never := newGenerator(t, Options{Seed: 4, Faults: mode, Never: all})
		for _, a := range all {
			always := newGenerator(t, Options{Seed: 4, Faults: mode, Always: []scenes.Aspect{a}})
			for i := range 300 {
				p, q := always.Plan(i), never.Plan(i)
				if !p.Faulty(a) {
					t.Fatalf("mode %d scene %d %q: %s is forced and not there", mode, i, p.Prompt, a)
				}
				if q.Faulty(a) {
					t.Fatalf("mode %d scene %d %q: %s is forbidden and there", mode, i, q.Prompt, a)
				}
			}
		}
	}
	lone := scenes.Prompt{First: "cat", Background: "park"}
	g := newGenerator(t, Options{Prompts: []scenes.Prompt{lone}, Always: []scenes.Aspect{scenes.Misalignment}})
	if p := g.Plan(0); p.slots[0].drawn == missing || p.slots[0].drawn == p.slots[0].name {
		t.Errorf("%q, misaligned: drawn %d, want another entity", lone, p.slots[0].drawn)
	}
}

func TestNewRefusesBadOptions(t *testing.T) {
	cases := map[string]struct {
		options Options
		want    string
	}{
		"mode":          {Options{Faults: 3}, "fault mode 3"},
		"aspect":        {Options{Always: []scenes.Aspect{4}}, "aspect 4"},
		"contradiction": {Options{Always: []scenes.Aspect{scenes.Violence}, Never: []scenes.Aspect{scenes.Violence}}, "violence is both"},
		"prompt":        {Options{Prompts: []scenes.Prompt{{First: "horse", Background: "park"}}}, `no entity "horse"`},
	}
	for name, c := range cases {
		if _, err := New(c.options); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %q", name, err, c.want)
		}
	}
}

func TestTrainingScenesHaveNoHeldOutPrompt(t *testing.T) {
	g := newGenerator(t, Options{Seed: 1})
	for i := range 5000 {
		if p := g.Plan(i); p.Prompt.HeldOut() {
			t.Fatalf("scene %d has the held-out prompt %q", i, p.Prompt)
		}
	}
	given := scenes.HeldOutPrompts()[:3]
	g = newGenerator(t, Options{Seed: 1, Prompts: given})
	for i := range 50 {
		if p := g.Plan(i); !slices.Contains(given, p.Prompt) {
			t.Fatalf("scene %d has prompt %q, which was not given", i, p.Prompt)
		}
	}
}
