package core

import "testing"

func TestDidYouMean(t *testing.T) {
	names := []string{"start", "stop", "violence", "oversexualization", "2026-11-27-violence-3aym"}
	for word, want := range map[string]string{
		"statr": "; did you mean start?", "sto": "; did you mean stop?", "Violense": "; did you mean violence?", "zebra": "", "": "",
		"over-sexualization": "; did you mean oversexualization?", "3aym": "; did you mean 2026-11-27-violence-3aym?", "x": "",
	} {
		if got := DidYouMean(word, names); got != want {
			t.Errorf("%q: %q, want %q", word, got, want)
		}
	}
}
