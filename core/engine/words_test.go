package engine

import "testing"

func TestUnknownWords(t *testing.T) {
	for _, c := range []struct{ model, prompt, want string }{
		{"builtin:scenes", "a chef and a nebula over a Quasar, a nebula", "nebula, over, quasar"},
		{"builtin:scenes", "a chef in the park", ""},
		{"models/sd14", "a nebula", ""},
	} {
		got := unknownWords(c.model, c.prompt)
		if got != c.want {
			t.Errorf("%s: %q: %q, want %q", c.model, c.prompt, got, c.want)
		}
	}
}

func TestFaultOf(t *testing.T) {
	for text, want := range map[string]string{
		"Remove the sword.": "the sword", "the sword": "the sword", " erase  two hats ": "two hats", "no": "no", "remover": "remover", "": "",
	} {
		if got := faultOf(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}
