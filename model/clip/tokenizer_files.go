package clip

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"focusnfix/model/config"
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
	if err := cfg.readAdded(dir, vocab); err != nil {
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
		if err := t.name(id, piece); err != nil {
			return nil, err
		}
	}
	tokens, err := cfg.specials()
	if err != nil {
		return nil, err
	}
	for _, token := range tokens {
		id, ok := vocab[token.Content]
		if !ok {
			if id, ok = cfg.idOf(token.Content); !ok {
				return nil, fmt.Errorf("special token %q is not in the vocabulary", token.Content)
			}
			if err := t.name(id, token.Content); err != nil {
				return nil, err
			}
		}
		s := special{token.Content, id, token.Normalized, token.LStrip, token.RStrip, token.SingleWord}
		if s.normalized {
			s.text = normalize(s.text)
		}
		t.specials = append(t.specials, s)
	}
	t.start, t.end = vocab[cfg.Start.Content], vocab[cfg.End.Content]
	t.pad, t.unknown = vocab[cfg.Pad.Content], vocab[cfg.Unknown.Content]
	return t, nil
}

// name gives an id its text.
func (t *Tokenizer) name(id int64, piece string) error {
	if id < 0 || id >= maxVocabulary {
		return fmt.Errorf("vocabulary: %.40q: id %d, want 0 to %d", piece, id, maxVocabulary-1)
	}
	if id >= int64(len(t.pieces)) {
		t.pieces = append(t.pieces, make([]string, id+1-int64(len(t.pieces)))...)
	}
	if t.pieces[id] != "" {
		return fmt.Errorf("vocabulary: %.40q and %.40q: both have id %d", piece, t.pieces[id], id)
	}
	t.pieces[id] = piece
	return nil
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

// SetConfig reads both forms.
func (s *specialToken) SetConfig(value any) error {
	*s = specialToken{}
	switch v := value.(type) {
	case string:
		s.Content = v
		return nil
	case map[string]any:
		s.object = true
		return config.Fill("token", v, s, config.Keys{Irrelevant: map[string]string{"special": "whether decoding may skip it", "id": "the key's"}})
	}
	return errors.New("want a token as text, or an object with its content")
}

// SetConfig reads an object of tokens by their ids.
func (a *addedTokens) SetConfig(value any) error {
	tokens, ok := value.(map[string]any)
	if !ok {
		return errors.New("want an object of tokens by their ids")
	}
	*a = addedTokens{}
	for key, v := range tokens {
		id, err := strconv.ParseInt(key, 10, 64)
		if err != nil {
			return fmt.Errorf("%.40q: want an id", key)
		}
		var token specialToken
		if err := token.SetConfig(v); err != nil {
			return err
		}
		(*a)[id] = token
	}
	return nil
}

// tokenizerKeys are the keys of a tokenizer's configuration beside those that are used.
var tokenizerKeys = config.Keys{
	Plain: map[string][]any{
		"padding_side": {"right"}, "truncation_side": {"right"}, "split_special_tokens": {false},
		"add_bos_token": {true}, "add_eos_token": {true},
		"tokenizer_class": {"CLIPTokenizer", "CLIPTokenizerFast", "TokenizersBackend", "PreTrainedTokenizerFast"},
	},
	Irrelevant: map[string]string{
		"add_prefix_space": "CLIP begins with none", "do_lower_case": "CLIP lowers always", "errors": "for decoding",
		"name_or_path": aboutFile, "special_tokens_map_file": aboutFile, "tokenizer_file": aboutFile, "processor_class": aboutFile,
		"backend": aboutFile, "is_local": aboutFile, "local_files_only": aboutFile, "use_fast": aboutFile, "trust_remote_code": aboutFile,
		"clean_up_tokenization_spaces": "for decoding", "additional_special_tokens": "listed in added_tokens_decoder, too",
		"extra_special_tokens": "listed in added_tokens_decoder, too", "model_input_names": aboutCall, "max_length": aboutCall, "stride": aboutCall,
		"truncation_strategy": aboutCall, "truncation": aboutCall, "padding": aboutCall, "pad_to_multiple_of": aboutCall, "pad_token_id": aboutCall,
		"pad_token_type_id": aboutCall, "legacy": "of other tokenizers", "mask_token": "of other models", "cls_token": "of other models", "sep_token": "of other models",
		"vocab": aboutFile, "merges": aboutFile, "vocab_file": aboutFile, "merges_file": aboutFile, "add_special_tokens": aboutCall, "tokenizer_type": aboutFile,
		"auto_map": aboutFile, "chat_template": "of other models",
	},
}

// tokenizerConfig is what we need of tokenizer_config.json and special_tokens_map.json.
type tokenizerConfig struct {
	MaxLength float64      `json:"model_max_length"` // 1e30 means none was set
	Added     addedTokens  `json:"added_tokens_decoder"`
	Start     specialToken `json:"bos_token"`
	End       specialToken `json:"eos_token"`
	Unknown   specialToken `json:"unk_token"`
	Pad       specialToken `json:"pad_token"`
}

// addedTokens are tokens by their ids.
type addedTokens map[int64]specialToken

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
			err = config.Parse(filepath.Join(dir, name), raw, cfg, tokenizerKeys)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	return cfg, nil
}

// readAdded takes in the tokens that were added to a vocabulary, by training of single words say, from the
// two other files that may list them: tokenizer.json, and added_tokens.json of older programs.
func (c *tokenizerConfig) readAdded(dir string, vocab map[string]int64) error {
	add := func(id int64, token specialToken) {
		_, known := c.idOf(token.Content)
		if _, inVocabulary := vocab[token.Content]; known || inVocabulary {
			return
		}
		if c.Added == nil {
			c.Added = addedTokens{}
		}
		c.Added[id] = token
	}
	var whole struct {
		Added []struct {
			ID int64 `json:"id"`
			specialToken
		} `json:"added_tokens"`
	}
	if err := readJSON(filepath.Join(dir, "tokenizer.json"), &whole); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, t := range whole.Added {
		add(t.ID, t.specialToken)
	}
	old := map[string]int64{}
	if err := readJSON(filepath.Join(dir, "added_tokens.json"), &old); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for content, id := range old {
		add(id, specialToken{Content: content, Normalized: true})
	}
	return nil
}

// idOf is the id of an added token.
func (c *tokenizerConfig) idOf(content string) (int64, bool) {
	for id, token := range c.Added {
		if token.Content == content {
			return id, true
		}
	}
	return 0, false
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
		if token.Content == "" {
			return nil, errors.New("tokenizer_config.json: a special token without content")
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
