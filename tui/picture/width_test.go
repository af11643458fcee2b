package picture

import (
	"strings"
	"testing"
	"unicode"

	"github.com/charmbracelet/x/ansi"
)

func TestSteady(t *testing.T) {
	for text, want := range map[string]string{
		"plain":                        "plain",
		"日本語 é e\u0301":                "日本語 é e\u0301",
		"👨\u200d👩\u200d👧 family":       "👨 family",
		"❤\ufe0f!":                     "❤ !",
		"🇩🇪.":                          "DE.",
		"👍🏽 ok":                        "👍 ok",
		"1\ufe0f\u20e3":                "1 ",
		"\x1b[31m🏳\ufe0f\u200d🌈\x1b[m": "\x1b[31m🏳 \x1b[m",
		string(firstCell) + "❤\ufe0f":  string(firstCell) + "❤ ",
	} {
		got := Steady(text)
		if got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
		if a, b := ansi.StringWidth(got), ansi.StringWidth(text); a != b {
			t.Errorf("%q: %d cells, want %d", text, a, b)
		}
		sum := 0
		for _, r := range ansi.Strip(got) {
			sum += ansi.StringWidthWc(string(r))
		}
		if w := ansi.StringWidth(got); sum != w {
			t.Errorf("%q: a terminal that adds up runes has %d cells, others %d", got, sum, w)
		}
	}
}

func FuzzSteady(f *testing.F) {
	f.Add("a 👨\u200d👩\u200d👧 b \x1b[1m❤\ufe0f\x1b[m 🇩🇪🇫 क्षि ก็")
	f.Fuzz(func(t *testing.T, text string) {
		text = strings.Map(func(r rune) rune { // escape sequences are the screen's own
			if unicode.IsControl(r) {
				return ' '
			}
			return r
		}, strings.ToValidUTF8(text, "?"))
		if got := Steady(text); ansi.StringWidth(got) != ansi.StringWidth(text) {
			t.Errorf("%q: %q has %d cells, want %d", text, got, ansi.StringWidth(got), ansi.StringWidth(text))
		}
	})
}
