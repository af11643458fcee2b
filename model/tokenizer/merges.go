package tokenizer

import (
	"container/heap"
	"fmt"
	"slices"
)

// ByteRunes spells every byte as a visible character, as GPT-2 does: printable Latin-1 stands for
// itself, the other 68 bytes for U+0100 and what follows.
var ByteRunes = func() (to [256]rune) {
	next := rune(256)
	for b := range 256 {
		r := rune(b)
		if r <= ' ' || r > '~' && r < '¡' || r == '\u00ad' { // soft hyphen
			r, next = next, next+1
		}
		to[b] = r
	}
	return to
}()

// RuneBytes is the way back from ByteRunes.
var RuneBytes = func() map[rune]byte {
	from := make(map[rune]byte, 256)
	for b, r := range ByteRunes {
		from[r] = byte(b)
	}
	return from
}()

// Pair is two neighboring pieces of a word.
type Pair struct{ Left, Right string }

// Merges are the pairs of pieces that byte-pair encoding joins (Sennrich et al., arXiv 1508.07909).
type Merges map[[2]int64]merged

// merged is what two pieces become.
type merged struct {
	rank int // earlier merges come first
	id   int64
}

// NewMerges checks that the pieces of every merge and what they make are in the vocabulary.
func NewMerges(ids map[string]int64, pairs []Pair) (Merges, error) {
	m := make(Merges, len(pairs))
	var whole []byte
	for i, p := range pairs {
		whole = append(append(whole[:0], p.Left...), p.Right...)
		left, ok1 := ids[p.Left]
		right, ok2 := ids[p.Right]
		id, ok3 := ids[string(whole)]
		if !ok1 || !ok2 || !ok3 {
			return nil, fmt.Errorf("merge %d: %q, %q or the two as one is not in the vocabulary", i+1, p.Left, p.Right)
		}
		m[[2]int64{left, right}] = merged{i, id}
	}
	return m, nil
}

// Join joins the pair with the lowest rank, leftmost first, until none is left, in place, and returns how
// many pieces remain. A heap of candidates keeps a word of n bytes at n log n.
func (m Merges) Join(ids []int64) int {
	const gone = -2
	next := make([]int, len(ids)) // neighbors among the pieces that are left
	prev := make([]int, len(ids))
	var queue mergeQueue
	push := func(at int) {
		if at >= 0 && next[at] < len(ids) {
			p := [2]int64{ids[at], ids[next[at]]}
			if to, ok := m[p]; ok {
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

// candidate is a pair that could be merged: the piece at and its neighbor.
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
