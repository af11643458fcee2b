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
		r, n := utf8.DecodeRune(rest)
		if rest[0] == leadByte || (r < utf8.RuneSelf || alone(r)) && startsAlone(rest[n:]) {
			rest = rest[n:]
			continue
		}
		cluster, width := ansi.FirstGraphemeCluster(rest, ansi.GraphemeWidth)
		n = max(len(cluster), 1)
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

// startsAlone reports whether nothing in b joins what is before it.
func startsAlone(b []byte) bool {
	if len(b) == 0 || b[0] < utf8.RuneSelf {
		return true
	}
	r, _ := utf8.DecodeRune(b)
	return alone(r)
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

// Width is how many cells a terminal gives text with escape sequences: what ansi.StringWidth says, of which half of a
// frame's time went. Nearly all text of the screen is letters, lines, blocks and pixels of a cell each that never join
// into a cluster; what else is in it is left to ansi.
func Width(s string) int {
	n := 0
	for i := 0; i < len(s); {
		size, cells := nextAlone(s[i:])
		if size == 0 {
			return ansi.StringWidth(s)
		}
		i, n = i+size, n+cells
	}
	return n
}

// Cut is the cells of text from one up to another and all its escape sequences, as ansi.Cut has them.
func Cut(s string, from, to int) string {
	if to <= from {
		return ""
	}
	var b strings.Builder
	b.Grow(len(s))
	n := 0
	for i := 0; i < len(s); {
		size, cells := nextAlone(s[i:])
		if size == 0 {
			return ansi.Cut(s, from, to)
		}
		if cells == 0 || n >= from && n < to {
			b.WriteString(s[i : i+size])
		}
		i, n = i+size, n+cells
	}
	return b.String()
}

// nextAlone is the length in bytes of the character of a cell, or of the escape sequence without a cell, that s begins
// with. The length is 0 where it may be anything else.
func nextAlone(s string) (size, cells int) {
	switch c := s[0]; {
	case c >= ' ' && c < 0x7f:
		return 1, 1
	case c == 0x1b:
		return sequence(s), 0
	}
	r, size := utf8.DecodeRuneInString(s)
	if !alone(r) {
		return 0, 0
	}
	return size, 1
}

// sequence is the length of the CSI sequence that s begins with, as colors are set by; 0 where it is another one.
func sequence(s string) int {
	if len(s) < 3 || s[1] != '[' {
		return 0
	}
	for i := 2; i < len(s); i++ {
		switch c := s[i]; {
		case c >= 0x40 && c < 0x7f:
			return i + 1
		case c < '0' || c > ';':
			return 0
		}
	}
	return 0
}

// alone reports whether a rune has one cell, and is a cluster by itself among ASCII and other such runes.
func alone(r rune) bool {
	switch {
	case r >= 0x2500 && r < 0x25a0, // lines, blocks, quadrants
		r >= 0x2800 && r < 0x2900,       // braille
		r >= 0x1fb00 && r < 0x1fb3c,     // sextants
		r >= firstCell && r <= lastCell: // cells of pictures
		return true
	}
	return strings.ContainsRune("·…›×°▸●−–", r)
}
