package tokenizer

import (
	_ "embed"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
)

//go:embed nfc.txt
var nfcText string

// nfcTables hold what normalization form C (Unicode Standard Annex 15) needs, in the
// version of Unicode that the reference normalizes by.
type nfcTables struct {
	decompose map[rune][]rune
	compose   map[[2]rune]rune
	class     map[rune]uint8 // canonical combining class, where it is not 0
}

var loadNFC = sync.OnceValue(func() *nfcTables {
	t := &nfcTables{map[rune][]rune{}, map[[2]rune]rune{}, map[rune]uint8{}}
	for line := range strings.Lines(nfcText) {
		line = strings.TrimSpace(line)
		switch at := strings.IndexAny(line, "#=<:"); {
		case at < 1:
		case line[at] == ':':
			class, err := strconv.ParseUint(line[:at], 10, 8)
			if err != nil {
				panic(fmt.Sprintf("nfc.txt: %q: %v", line, err))
			}
			for span := range strings.FieldsSeq(line[at+1:]) {
				from, to, _ := strings.Cut(span, "-")
				for r := hexRune(from); r <= hexRune(to); r++ {
					t.class[r] = uint8(class)
				}
			}
		default:
			var parts []rune
			for p := range strings.FieldsSeq(line[at+1:]) {
				parts = append(parts, hexRune(p))
			}
			whole := hexRune(line[:at])
			t.decompose[whole] = parts
			if line[at] == '=' {
				t.compose[[2]rune{parts[0], parts[1]}] = whole
			}
		}
	}
	return t
})

func hexRune(s string) rune {
	n, err := strconv.ParseUint(s, 16, 21)
	if err != nil {
		panic(fmt.Sprintf("nfc.txt: %v", err))
	}
	return rune(n)
}

// Hangul syllables compose by arithmetic (Unicode Standard, section 3.12).
const (
	hangulFirst = 0xAC00
	leadFirst   = 0x1100
	vowelFirst  = 0x1161
	tailFirst   = 0x11A7 // one before the first tail: a syllable may have none
	leads       = 19
	vowels      = 21
	tails       = 28
)

// NFC normalizes s to form C: letters and their accents become one code point
// where there is one.
func NFC(s string) string {
	if isComposed(s) {
		return s
	}
	t := loadNFC()
	return string(t.composed(t.decomposed(s)))
}

// nfd normalizes s to form D: letters first, then their accents.
func nfd(s string) string { return string(loadNFC().decomposed(s)) }

// isComposed reports whether s lies below the combining marks, where everything is composed.
func isComposed(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r >= 0x300 }) < 0
}

// decomposed is s as letters and marks, in order.
func (t *nfcTables) decomposed(s string) []rune {
	runes := make([]rune, 0, len(s))
	for _, r := range s {
		runes = t.appendDecomposed(runes, r)
	}
	t.order(runes)
	return runes
}

func (t *nfcTables) appendDecomposed(to []rune, r rune) []rune {
	if n := r - hangulFirst; n >= 0 && n < leads*vowels*tails {
		to = append(to, leadFirst+n/(vowels*tails), vowelFirst+n/tails%vowels)
		if n%tails != 0 {
			to = append(to, tailFirst+n%tails)
		}
		return to
	}
	parts, ok := t.decompose[r]
	if !ok {
		return append(to, r)
	}
	for _, p := range parts {
		to = t.appendDecomposed(to, p)
	}
	return to
}

// order sorts every run of combining marks by class.
func (t *nfcTables) order(runes []rune) {
	for i := 0; i < len(runes); i++ {
		end := i
		for end < len(runes) && t.class[runes[end]] != 0 {
			end++
		}
		if end > i+1 {
			slices.SortStableFunc(runes[i:end], func(a, b rune) int { return int(t.class[a]) - int(t.class[b]) })
		}
		i = max(i, end)
	}
}

// composed joins marks with the letter they belong to, in place.
func (t *nfcTables) composed(runes []rune) []rune {
	out := runes[:0]
	starter := -1 // place in out of the last letter
	last := -1    // class of the mark before, -1 right after the letter
	for _, r := range runes {
		class := int(t.class[r])
		if starter >= 0 && last < class {
			if whole, ok := t.pair(out[starter], r); ok {
				out[starter] = whole
				continue
			}
		}
		last = class
		if class == 0 {
			starter, last = len(out), -1
		}
		out = append(out, r)
	}
	return out
}

// pair composes two code points that follow each other.
func (t *nfcTables) pair(a, b rune) (rune, bool) {
	if l, v := a-leadFirst, b-vowelFirst; l >= 0 && l < leads && v >= 0 && v < vowels {
		return hangulFirst + (l*vowels+v)*tails, true
	}
	if n, tail := a-hangulFirst, b-tailFirst; n >= 0 && n < leads*vowels*tails && n%tails == 0 && tail > 0 && tail < tails {
		return a + tail, true
	}
	whole, ok := t.compose[[2]rune{a, b}]
	return whole, ok
}
