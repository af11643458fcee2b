package feed

import (
	"strings"
	"testing"

	"focusnfix/core"
)

// Finding goes to the nearest earlier match, around the end.
func TestResultsFind(t *testing.T) {
	var r Results
	for _, prompt := range []string{"a dog", "a cat", "two dogs", "a bird"} {
		r.List = append(r.List, core.PromptResult{Drawing: core.Drawing{Prompt: prompt}})
	}
	r.At = 3
	dog := func(prompt string) bool { return strings.Contains(prompt, "dog") }
	for _, want := range []int{2, 0, 2} {
		if n := r.Find(dog); n != 2 || r.At != want {
			t.Errorf("%d matches, at %d, want 2 at %d", n, r.At, want)
		}
	}
	if n := r.Find(func(string) bool { return false }); n != 0 || r.At != 2 {
		t.Errorf("%d matches of nothing, at %d", n, r.At)
	}
	var none Results
	if none.Find(dog) != 0 {
		t.Error("a match among no results")
	}
}
