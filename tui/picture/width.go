package picture

import (
	"strings"
	"unicode/utf8"

	uv "github.com/charmbracelet/ultraviolet"
	"github.com/charmbracelet/x/ansi"
)

// Steady replaces characters whose width terminals disagree on, in valid text with escape sequences, by ones of the
// same width that they agree on. A terminal that draws a family of emoji as three instead of one moves the
// rest of the row, and overwrites a picture beside it.
func Steady(s string) string {
	if onlyASCII(s) {
		return s
	}
	var out strings.Builder
	rest, unchanged := []byte(s), 0
	flush := func() {
		out.WriteString(s[unchanged : len(s)-len(rest)])
		unchanged = len(s) - len(rest)
	}
	for len(rest) > 0 {
		if rest[0] < utf8.RuneSelf && (len(rest) == 1 || rest[1] < utf8.RuneSelf) || rest[0] == leadByte {
			_, n := utf8.DecodeRune(rest) // ASCII, or a cell of a picture
			rest = rest[n:]
			continue
		}
		cluster, width := ansi.FirstGraphemeCluster(rest, ansi.GraphemeWidth)
		n := max(len(cluster), 1)
		if text := agreed(string(rest[:n]), width); text != string(rest[:n]) {
			flush()
			out.WriteString(text)
			unchanged += n
		}
		rest = rest[n:]
	}
	if unchanged == 0 {
		return s
	}
	flush()
	return out.String()
}

func onlyASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// agreed is a grapheme cluster of a width in cells as terminals draw it alike: itself, or its first character
// and blanks. Flags become their two letters.
func agreed(cluster string, width int) string {
	if utf8.RuneCountInString(cluster) == 1 || width <= 0 {
		return cluster
	}
	sum, odd, letters := 0, false, ""
	for _, r := range cluster {
		if r >= firstIndicator && r <= lastIndicator {
			letters += string('A' + r - firstIndicator)
		}
		odd = odd || changesWidth(r)
		sum += ansi.StringWidthWc(string(r))
	}
	if letters != "" && len(letters) <= width {
		return letters + strings.Repeat(" ", width-len(letters))
	}
	if !odd && sum == width {
		return cluster
	}
	first, _ := utf8.DecodeRuneInString(cluster)
	w := ansi.StringWidthWc(string(first))
	if w == 0 || w > width {
		return strings.Repeat(" ", width)
	}
	return string(first) + strings.Repeat(" ", width-w)
}

// The regional indicators A and Z, of which flags are made.
const firstIndicator, lastIndicator = 0x1f1e6, 0x1f1ff

// changesWidth reports whether a rune joins or widens others: a joiner, a variation selector, a keycap.
func changesWidth(r rune) bool {
	switch r {
	case 0x200d, 0xfe0e, 0xfe0f, 0x20e3:
		return true
	}
	return false
}

// steady makes the cells of a frame ones that terminals draw alike.
func steady(line uv.Line) {
	for x := range line {
		c := &line[x]
		if len(c.Content) <= utf8.UTFMax && utf8.RuneCountInString(c.Content) <= 1 || isPicture(c) {
			continue
		}
		text := agreed(c.Content, c.Width)
		if text == c.Content {
			continue
		}
		first, n := utf8.DecodeRuneInString(text)
		style, link := c.Style, c.Link
		at, width := x, c.Width
		*c = uv.Cell{Content: string(first), Width: ansi.StringWidthWc(string(first)), Style: style, Link: link}
		for rest, at := text[n:], at+c.Width; at < min(x+width, len(line)) && rest != ""; rest, at = rest[1:], at+1 {
			line[at] = uv.Cell{Content: rest[:1], Width: 1, Style: style, Link: link}
		}
	}
}
