package clip

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"focusnfix/model/tokenizer"
)

// The names the special tokens have where no file says otherwise.
const (
	startText = "<|startoftext|>"
	endText   = "<|endoftext|>"
)

// LoadTokenizer reads the tokenizer folder of a diffusers model: vocab.json and
// merges.txt, or tokenizer.json, and what tokenizer_config.json and
// special_tokens_map.json say about padding and special tokens if they are there.
func LoadTokenizer(dir string) (*Tokenizer, error) {
	vocab, merges, err := readVocabulary(dir)
	if err != nil {
		return nil, err
	}
	cfg, err := readTokenizerConfig(os.DirFS(dir), dir)
	if err != nil {
		return nil, err
	}
	t, err := newTokenizer(vocab, merges, cfg)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", dir, err)
	}
	return t, nil
}

// maxVocabulary is far more than CLIP's 49408 tokens.
const maxVocabulary = 1 << 20

// newTokenizer checks that all parts fit each other.
func newTokenizer(vocab map[string]int64, merges []tokenizer.Pair, cfg *tokenizerConfig) (*Tokenizer, error) {
	model, err := newBPE(vocab, merges)
	if err != nil {
		return nil, err
	}
	t := &Tokenizer{length: cfg.length(), bpe: model}
	if t.length < 3 {
		return nil, fmt.Errorf("tokenizer_config.json: model_max_length %d, want 3 or more", t.length)
	}
	for piece, id := range vocab {
		if id < 0 || id >= maxVocabulary {
			return nil, fmt.Errorf("vocab.json: %q: id %d, want 0 to %d", piece, id, maxVocabulary-1)
		}
		if id >= int64(len(t.pieces)) {
			t.pieces = append(t.pieces, make([]string, id+1-int64(len(t.pieces)))...)
		}
		if t.pieces[id] != "" {
			return nil, fmt.Errorf("vocab.json: %q and %q: both have id %d", piece, t.pieces[id], id)
		}
		t.pieces[id] = piece
	}
	tokens, err := cfg.specials()
	if err != nil {
		return nil, err
	}
	for _, token := range tokens {
		id, ok := vocab[token.Content]
		if !ok {
			return nil, fmt.Errorf("special token %q is not in the vocabulary", token.Content)
		}
		t.specials = append(t.specials, special{token.Content, id, token.Normalized})
	}
	t.start, t.end = vocab[cfg.Start.Content], vocab[cfg.End.Content]
	t.pad, t.unknown = vocab[cfg.Pad.Content], vocab[cfg.Unknown.Content]
	return t, nil
}

// specialToken is a token as config files write it: its text, or an object.
type specialToken struct {
	Content    string `json:"content"`
	Normalized bool   `json:"normalized"`
	LStrip     bool   `json:"lstrip"`
	RStrip     bool   `json:"rstrip"`
	SingleWord bool   `json:"single_word"`
	object     bool
}

func (s *specialToken) UnmarshalJSON(raw []byte) error {
	if bytes.HasPrefix(raw, []byte(`"`)) {
		*s = specialToken{}
		return json.Unmarshal(raw, &s.Content)
	}
	type plain specialToken
	*s = specialToken{}
	if err := json.Unmarshal(raw, (*plain)(s)); err != nil {
		return err
	}
	s.object = true
	return nil
}

// tokenizerConfig is what we need of tokenizer_config.json and special_tokens_map.json.
type tokenizerConfig struct {
	MaxLength float64              `json:"model_max_length"` // 1e30 means none was set
	Added     map[int]specialToken `json:"added_tokens_decoder"`
	Start     specialToken         `json:"bos_token"`
	End       specialToken         `json:"eos_token"`
	Unknown   specialToken         `json:"unk_token"`
	Pad       specialToken         `json:"pad_token"`
}

// readTokenizerConfig reads both files of a folder, which errors call dir; neither has to be there. As
// in the reference, special_tokens_map.json counts only without added_tokens_decoder.
func readTokenizerConfig(files fs.FS, dir string) (*tokenizerConfig, error) {
	cfg := &tokenizerConfig{
		Start:   specialToken{Content: startText},
		End:     specialToken{Content: endText},
		Unknown: specialToken{Content: endText},
		Pad:     specialToken{Content: endText},
	}
	for _, name := range []string{"tokenizer_config.json", "special_tokens_map.json"} {
		if cfg.Added != nil {
			break
		}
		raw, err := fs.ReadFile(files, name)
		if err == nil {
			err = json.Unmarshal(raw, cfg)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("%s: %w", filepath.Join(dir, name), err)
		}
	}
	return cfg, nil
}

