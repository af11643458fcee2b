package tokenizer

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"unicode/utf8"
)

// unigram chooses the pieces of a text whose probabilities have the largest product (Kudo, arXiv
// 1804.10959, section 3.2), found by dynamic programming over the places where a piece may end.
type unigram struct {
	ids     map[string]int64
	scores  []float64 // log probability, by id
	unknown int64
	lowest  float64 // of scores
	longest int     // bytes of the longest piece
}

// unknownPenalty is how much less probable an unknown character is than the rarest piece.
const unknownPenalty = 10

func readUnigram(part json.RawMessage) (*unigram, map[string]int64, error) {
	var file struct {
		UnknownID    *int64              `json:"unk_id"`
		Vocab        [][]json.RawMessage `json:"vocab"`
		ByteFallback bool                `json:"byte_fallback"`
	}
	if err := json.Unmarshal(part, &file); err != nil {
		return nil, nil, err
	}
	if file.ByteFallback {
		return nil, nil, errors.New("byte_fallback is not supported")
	}
	if file.UnknownID == nil || *file.UnknownID < 0 || *file.UnknownID >= int64(len(file.Vocab)) {
		return nil, nil, fmt.Errorf("unk_id is missing, or outside a vocabulary of %d", len(file.Vocab))
	}
	u := &unigram{ids: make(map[string]int64, len(file.Vocab)), unknown: *file.UnknownID, lowest: math.Inf(1)}
	all := make(map[string]int64, len(file.Vocab))
	for id, entry := range file.Vocab {
		var piece string
		var score float64
		if len(entry) != 2 || json.Unmarshal(entry[0], &piece) != nil || json.Unmarshal(entry[1], &score) != nil {
			return nil, nil, fmt.Errorf("vocab[%d]: want a piece and its score", id)
		}
		u.ids[piece], all[piece] = int64(id), int64(id)
		u.scores = append(u.scores, score)
		u.lowest, u.longest = min(u.lowest, score), max(u.longest, len(piece))
	}
	return u, all, nil
}

// ending is the best way to cut a text that ends at one place.
type ending struct {
	score float64
	start int // of its last piece; -1 where none ends
	id    int64
}

// appendIDs adds the tokens of one piece of text. Unknown characters in a row are one token.
func (u *unigram) appendIDs(ids []int64, text string) []int64 {
	best := u.best(text)
	start := len(ids)
	for end := len(text); end > 0; end = best[end].start {
		id := best[end].id
		if id == u.unknown && len(ids) > start && ids[len(ids)-1] == u.unknown {
			continue
		}
		ids = append(ids, id)
	}
	slices.Reverse(ids[start:])
	return ids
}

// best has the best ending at every byte of text.
func (u *unigram) best(text string) []ending {
	best := make([]ending, len(text)+1)
	for i := range best {
		best[i].start = -1
	}
	improve := func(end int, candidate ending) {
		if best[end].start < 0 || candidate.score > best[end].score {
			best[end] = candidate
		}
	}
	for start := 0; start < len(text); {
		_, width := utf8.DecodeRuneInString(text[start:])
		single := false // whether the next character alone is a piece
		for end := start + 1; end <= min(len(text), start+u.longest); end++ {
			if id, ok := u.ids[text[start:end]]; ok {
				improve(end, ending{best[start].score + u.scores[id], start, id})
				single = single || end == start+width
			}
		}
		if !single {
			improve(start+width, ending{best[start].score + u.lowest - unknownPenalty, start, u.unknown})
		}
		start += width
	}
	return best
}
