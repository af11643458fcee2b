package clip

import (
	"strings"

	"focusnfix/model/tokenizer"
)

// endOfWord marks the last piece of a word in the vocabulary.
const endOfWord = "</w>"

// bpe cuts words into the pieces of a vocabulary by byte-pair encoding (Sennrich
// et al., arXiv 1508.07909).
type bpe struct {
	pairs  []tokenizer.Pair // as in merges.txt: earlier ones come first
	merges tokenizer.Merges
	bytes  [2][256]int64 // ids of the pieces that are one byte, inside and at the end of a word
}

// newBPE checks that the pieces of every merge and what they make are in the vocabulary.
func newBPE(ids map[string]int64, pairs []tokenizer.Pair) (*bpe, error) {
	merges, err := tokenizer.NewMerges(ids, pairs)
	if err != nil {
		return nil, err
	}
	m := &bpe{pairs: pairs, merges: merges}
	for end, suffix := range []string{"", endOfWord} {
		for b, r := range tokenizer.ByteRunes {
			id, ok := ids[string(r)+suffix]
			if !ok {
				id = unspelled
			}
			m.bytes[end][b] = id
		}
	}
	return m, nil
}

// unspelled is the id of a byte that the vocabulary does not have.
const unspelled = -1

// appendIDs adds the tokens of one word; unknown stands for what cannot be spelled.
func (m *bpe) appendIDs(to []int64, word string, unknown int64) []int64 {
	start := len(to)
	last := len(word) - 1
	for i := range last {
		to = append(to, m.bytes[0][word[i]])
	}
	to = append(to, m.bytes[1][word[last]])
	to = to[:start+m.merges.Join(to[start:])]
	for i, id := range to[start:] {
		if id == unspelled {
			to[start+i] = unknown
		}
	}
	return to
}

// unspell turns pieces back into text: words with a space after each.
func unspell(pieces []string) string {
	var b strings.Builder
	for _, piece := range pieces {
		word := strings.TrimSuffix(piece, endOfWord)
		for _, r := range word {
			if at, ok := tokenizer.RuneBytes[r]; ok {
				b.WriteByte(at)
			}
		}
		if word != piece {
			b.WriteByte(' ')
		}
	}
	return strings.ToValidUTF8(strings.TrimSpace(b.String()), "\uFFFD")
}
