package core

import (
	"bytes"
	"fmt"
)

// bounded refuses a text that a TOML parser would spend minutes on: it takes time quadratic in the
// parts of a dotted key, in brackets within brackets and in the number of tables. The text is only
// scanned, outside of comments and of what stands in quotes.
func (l Layer) bounded() error {
	keys, nesting, parts, line := 0, 0, 0, 1
	for rest := l.Text; len(rest) > 0; {
		n := 1
		switch c := rest[0]; c {
		case '\n':
			line, parts = line+1, 0
		case '#':
			n = lineLength(rest)
		case '"', '\'':
			n = quotedLength(rest)
			line += bytes.Count(rest[:n], []byte("\n"))
		case '.':
			parts++
		case '=':
			keys, parts = keys+1, 0
		case ',':
			parts = 0
		case '[', '{':
			keys, nesting, parts = keys+1, nesting+1, 0
		case ']', '}':
			nesting = max(nesting-1, 0)
		}
		switch {
		case keys > maxKeys:
			return fmt.Errorf("%s:%d: more than %d keys and tables, want a configuration", l.Name, line, maxKeys)
		case nesting > maxNesting || parts > maxNesting:
			return fmt.Errorf("%s:%d: more than %d keys or brackets within each other, want a configuration", l.Name, line, maxNesting)
		}
		rest = rest[n:]
	}
	return nil
}

// lineLength is the number of bytes before the next line end.
func lineLength(text []byte) int {
	if n := bytes.IndexByte(text, '\n'); n >= 0 {
		return n
	}
	return len(text)
}

// quotedLength is the length of the string that text begins with, its quotes included: of one line, or
// of several within three quotes. One that has no end is as long as its line, or as the rest.
func quotedLength(text []byte) int {
	quote := text[:1]
	limit := lineLength(text)
	if triple := bytes.Repeat(quote, 3); bytes.HasPrefix(text, triple) {
		quote, limit = triple, len(text)
	}
	for i := len(quote); i < limit; i++ {
		switch {
		case text[i] == '\\' && quote[0] == '"':
			i++
		case bytes.HasPrefix(text[i:], quote):
			return i + len(quote)
		}
	}
	return max(limit, 1)
}
