package cmd

import (
	"flag"
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	"focusnfix/model/scenes"
	"focusnfix/presets"
)

var updatePrompts = flag.Bool("update-prompts", false, "rewrite the shipped model's prompt lists")

// How many prompts a list of the shipped model has: for each aspect some that the fault is linked to,
// and some that it is not, which training should leave as they are.
const (
	linkedPrompts, otherPrompts             = 40, 8
	linkedPromptsOfSeveral, othersOfSeveral = 16, 4
)

// promptText is the list of the aspects, chosen evenly from the grammar of the shipped model. Held-out
// prompts are those that the base model never saw.
func promptText(aspects []scenes.Aspect, linked, other int) string {
	var b strings.Builder
	b.WriteString("# Made of the shipped model's grammar: go test ./cmd -run TestScenesPrompts -update-prompts\n")
	for _, heldOut := range []bool{false, true} {
		all := scenes.TrainingPrompts()
		if heldOut {
			all = scenes.HeldOutPrompts()
			b.WriteString("[held out]\n")
		}
		written := map[string]bool{}
		for _, a := range aspects {
			for _, p := range slices.Concat(choose(all, a, true, linked), choose(all, a, false, other)) {
				if line := p.String() + "\n"; !written[line] {
					written[line] = true
					b.WriteString(line)
				}
			}
		}
	}
	return b.String()
}

// freshText is prompts that the base model never saw and that no preset has, held out or not: they measure what
// became of settings that were chosen by the held-out ones.
func freshText(aspects []scenes.Aspect, linked int, taken map[string]bool) string {
	var b strings.Builder
	b.WriteString("# Held-out prompts that no preset has: go test ./cmd -run TestScenesPrompts -update-prompts\n")
	all := slices.DeleteFunc(scenes.HeldOutPrompts(), func(p scenes.Prompt) bool { return taken[p.String()] })
	for i := range linked { // aspects take turns: few images are of all of them
		for _, a := range aspects {
			b.WriteString(choose(all, a, true, linked)[i].String() + "\n")
		}
	}
	return b.String()
}

// choose takes n prompts that are linked to the aspect, or to none, and to no other: up to half of them
// with one entity, the rest with two. Every prompt with two entities is linked to misalignment.
func choose(all []scenes.Prompt, a scenes.Aspect, linked bool, n int) []scenes.Prompt {
	var lone, pairs []scenes.Prompt
	for _, p := range all {
		fits := p.Linked(a) == linked
		for other := scenes.Violence; other < scenes.Misalignment; other++ {
			fits = fits && (other == a || !p.Linked(other))
		}
		switch {
		case fits && p.Second == "":
			lone = append(lone, p)
		case fits:
			pairs = append(pairs, p)
		}
	}
	few := min(n/2, len(lone))
	if len(pairs) == 0 {
		few = n
	}
	return slices.Concat(evenly(lone, few), evenly(pairs, n-few))
}

// evenly takes n different prompts with the golden ratio's steps, which no rhythm of the grammar's order
// meets.
func evenly(all []scenes.Prompt, n int) (chosen []scenes.Prompt) {
	step := int(float64(len(all)) / math.Phi)
	for gcd(step, len(all)) > 1 {
		step++
	}
	for i := range n {
		chosen = append(chosen, all[i*step%len(all)])
	}
	return chosen
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

func TestScenesPrompts(t *testing.T) {
	everything := []scenes.Aspect{scenes.Violence, scenes.Oversexualization, scenes.Artifacts, scenes.Misalignment}
	lists := map[string]string{"all-aspects": promptText(everything, linkedPromptsOfSeveral, othersOfSeveral)}
	for _, a := range everything {
		lists[a.String()] = promptText([]scenes.Aspect{a}, linkedPrompts, otherPrompts)
	}
	taken := map[string]bool{}
	for name, want := range lists {
		path := "../presets/prompts/scenes-" + name + ".txt"
		sameText(t, path, want)
		training, heldOut, err := presets.ParsePrompts([]byte(want))
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range heldOut {
			taken[line] = true
		}
		for i, line := range slices.Concat(training, heldOut) {
			p, err := scenes.Parse(line)
			if err != nil || p.String() != line || p.HeldOut() != (i >= len(training)) {
				t.Errorf("%s: %q: held out %v, %v", path, line, p.HeldOut(), err)
			}
		}
	}
	sameText(t, "../bench/fresh/all-aspects.txt", freshText(everything, linkedPromptsOfSeveral, taken))
	for _, a := range everything {
		sameText(t, "../bench/fresh/"+a.String()+".txt", freshText([]scenes.Aspect{a}, linkedPrompts, taken))
	}
}

// sameText checks what a file has, or writes it.
func sameText(t *testing.T, path, want string) {
	t.Helper()
	if *updatePrompts {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != want {
		t.Errorf("%s is not what the grammar gives: %v", path, err)
	}
}
