package clip

import (
	"container/heap"
	"fmt"
	"strings"
)

// endOfWord marks the last piece of a word in the vocabulary.
const endOfWord = "</w>"

// byteRunes spells every byte as a visible character, as GPT-2 does: printable
// Latin-1 stands for itself, the other 68 bytes for U+0100 and what follows.
var byteRunes, runeBytes = func() (to [256]rune, from map[rune]byte) {
	from = make(map[rune]byte, 256)
	next := rune(256)
	for b := range 256 {
		r := rune(b)
		if !('!' <= r && r <= '~' || '¡' <= r && r <= '¬' || '®' <= r && r <= 'ÿ') {
			r, next = next, next+1
		}
		to[b], from[r] = r, byte(b)
	}
	return to, from
}()

// pair is two neighbouring pieces of a word.
type pair struct{ left, right string }

// bpe cuts words into the pieces of a vocabulary by byte-pair encoding (Sennrich
// et al., arXiv 1508.07909).
type bpe struct {
	vocab map[string]int64
	ranks map[pair]int // place in merges.txt; lower merges first
}

// newBPE checks that the pieces of every merge and what they make are in vocab.
func newBPE(vocab map[string]int64, merges []pair) (*bpe, error) {
	m := &bpe{vocab: vocab, ranks: make(map[pair]int, len(merges))}
	for i, p := range merges {
		for _, piece := range []string{p.left, p.right, p.left + p.right} {
			if _, ok := vocab[piece]; !ok {
				return nil, fmt.Errorf("merge %d (%s %s): %q is not in the vocabulary", i+1, p.left, p.right, piece)
			}
		}
		m.ranks[p] = i
	}
	return m, nil
}

// appendIDs adds the tokens of one word; unknown stands for a piece the vocabulary
// does not have.
func (m *bpe) appendIDs(ids []int64, word string, unknown int64) []int64 {
	for _, piece := range m.pieces(word) {
		id, ok := m.vocab[piece]
		if !ok {
			id = unknown
		}
		ids = append(ids, id)
	}
	return ids
}

// spell is word as one piece per byte, the last one marked.
func spell(word string) []string {
	pieces := make([]string, len(word))
	for i := range len(word) {
		pieces[i] = string(byteRunes[word[i]])
	}
	pieces[len(word)-1] += endOfWord
	return pieces
}

// pieces merges the lowest-ranked pair, leftmost first, until none is left. A heap
// of candidates keeps a word of n bytes at n log n.
func (m *bpe) pieces(word string) []string {
	pieces := spell(word)
	next := make([]int, len(pieces)) // neighbours among the pieces that are left
	prev := make([]int, len(pieces))
	var queue mergeQueue
	push := func(at int) {
		if at >= 0 && next[at] < len(pieces) {
			p := pair{pieces[at], pieces[next[at]]}
			if rank, ok := m.ranks[p]; ok {
				heap.Push(&queue, candidate{rank, at, p})
			}
		}
	}
	for i := range pieces {
		next[i], prev[i] = i+1, i-1
	}
	for i := range pieces {
		push(i)
	}
	for len(queue) > 0 {
		c := heap.Pop(&queue).(candidate)
		right := next[c.at]
		if pieces[c.at] != c.pair.left || right >= len(pieces) || pieces[right] != c.pair.right {
			continue // merged away meanwhile
		}
		pieces[c.at] += pieces[right]
		pieces[right] = ""
		next[c.at] = next[right]
		if next[c.at] < len(pieces) {
			prev[next[c.at]] = c.at
		}
		push(prev[c.at])
		push(c.at)
	}
	left := pieces[:0]
	for _, p := range pieces {
		if p != "" {
			left = append(left, p)
		}
	}
	return left
}

// candidate is a pair that could be merged: the piece at and its neighbour.
type candidate struct {
	rank, at int
	pair     pair
}

type mergeQueue []candidate

func (q mergeQueue) Len() int { return len(q) }
func (q mergeQueue) Less(i, j int) bool {
	return q[i].rank < q[j].rank || q[i].rank == q[j].rank && q[i].at < q[j].at
}
func (q mergeQueue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *mergeQueue) Push(c any)   { *q = append(*q, c.(candidate)) }
func (q *mergeQueue) Pop() any {
	last := (*q)[len(*q)-1]
	*q = (*q)[:len(*q)-1]
	return last
}

// unspell turns pieces back into text: words with a space after each.
func unspell(pieces []string) string {
	var b strings.Builder
	for _, piece := range pieces {
		word := strings.TrimSuffix(piece, endOfWord)
		for _, r := range word {
			if at, ok := runeBytes[r]; ok {
				b.WriteByte(at)
			}
		}
		if word != piece {
			b.WriteByte(' ')
		}
	}
	return strings.ToValidUTF8(strings.TrimSpace(b.String()), "\uFFFD")
}
