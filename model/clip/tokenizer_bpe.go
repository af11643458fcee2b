package clip

import (
	"container/heap"
	"fmt"
	"slices"
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
		if r <= ' ' || r > '~' && r < '¡' || r == '\u00ad' { // soft hyphen
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
	merges []pair // as in merges.txt: earlier ones come first
	table  map[[2]int64]merged
	bytes  [2][256]int64 // ids of the pieces that are one byte, inside and at the end of a word
}

// merged is what two pieces become.
type merged struct {
	rank int // place in merges
	id   int64
}

// newBPE checks that the pieces of every merge and what they make are in the vocabulary.
func newBPE(ids map[string]int64, merges []pair) (*bpe, error) {
	m := &bpe{merges: merges, table: make(map[[2]int64]merged, len(merges))}
	for end, suffix := range []string{"", endOfWord} {
		for b, r := range byteRunes {
			id, ok := ids[string(r)+suffix]
			if !ok {
				id = unspelled
			}
			m.bytes[end][b] = id
		}
	}
	var whole []byte
	for i, p := range merges {
		whole = append(append(whole[:0], p.left...), p.right...)
		left, ok1 := ids[p.left]
		right, ok2 := ids[p.right]
		id, ok3 := ids[string(whole)]
		if !ok1 || !ok2 || !ok3 {
			return nil, fmt.Errorf("merge %d: %q, %q or the two as one is not in the vocabulary", i+1, p.left, p.right)
		}
		m.table[[2]int64{left, right}] = merged{i, id}
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
	to = to[:start+m.merge(to[start:])]
	for i, id := range to[start:] {
		if id == unspelled {
			to[start+i] = unknown
		}
	}
	return to
}

// merge joins the pair with the lowest rank, leftmost first, until none is left, in
// place, and returns how many pieces remain. A heap of candidates keeps a word of n
// bytes at n log n.
func (m *bpe) merge(ids []int64) int {
	const gone = -2
	next := make([]int, len(ids)) // neighbours among the pieces that are left
	prev := make([]int, len(ids))
	var queue mergeQueue
	push := func(at int) {
		if at >= 0 && next[at] < len(ids) {
			p := [2]int64{ids[at], ids[next[at]]}
			if to, ok := m.table[p]; ok {
				heap.Push(&queue, candidate{to, at, p})
			}
		}
	}
	for i := range ids {
		next[i], prev[i] = i+1, i-1
	}
	for i := range ids {
		push(i)
	}
	for len(queue) > 0 {
		c := heap.Pop(&queue).(candidate)
		right := next[c.at]
		if right >= len(ids) || ids[c.at] != c.pair[0] || ids[right] != c.pair[1] {
			continue // merged away meanwhile
		}
		ids[c.at], ids[right] = c.to.id, gone
		next[c.at] = next[right]
		if next[c.at] < len(ids) {
			prev[next[c.at]] = c.at
		}
		push(prev[c.at])
		push(c.at)
	}
	return len(slices.DeleteFunc(ids, func(id int64) bool { return id == gone }))
}

// candidate is a pair that could be merged: the piece at and its neighbour.
type candidate struct {
	to   merged
	at   int
	pair [2]int64
}

type mergeQueue []candidate

func (q mergeQueue) Len() int { return len(q) }
func (q mergeQueue) Less(i, j int) bool {
	return q[i].to.rank < q[j].to.rank || q[i].to.rank == q[j].to.rank && q[i].at < q[j].at
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
