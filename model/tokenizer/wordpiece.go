package tokenizer

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// wordPiece cuts a word from the left into the longest pieces of a vocabulary (Wu et al., arXiv
// 1609.08144); a word that cannot be cut to its end is unknown as a whole.
type wordPiece struct {
	ids     map[string]int64
	prefix  string // of pieces inside a word
	unknown int64
	longest int // characters of a word that is cut at all
}

func readWordPiece(part json.RawMessage) (*wordPiece, map[string]int64, error) {
	file := struct {
		Vocab   map[string]int64 `json:"vocab"`
		Unknown string           `json:"unk_token"`
		Prefix  string           `json:"continuing_subword_prefix"`
		Longest int              `json:"max_input_chars_per_word"`
	}{Unknown: "[UNK]", Prefix: "##", Longest: 100}
	if err := json.Unmarshal(part, &file); err != nil {
		return nil, nil, err
	}
	unknown, ok := file.Vocab[file.Unknown]
	if !ok {
		return nil, nil, fmt.Errorf("unk_token %q is not in the vocabulary", file.Unknown)
	}
	if file.Prefix == "" || file.Longest < 1 {
		return nil, nil, errors.New("continuing_subword_prefix is empty, or max_input_chars_per_word less than 1")
	}
	ids := make(map[string]int64, len(file.Vocab))
	for text, id := range file.Vocab {
		ids[text] = id
	}
	return &wordPiece{file.Vocab, file.Prefix, unknown, file.Longest}, ids, nil
}

// appendIDs adds the tokens of one word.
func (w *wordPiece) appendIDs(ids []int64, word string) []int64 {
	if utf8.RuneCountInString(word) > w.longest {
		return append(ids, w.unknown)
	}
	start, prefix := len(ids), ""
	for rest := word; rest != ""; prefix = w.prefix {
		end := len(rest)
		for ; end > 0; end-- {
			if id, ok := w.ids[prefix+rest[:end]]; ok && (end == len(rest) || utf8.RuneStart(rest[end])) {
				ids = append(ids, id)
				break
			}
		}
		if end == 0 {
			return append(ids[:start], w.unknown)
		}
		rest = rest[end:]
	}
	return ids
}

// bertNormalizer cleans and folds text as BERT was trained on it.
type bertNormalizer struct {
	CleanText     bool  `json:"clean_text"`
	ChineseApart  bool  `json:"handle_chinese_chars"`
	StripAccents  *bool `json:"strip_accents"` // absent: as Lowercase
	LowercaseText bool  `json:"lowercase"`
}

func (n bertNormalizer) normalize(text string) string {
	if n.CleanText {
		text = strings.Map(cleaned, text)
	}
	if n.ChineseApart {
		text = chineseApart(text)
	}
	if n.StripAccents != nil && *n.StripAccents || n.StripAccents == nil && n.LowercaseText {
		text = strings.Map(func(r rune) rune {
			if unicode.Is(unicode.Mn, r) {
				return -1
			}
			return r
		}, nfd(text))
	}
	if n.LowercaseText {
		text = Lower(text)
	}
	return text
}

// cleaned drops what cannot be seen and makes every white space a space.
func cleaned(r rune) rune {
	switch {
	case r == 0 || r == utf8.RuneError:
		return -1
	case unicode.IsSpace(r):
		return ' '
	case unicode.In(r, unicode.Cc, unicode.Cf, unicode.Co):
		return -1
	}
	return r
}

// chinese are the blocks whose characters are words.
var chinese = &unicode.RangeTable{
	R16: []unicode.Range16{{Lo: 0x3400, Hi: 0x4DBF, Stride: 1}, {Lo: 0x4E00, Hi: 0x9FFF, Stride: 1}, {Lo: 0xF900, Hi: 0xFAFF, Stride: 1}},
	R32: []unicode.Range32{
		{Lo: 0x20000, Hi: 0x2A6DF, Stride: 1},
		{Lo: 0x2A700, Hi: 0x2B73F, Stride: 1},
		{Lo: 0x2B740, Hi: 0x2B81F, Stride: 1},
		{Lo: 0x2B920, Hi: 0x2CEAF, Stride: 1},
		{Lo: 0x2F800, Hi: 0x2FA1F, Stride: 1},
	},
}

func chineseApart(text string) string {
	var b strings.Builder
	for _, r := range text {
		if unicode.Is(chinese, r) {
			b.WriteString(" " + string(r) + " ")
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

// Lower is the lower case of every character. 'İ' is the one letter whose lower case has two code points
// in every language; unicode.ToLower knows only the first.
func Lower(text string) string {
	var b strings.Builder
	for _, r := range text {
		b.WriteRune(unicode.ToLower(r))
		if r == 'İ' {
			b.WriteRune('\u0307')
		}
	}
	return b.String()
}

// splitBERT cuts at white space and sets every punctuation mark apart.
func splitBERT(text string, _ bool) []string {
	var pieces []string
	for _, word := range strings.FieldsFunc(text, unicode.IsSpace) {
		from := 0
		for at, r := range word {
			if !isPunctuation(r) {
				continue
			}
			if at > from {
				pieces = append(pieces, word[from:at])
			}
			from = at + utf8.RuneLen(r)
			pieces = append(pieces, word[at:from])
		}
		if from < len(word) {
			pieces = append(pieces, word[from:])
		}
	}
	return pieces
}

func isPunctuation(r rune) bool {
	return r < utf8.RuneSelf && r > ' ' && r != 0x7F && !unicode.IsLetter(r) && !unicode.IsDigit(r) || unicode.IsPunct(r)
}
