package tokenizer

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// addedToken is found in the text as a whole, before it is cut into pieces.
type addedToken struct {
	ID         int64  `json:"id"`
	Content    string `json:"content"`
	SingleWord bool   `json:"single_word"` // only where no letter or digit is next to it
	LStrip     bool   `json:"lstrip"`      // takes the white space before it with it
	RStrip     bool   `json:"rstrip"`      // and that behind it
	Normalized bool   `json:"normalized"`  // looked for in the normalized text, else in the text as typed
}

// addedTokens are those of a tokenizer, by where they are looked for.
type addedTokens struct{ typed, normalized finder }

func newAddedTokens(tokens []addedToken, normalize func(string) string) (addedTokens, error) {
	a := addedTokens{finder{}, finder{}}
	for _, t := range tokens {
		if t.Content == "" {
			return a, fmt.Errorf("id %d: no content", t.ID)
		}
		if !t.Normalized {
			a.typed.add(t, t.Content)
		} else if content := normalize(t.Content); content != "" {
			a.normalized.add(t, content)
		}
	}
	return a, nil
}

// finder finds added tokens by their first byte; the longest that fits wins.
type finder map[byte][]needle

type needle struct {
	addedToken
	text string
}

func (f finder) add(t addedToken, text string) {
	f[text[0]] = append(f[text[0]], needle{t, text})
}

// cut hands the tokens in text to found, and to rest what lies between them, in order. first says whether
// rest begins where text does.
func (f finder) cut(text string, rest func(piece string, first bool), found func(id int64)) {
	from := 0
	emit := func(to int) {
		if to > from {
			rest(text[from:to], from == 0)
		}
	}
	for at := 0; at < len(text); {
		best := f.longest(text, at)
		start, end := at, at+len(best.text)
		if best.text == "" || best.SingleWord && !alone(text, start, end) {
			at = max(at+1, end)
			continue
		}
		if best.LStrip {
			start = from + len(strings.TrimRightFunc(text[from:start], unicode.IsSpace))
		}
		if best.RStrip {
			end = len(text) - len(strings.TrimLeftFunc(text[end:], unicode.IsSpace))
		}
		emit(start)
		found(best.ID)
		at, from = end, end
	}
	emit(len(text))
}

// longest is the longest token that begins at a place of text; without one, its text is "".
func (f finder) longest(text string, at int) (best needle) {
	for _, n := range f[text[at]] {
		if len(n.text) > len(best.text) && strings.HasPrefix(text[at:], n.text) {
			best = n
		}
	}
	return best
}

// alone reports whether no character of a word is next to text[from:to].
func alone(text string, from, to int) bool {
	before, _ := utf8.DecodeLastRuneInString(text[:from])
	after, _ := utf8.DecodeRuneInString(text[to:])
	return !isWord(before) && !isWord(after)
}

// isWord is \w of Unicode Technical Standard 18, annex C.
func isWord(r rune) bool {
	const zeroWidthNonJoiner, zeroWidthJoiner = '\u200c', '\u200d'
	return r != utf8.RuneError && (r == zeroWidthNonJoiner || r == zeroWidthJoiner ||
		unicode.In(r, unicode.L, unicode.M, unicode.Nd, unicode.Nl, unicode.Pc, unicode.Other_Alphabetic))
}
