package tokenizer

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// bpe is byte-pair encoding over pieces that a byte-level splitter spelled in visible characters.
type bpe struct {
	ids          map[string]int64
	merges       Merges
	ignoreMerges bool // a piece that is in the vocabulary as a whole is one token, whatever the merges say
}

func readBPE(part json.RawMessage) (*bpe, map[string]int64, error) {
	var file struct {
		Vocab        map[string]int64  `json:"vocab"`
		Merges       []json.RawMessage `json:"merges"`
		IgnoreMerges bool              `json:"ignore_merges"`
		Dropout      *float64          `json:"dropout"`
		Prefix       *string           `json:"continuing_subword_prefix"`
		Suffix       *string           `json:"end_of_word_suffix"`
		ByteFallback bool              `json:"byte_fallback"`
	}
	if err := json.Unmarshal(part, &file); err != nil {
		return nil, nil, err
	}
	if file.Dropout != nil && *file.Dropout != 0 || !isEmpty(file.Prefix) || !isEmpty(file.Suffix) || file.ByteFallback {
		return nil, nil, errors.New("dropout, continuing_subword_prefix, end_of_word_suffix and byte_fallback are not supported")
	}
	for b, r := range ByteRunes {
		if _, ok := file.Vocab[string(r)]; !ok {
			return nil, nil, fmt.Errorf("the vocabulary lacks byte %d, spelled %q", b, r)
		}
	}
	pairs := make([]Pair, len(file.Merges))
	for i, text := range file.Merges {
		var err error
		if pairs[i], err = readMerge(text); err != nil {
			return nil, nil, fmt.Errorf("merge %d: %w", i+1, err)
		}
	}
	merges, err := NewMerges(file.Vocab, pairs)
	if err != nil {
		return nil, nil, err
	}
	ids := make(map[string]int64, len(file.Vocab))
	for text, id := range file.Vocab {
		ids[text] = id
	}
	return &bpe{file.Vocab, merges, file.IgnoreMerges}, ids, nil
}

func isEmpty(s *string) bool { return s == nil || *s == "" }

// readMerge reads "LEFT RIGHT", or ["LEFT","RIGHT"] as tokenizers writes since 0.20.
func readMerge(text json.RawMessage) (Pair, error) {
	var both []string
	if json.Unmarshal(text, &both) == nil && len(both) == 2 {
		return Pair{both[0], both[1]}, nil
	}
	var line string
	if json.Unmarshal(text, &line) == nil {
		if left, right, ok := strings.Cut(line, " "); ok {
			return Pair{left, right}, nil
		}
	}
	return Pair{}, fmt.Errorf("%.40s, want two pieces", text)
}

// appendIDs adds the tokens of one piece.
func (m *bpe) appendIDs(ids []int64, piece string) []int64 {
	if id, ok := m.ids[piece]; ok && m.ignoreMerges {
		return append(ids, id)
	}
	start := len(ids)
	for _, r := range piece {
		if id, ok := m.ids[string(r)]; ok {
			ids = append(ids, id)
		}
	}
	return ids[:start+m.merges.Join(ids[start:])]
}
