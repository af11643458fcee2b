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

func TestWidthOfEveryRune(t *testing.T) {
	for r := rune(0); r <= 0x10ffff; r++ {
		if text := string(r); alone(r) {
			if got, want := Width(text), ansi.StringWidth(text); got != want {
				t.Errorf("%U: %d cells, want %d", r, got, want)
			}
			pair := "a" + text + text + "●⣿1" + text // nothing joins
			if got, want := Width(pair), ansi.StringWidth(pair); got != want {
				t.Errorf("%U among others: %d cells, want %d", r, got, want)
			}
		}
	}
}

func FuzzWidth(f *testing.F) {
	for _, text := range []string{
		"", "plain", "\x1b[1;38;2;1;2;3mcolor\x1b[m ─│⣿▀█", "\x1b]8;;file:///a\x1b\\link\x1b]8;;\x1b\\", "e\u0301 日本語 👨\u200d👩 ❤\ufe0f 🇩🇪",
		"●\ufe0f", "…\u200d", "\x1b[", "\x1b[31", "\x1b[?25l", "\x1b(B", "a\tb\r\n", "\xff\xfe", "\U00100000\U0010dfff", "\x1b[3\x1b[mx", "\x9b1mx",
		strings.Repeat("─", 200), "\x1b[38:2::1:2:3mx",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if got, want := Width(text), ansi.StringWidth(text); got != want {
			t.Errorf("%q: %d cells, want %d", text, got, want)
		}
		for _, from := range []int{0, 1, 5} {
			if got, want := Cut(text, from, from+4), ansi.Cut(text, from, from+4); got != want {
				t.Errorf("%q from %d: %q, want %q", text, from, got, want)
			}
		}
	})
}
