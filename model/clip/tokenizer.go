// Package clip is CLIP: the tokenizer, and the text and image encoders.
package clip

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"focusnfix/model/tokenizer"
)

// Tokenizer turns prompts into token ids as the CLIPTokenizer of transformers 5
// does, which diffusers loads by default: form C, lower case, words by character
// class, byte-level BPE. (The Python-only class of transformers 4 differed: without
// ftfy it set Chinese characters apart.) It is safe for concurrent use.
type Tokenizer struct {
	length   int // ids that Encode returns
	bpe      *bpe
	pieces   []string // by id; "" where there is none
	specials []special

	start, end, pad, unknown int64
}

// special is a token that is found in the text as it stands, before words are cut.
type special struct {
	text       string
	id         int64
	normalized bool // found in the normalized text, else in the text as typed
	// Takes white space on its left or right with it; is only found between what are no letters or numbers.
	lstrip, rstrip, singleWord bool
}

// Tokens is an encoded prompt.
type Tokens struct {
	IDs   []int64 // always as many as the model's context: start, words, end, padding
	Count int     // of IDs before the padding
	Lost  string  // the words that did not fit; "" when all did
}

// Length is the number of ids that Encode returns: 77 for Stable Diffusion.
func (t *Tokenizer) Length() int { return t.length }

// Encode never fails: what cannot be spelled becomes the unknown token, and what
// does not fit is cut off and named.
func (t *Tokenizer) Encode(prompt string) Tokens {
	words := t.encode(prompt)
	room := t.length - 2
	lost := ""
	if len(words) > room {
		lost = t.decode(words[room:])
		words = words[:room]
	}
	ids := make([]int64, 0, t.length)
	ids = append(ids, t.start)
	ids = append(ids, words...)
	ids = append(ids, t.end)
	count := len(ids)
	for len(ids) < t.length {
		ids = append(ids, t.pad)
	}
	return Tokens{IDs: ids, Count: count, Lost: lost}
}

// encode is the ids of prompt alone. Specials that stand in the typed text come
// first, the rest is normalized and searched for the others.
func (t *Tokenizer) encode(prompt string) []int64 {
	var ids []int64
	prompt = strings.ToValidUTF8(prompt, "\uFFFD")
	t.cut(prompt, false, func(raw string) {
		t.cut(normalize(raw), true, func(text string) {
			for word := range words(text) {
				ids = t.bpe.appendIDs(ids, word, t.unknown)
			}
		}, func(id int64) { ids = append(ids, id) })
	}, func(id int64) { ids = append(ids, id) })
	return ids
}

// cut hands the specials in text to found and what lies between them to rest: the leftmost first, the longest
// of several.
func (t *Tokenizer) cut(text string, normalized bool, rest func(string), found func(int64)) {
	from := 0
	for at := 0; at < len(text); {
		best := special{}
		for _, s := range t.specials {
			if s.normalized == normalized && len(s.text) > len(best.text) && strings.HasPrefix(text[at:], s.text) {
				best = s
			}
		}
		if best.text == "" {
			at++
			continue
		}
		end := at + len(best.text)
		if best.singleWord && (endsInWord(text[:at]) || beginsInWord(text[end:])) {
			at = end
			continue
		}
		before := text[from:at]
		if best.lstrip {
			before = strings.TrimRightFunc(before, unicode.IsSpace)
		}
		if best.rstrip {
			end = len(text) - len(strings.TrimLeftFunc(text[end:], unicode.IsSpace))
		}
		rest(before)
		found(best.id)
		at, from = end, end
	}
	rest(text[from:])
}

func endsInWord(text string) bool {
	r, n := utf8.DecodeLastRuneInString(text)
	return n > 0 && isWord(r)
}

func beginsInWord(text string) bool {
	r, n := utf8.DecodeRuneInString(text)
	return n > 0 && isWord(r)
}

// isWord is \w of the reference.
func isWord(r rune) bool {
	return unicode.IsLetter(r) || unicode.IsMark(r) || unicode.IsDigit(r) || unicode.Is(unicode.Nl, r) || unicode.Is(unicode.Pc, r)
}

// decode is the text of ids, for people.
func (t *Tokenizer) decode(ids []int64) string {
	pieces := make([]string, len(ids))
	for i, id := range ids {
		pieces[i] = t.pieces[id]
		if slices.ContainsFunc(t.specials, func(s special) bool { return s.id == id }) {
			pieces[i] += endOfWord // specials stand apart
		}
	}
	return unspell(pieces)
}

// normalize is form C in lower case.
func normalize(text string) string { return tokenizer.Lower(tokenizer.NFC(text)) }

// contractions are cut off as words of their own, in this order of preference.
var contractions = []string{"'s", "'t", "'re", "'ve", "'m", "'ll", "'d"}

// words yields what this expression of the reference matches, left to right:
//
//	<\|startoftext\|>|<\|endoftext\|>|'(s|t|re|ve|m|ll|d)|\p{L}+|\p{N}|[^\s\p{L}\p{N}]+
//
// The first two stand for themselves only in odd letter case (<|EndOfText|>); the
// byte-level step of the reference then cuts them in three.
func words(text string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for text != "" {
			if inner := markerAt(text); inner != "" {
				if !yield("<|") || !yield(inner) || !yield("|>") {
					return
				}
				text = text[len(inner)+4:]
				continue
			}
			n := wordEnd(text)
			if r, _ := utf8.DecodeRuneInString(text); !unicode.IsSpace(r) && !yield(text[:n]) {
				return
			}
			text = text[n:]
		}
	}
}

// markerAt is the word between <| and |> if text begins with such a marker.
func markerAt(text string) string {
	for _, marker := range []string{startText, endText} {
		if strings.HasPrefix(text, marker) {
			return marker[2 : len(marker)-2]
		}
	}
	return ""
}

// wordEnd is the length in bytes of the word, or the one space, that text begins with.
func wordEnd(text string) int {
	for _, c := range contractions {
		if strings.HasPrefix(text, c) {
			return len(c)
		}
	}
	first, size := utf8.DecodeRuneInString(text)
	kind := kindOf(first)
	if kind == number || kind == space {
		return size
	}
	end := strings.IndexFunc(text, func(r rune) bool { return kindOf(r) != kind })
	if end < 0 {
		return len(text)
	}
	return end
}

// kind is a class of characters that the expression above tells apart.
type kind uint8

const (
	other kind = iota
	letter
	number
	space
)

func kindOf(r rune) kind {
	switch {
	case unicode.IsLetter(r):
		return letter
	case unicode.IsNumber(r):
		return number
	case unicode.IsSpace(r):
		return space
	}
	return other
}
