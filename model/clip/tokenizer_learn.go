package clip

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"focusnfix/model/tokenizer"
)

// smallestVocabulary holds every byte inside and at the end of a word, and the two
// special tokens, so that nothing is unknown.
const smallestVocabulary = 256 + 256 + 2

// LearnTokenizer makes a tokenizer of at most vocabSize tokens, and length ids a
// prompt, from texts: the most frequent pair of neighboring pieces becomes a piece,
// again and again (Sennrich et al., arXiv 1508.07909, algorithm 1); among equals the
// pair that sorts first. It stops early when every word is one piece. The same texts
// in any order give the same tokenizer. The layout is OpenAI's: bytes, bytes that end
// a word, merges, start, end; the pad token is the end token.
func LearnTokenizer(texts []string, vocabSize, length int) (*Tokenizer, error) {
	if vocabSize < smallestVocabulary {
		return nil, fmt.Errorf("learn tokenizer: vocabulary of %d, want %d or more", vocabSize, smallestVocabulary)
	}
	corpus := spellWords(texts)
	var merges []tokenizer.Pair
	for len(merges) < vocabSize-smallestVocabulary {
		best, ok := mostFrequent(corpus)
		if !ok {
			break
		}
		merges = append(merges, best)
		for i := range corpus {
			corpus[i].pieces = joinPair(corpus[i].pieces, best)
		}
	}
	cfg := &tokenizerConfig{
		MaxLength: float64(length),
		Start:     specialToken{Content: startText},
		End:       specialToken{Content: endText},
		Unknown:   specialToken{Content: endText},
		Pad:       specialToken{Content: endText},
	}
	t, err := newTokenizer(layOutVocabulary(merges), merges, cfg)
	if err != nil {
		return nil, fmt.Errorf("learn tokenizer: %w", err)
	}
	return t, nil
}

// layOutVocabulary numbers the pieces as OpenAI does.
func layOutVocabulary(merges []tokenizer.Pair) map[string]int64 {
	vocab := make(map[string]int64, smallestVocabulary+len(merges))
	add := func(piece string) { vocab[piece] = int64(len(vocab)) }
	visible := slices.Sorted(maps.Keys(tokenizer.RuneBytes)) // printable bytes come first
	for _, suffix := range []string{"", endOfWord} {
		for _, r := range visible {
			add(string(r) + suffix)
		}
	}
	for _, m := range merges {
		add(m.Left + m.Right)
	}
	add(startText)
	add(endText)
	return vocab
}

// spelledWord is a word of the training text and how often it occurs.
type spelledWord struct {
	pieces []string
	count  int
}

// spellWords counts the words of texts, in the order of their spelling.
func spellWords(texts []string) []spelledWord {
	counts := map[string]int{}
	for _, text := range texts {
		for word := range words(normalize(strings.ToValidUTF8(text, "\uFFFD"))) {
			counts[word]++
		}
	}
	var corpus []spelledWord
	for _, word := range slices.Sorted(maps.Keys(counts)) {
		corpus = append(corpus, spelledWord{spell(word), counts[word]})
	}
	return corpus
}

// spell is word as one piece per byte, the last one marked.
func spell(word string) []string {
	pieces := make([]string, len(word))
	for i := range len(word) {
		pieces[i] = string(tokenizer.ByteRunes[word[i]])
	}
	pieces[len(word)-1] += endOfWord
	return pieces
}

// mostFrequent counts neighbors over the corpus; ok is false when there are none.
func mostFrequent(corpus []spelledWord) (best tokenizer.Pair, ok bool) {
	counts := map[tokenizer.Pair]int{}
	for _, w := range corpus {
		for i := range len(w.pieces) - 1 {
			counts[tokenizer.Pair{Left: w.pieces[i], Right: w.pieces[i+1]}] += w.count
		}
	}
	most := 0
	for p, n := range counts {
		if n > most || n == most && (p.Left < best.Left || p.Left == best.Left && p.Right < best.Right) {
			best, most = p, n
		}
	}
	return best, most > 0
}

// joinPair joins every p in pieces, left to right.
func joinPair(pieces []string, p tokenizer.Pair) []string {
	out := pieces[:0]
	for i := 0; i < len(pieces); i++ {
		if i+1 < len(pieces) && pieces[i] == p.Left && pieces[i+1] == p.Right {
			out = append(out, p.Left+p.Right)
			i++
			continue
		}
		out = append(out, pieces[i])
	}
	return out
}

// Save writes the tokenizer folder of a diffusers model: vocab.json, merges.txt,
// tokenizer_config.json and special_tokens_map.json. dir is made if need be.
func (t *Tokenizer) Save(dir string) error {
	if err := t.SaveVocabulary(dir); err != nil {
		return err
	}
	names := map[string]any{
		"bos_token": t.pieces[t.start], "eos_token": t.pieces[t.end],
		"pad_token": t.pieces[t.pad], "unk_token": t.pieces[t.unknown],
	}
	cfg := maps.Clone(names)
	cfg["model_max_length"] = t.length
	cfg["tokenizer_class"] = "CLIPTokenizer"
	texts := map[string][]byte{}
	for name, value := range map[string]any{"tokenizer_config.json": cfg, "special_tokens_map.json": names} {
		raw, err := json.MarshalIndent(value, "", "  ")
		if err != nil {
			return err
		}
		texts[name] = append(raw, '\n')
	}
	return writeFiles(dir, texts)
}

// SaveVocabulary writes vocab.json and merges.txt alone. dir is made if need be.
func (t *Tokenizer) SaveVocabulary(dir string) error {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	return writeFiles(dir, map[string][]byte{"vocab.json": t.vocabJSON(), "merges.txt": t.mergesText()})
}

func writeFiles(dir string, texts map[string][]byte) error {
	var errs []error
	for name, text := range texts {
		errs = append(errs, os.WriteFile(filepath.Join(dir, name), text, 0o666))
	}
	return errors.Join(errs...)
}

// vocabJSON is the vocabulary by id, as OpenAI's files have it.
func (t *Tokenizer) vocabJSON() []byte {
	var b bytes.Buffer
	b.WriteByte('{')
	for id, piece := range t.pieces {
		if piece == "" {
			continue
		}
		if b.Len() > 1 {
			b.WriteByte(',')
		}
		quoted, _ := json.Marshal(piece) // text always marshals
		b.Write(quoted)
		b.WriteByte(':')
		b.WriteString(strconv.Itoa(id))
	}
	b.WriteString("}\n")
	return b.Bytes()
}

// mergesText is the merges by rank under the line that other programs expect.
func (t *Tokenizer) mergesText() []byte {
	lines := make([]string, len(t.bpe.pairs))
	for i, p := range t.bpe.pairs {
		lines[i] = p.Left + " " + p.Right
	}
	return []byte("#version: 0.2\n" + strings.Join(lines, "\n") + "\n")
}
