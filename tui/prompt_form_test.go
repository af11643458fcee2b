package tui

import (
	"strings"
	"testing"

	"focusnfix/core"
	"focusnfix/core/run"
	"focusnfix/tui/widget"
)

func newTestForm(t *testing.T) promptForm {
	t.Helper()
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	return newPromptForm(&shared{styles: widget.NewStyles(true)})
}

func TestRequest(t *testing.T) {
	for _, c := range []struct {
		prompt, negative, seed, steps, guidance string
		want                                    run.GenerateRequest
		refused                                 string
	}{
		{" a  cat ", "", "7", "", "", run.GenerateRequest{Drawing: core.Drawing{Prompt: "a cat", Seed: 7}}, ""},
		{"a cat", "dogs", "18446744073709551615", "20", "2.5", run.GenerateRequest{Drawing: core.Drawing{Prompt: "a cat", Negative: "dogs", Seed: 1<<64 - 1, Sampling: core.Sampling{NumSteps: 20, GuidanceScale: 2.5}}}, ""},
		{"  ", "", "7", "", "", run.GenerateRequest{}, "want a text"},
		{"x", "", "-1", "", "", run.GenerateRequest{}, `seed: "-1"`},
		{"x", "", "1", "0", "", run.GenerateRequest{}, `steps: 0, want 1 to 999`},
		{"x", "", "1", "many", "", run.GenerateRequest{}, `steps: "many"`},
		{"x", "", "1", "", "NaN", run.GenerateRequest{}, `guidance: NaN, want 0 to 50`},
		{"x", "", "1", "", "1e9", run.GenerateRequest{}, `guidance: 1e+09, want 0 to 50`},
	} {
		f := newTestForm(t)
		for i, text := range []string{c.prompt, c.negative, c.seed, c.steps, c.guidance} {
			f.fields[i].SetValue(text)
		}
		got, err := f.request()
		if c.refused != "" {
			if err == nil || !strings.Contains(err.Error(), c.refused) {
				t.Errorf("%+v: %v, want %s", c, err, c.refused)
			}
			continue
		}
		if err != nil || got != c.want {
			t.Errorf("%+v: %+v, %v", c, got, err)
		}
		f.fill(c.want)
		if again, err := f.request(); err != nil || again != c.want {
			t.Errorf("filled in again: %+v, %v, want %+v", again, err, c.want)
		}
	}
}

func TestSeedModes(t *testing.T) {
	f := newTestForm(t)
	f.fields[fieldPrompt].SetValue("x")
	seed := func() uint64 {
		r, err := f.request()
		if err != nil {
			t.Fatal(err)
		}
		f.ready(r)
		return r.Seed
	}
	if a, b := seed(), seed(); a != 1 || b != 1 {
		t.Errorf("fixed: %d, %d", a, b)
	}
	f.seed = seedNext
	if a, b, c := seed(), seed(), seed(); a != 1 || b != 2 || c != 3 {
		t.Errorf("next: %d, %d, %d", a, b, c)
	}
	f.seed = seedRandom
	if a, b, c := seed(), seed(), seed(); a == b && b == c {
		t.Errorf("random: %d three times", a)
	}
}

func TestFormKeys(t *testing.T) {
	f := newTestForm(t)
	f.history.add("a cow")
	f.focusOn(fieldPrompt)
	press := func(keys ...string) {
		for _, k := range keys {
			f.key(keyPress(k))
		}
	}
	press("a", "x", "up")
	if got := f.fields[fieldPrompt].Value(); got != "a cow" {
		t.Errorf("up gives %q", got)
	}
	press("down", "!")
	if got := f.fields[fieldPrompt].Value(); got != "ax!" {
		t.Errorf("down gives %q", got)
	}
	press("tab", "tab", "up", "up", "down", "shift+tab", "n")
	if got := f.fields[fieldSeed].Value(); got != "2" || f.focus != fieldNegative || f.fields[fieldNegative].Value() != "n" {
		t.Errorf("seed %q, focus on %d", got, f.focus)
	}
	for _, k := range []string{"enter", "esc"} {
		if _, taken := f.key(keyPress(k)); taken {
			t.Errorf("%s is taken as text", k)
		}
	}
}