// length is the number of ids of a prompt; absurd values mean that none was set.
func (c *tokenizerConfig) length() int {
	if c.MaxLength == 0 || c.MaxLength > 1<<20 {
		return 77
	}
	return int(c.MaxLength)
}

// specials lists the special tokens once each. Where a text occurs as an object and
// as plain text, as the end and pad tokens of SD 1 do, the later one counts, because
// the reference adds one after the other: plain text is not found in other letter case.
func (c *tokenizerConfig) specials() ([]specialToken, error) {
	list := slices.Collect(maps.Values(c.Added))
	type form struct {
		text   string
		object bool
	}
	seen := map[form]bool{}
	for _, token := range []specialToken{c.Start, c.End, c.Unknown, c.Pad} {
		same := func(other specialToken) bool { return other.Content == token.Content }
		if f := (form{token.Content, token.object}); !seen[f] && !slices.ContainsFunc(slices.Collect(maps.Values(c.Added)), same) {
			seen[f] = true
			list = append(slices.DeleteFunc(list, same), token)
		}
	}
	for _, token := range list {
		if token.Content == "" || token.LStrip || token.RStrip || token.SingleWord {
			return nil, fmt.Errorf("special token %q: empty, lstrip, rstrip and single_word are not supported", token.Content)
		}
	}
	return list, nil
}

// readVocabulary reads the two old files or, where they are missing, the one new.
func readVocabulary(dir string) (map[string]int64, []tokenizer.Pair, error) {
	vocab := map[string]int64{}
	path := filepath.Join(dir, "vocab.json")
	err := readJSON(path, &vocab)
	if errors.Is(err, fs.ErrNotExist) {
		vocab, merges, err := readTokenizerJSON(filepath.Join(dir, "tokenizer.json"))
		if errors.Is(err, fs.ErrNotExist) {
			err = fmt.Errorf("%s: no vocab.json and no tokenizer.json; is it the tokenizer folder of a model?", dir)
		}
		return vocab, merges, err
	}
	if err != nil {
		return nil, nil, err
	}
	path = filepath.Join(dir, "merges.txt")
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, nil, err
	}
	merges, err := parseMerges(string(raw))
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", path, err)
	}
	return vocab, merges, nil
}

// parseMerges reads lines of two pieces; the first may be a #version.
func parseMerges(text string) ([]tokenizer.Pair, error) {
	var merges []tokenizer.Pair
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimSuffix(line, "\r")
		if line == "" || i == 0 && strings.HasPrefix(line, "#version") {
			continue
		}
		left, right, ok := strings.Cut(line, " ")
		if !ok || left == "" || right == "" || strings.Contains(right, " ") {
			return nil, fmt.Errorf("line %d: %q, want two pieces with a space between", i+1, line)
		}
		merges = append(merges, tokenizer.Pair{Left: left, Right: right})
	}
	return merges, nil
}

// readTokenizerJSON takes the vocabulary out of a tokenizer.json, which recent
// programs write alone.
func readTokenizerJSON(path string) (map[string]int64, []tokenizer.Pair, error) {
	var file struct {
		Model struct {
			Type   string            `json:"type"`
			Suffix string            `json:"end_of_word_suffix"`
			Vocab  map[string]int64  `json:"vocab"`
			Merges []json.RawMessage `json:"merges"` // "a b" or ["a","b"]
		} `json:"model"`
	}
	if err := readJSON(path, &file); err != nil {
		return nil, nil, err
	}
	if file.Model.Type != "BPE" || file.Model.Suffix != endOfWord {
		return nil, nil, fmt.Errorf("%s: model %q with suffix %q, want BPE with %q; is it CLIP's tokenizer?",
			path, file.Model.Type, file.Model.Suffix, endOfWord)
	}
	merges := make([]tokenizer.Pair, len(file.Model.Merges))
	for i, raw := range file.Model.Merges {
		var both [2]string
		var line string
		if json.Unmarshal(raw, &line) == nil {
			both[0], both[1], _ = strings.Cut(line, " ")
		} else if err := json.Unmarshal(raw, &both); err != nil {
			return nil, nil, fmt.Errorf("%s: merge %d: %w", path, i+1, err)
		}
		merges[i] = tokenizer.Pair{Left: both[0], Right: both[1]}
	}
	return file.Model.Vocab, merges, nil
}

func readJSON(path string, into any) error {
	raw, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}
