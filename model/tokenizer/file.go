package tokenizer

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
)

// Tokenizer is what a tokenizer.json describes. It is safe for concurrent use.
type Tokenizer struct {
	added        addedTokens
	normalize    []normalizer
	preTokenize  []splitter
	model        model
	before, then []int64 // special tokens around every prompt
	ids          map[string]int64
}

// model cuts one piece of text that the splitters made into ids.
type model interface {
	appendIDs(ids []int64, piece string) []int64
}

// maxFile bounds a tokenizer.json, in bytes; Qwen's has 11 MB.
const maxFile = 128 << 20

// Load reads a tokenizer.json.
func Load(path string) (*Tokenizer, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxFile {
		return nil, fmt.Errorf("%s: %d bytes, want a file of at most %d", path, info.Size(), maxFile)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return Parse(path, text)
}

// document is the file, as far as it is read. truncation and padding say how one program called the
// tokenizer last; they are for the caller to decide.
type document struct {
	AddedTokens   []addedToken    `json:"added_tokens"`
	Normalizer    json.RawMessage `json:"normalizer"`
	PreTokenizer  json.RawMessage `json:"pre_tokenizer"`
	PostProcessor json.RawMessage `json:"post_processor"`
	Model         json.RawMessage `json:"model"`
}

// Parse reads the text of a tokenizer.json; file is what errors call it. A part that is not known is
// refused by name: ids that differ from those a model was trained on make wrong images, not errors.
func Parse(file string, text []byte) (*Tokenizer, error) {
	var d document
	if err := json.Unmarshal(text, &d); err != nil {
		return nil, fmt.Errorf("%s: not a tokenizer.json: %w", file, err)
	}
	t := &Tokenizer{}
	vocabulary, err := t.readModel(d.Model)
	if err != nil {
		return nil, fmt.Errorf("%s: model: %w", file, err)
	}
	t.ids = vocabulary
	for _, a := range d.AddedTokens {
		t.ids[a.Content] = a.ID
	}
	var errs []error
	note := func(part string, err error) {
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %s: %w", file, part, err))
		}
	}
	t.normalize, err = readNormalizer(d.Normalizer)
	note("normalizer", err)
	t.preTokenize, err = readPreTokenizer(d.PreTokenizer)
	note("pre_tokenizer", err)
	note("post_processor", t.readPostProcessor(d.PostProcessor))
	if errs == nil {
		t.added, err = newAddedTokens(d.AddedTokens, t.normalized)
		note("added_tokens", err)
	}
	if errs != nil {
		return nil, errors.Join(errs...)
	}
	return t, nil
}

// kind is the part of a file that tells which it is.
type kind struct {
	Type string `json:"type"`
}

// isNull reports whether a part of the file is not there.
func isNull(part json.RawMessage) bool { return len(part) == 0 || string(part) == "null" }

// sequence reads a part that is one element or a sequence of them; list is the sequence's key.
func sequence(part json.RawMessage, list string) ([]json.RawMessage, error) {
	if isNull(part) {
		return nil, nil
	}
	var k kind
	if err := json.Unmarshal(part, &k); err != nil {
		return nil, errors.New("want an object with a type")
	}
	if k.Type != "Sequence" {
		return []json.RawMessage{part}, nil
	}
	var lists map[string]json.RawMessage
	var elements, all []json.RawMessage
	if err := json.Unmarshal(part, &lists); err != nil {
		return nil, err
	}
	if err := json.Unmarshal(lists[list], &elements); err != nil {
		return nil, fmt.Errorf("a Sequence without a list of %s", list)
	}
	for _, e := range elements {
		var k kind
		if json.Unmarshal(e, &k) == nil && k.Type == "Sequence" {
			return nil, errors.New("a Sequence within a Sequence is not supported")
		}
		all = append(all, e)
	}
	return all, nil
}

// readEach reads every element of a part that is one element or a sequence of them.
func readEach[T any](part json.RawMessage, list string, read func(json.RawMessage) (T, error)) ([]T, error) {
	elements, err := sequence(part, list)
	if err != nil {
		return nil, err
	}
	var all []T
	for _, e := range elements {
		one, err := read(e)
		if err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, nil
}

func (t *Tokenizer) readModel(part json.RawMessage) (map[string]int64, error) {
	var k kind
	if err := json.Unmarshal(part, &k); err != nil {
		return nil, errors.New("missing, or not an object")
	}
	switch k.Type {
	case "Unigram":
		u, ids, err := readUnigram(part)
		t.model = u
		return ids, err
	case "BPE":
		b, ids, err := readBPE(part)
		t.model = b
		return ids, err
	case "WordPiece":
		w, ids, err := readWordPiece(part)
		t.model = w
		return ids, err
	}
	return nil, fmt.Errorf("type %q is not supported, want Unigram, BPE or WordPiece", k.Type)
}

// readPostProcessor finds the special tokens that go around a prompt. ByteLevel as a post-processor
// only moves offsets, which nobody asks for here.
func (t *Tokenizer) readPostProcessor(part json.RawMessage) error {
	elements, err := sequence(part, "processors")
	if err != nil {
		return err
	}
	for _, e := range elements {
		var p struct {
			kind
			Single []map[string]struct {
				ID string `json:"id"`
			} `json:"single"`
		}
		if err := json.Unmarshal(e, &p); err != nil {
			return err
		}
		switch p.Type {
		case "ByteLevel":
		case "TemplateProcessing":
			around := &t.before
			for _, element := range p.Single {
				if _, ok := element["Sequence"]; ok {
					around = &t.then
					continue
				}
				id, ok := t.ids[element["SpecialToken"].ID]
				if !ok {
					return fmt.Errorf("special token %q is not in the vocabulary", element["SpecialToken"].ID)
				}
				*around = append(*around, id)
			}
		default:
			return fmt.Errorf("type %q is not supported, want TemplateProcessing or ByteLevel", p.Type)
		}
	}
	return nil
}

// ID is the id of a token by its text.
func (t *Tokenizer) ID(token string) (id int64, ok bool) {
	id, ok = t.ids[token]
	return id, ok
}

// Encode never fails: what cannot be spelled becomes the unknown token. At most limit ids come back, the
// special tokens around them included; lost is how many did not fit.
func (t *Tokenizer) Encode(prompt string, limit int) (ids []int64, lost int) {
	ids = t.encode(strings.ToValidUTF8(prompt, "\uFFFD"))
	if room := max(0, limit-len(t.before)-len(t.then)); len(ids) > room {
		ids, lost = ids[:room], len(ids)-room
	}
	all := append(append(append(make([]int64, 0, len(ids)+2), t.before...), ids...), t.then...)
	return all[:min(limit, len(all))], lost
}

// encode is the ids of the prompt alone. Added tokens that are looked for in the typed text come first; what
// lies between them is normalized and searched for the others.
func (t *Tokenizer) encode(prompt string) []int64 {
	var ids []int64
	add := func(id int64) { ids = append(ids, id) }
	t.added.typed.cut(prompt, func(raw string, atStart bool) {
		t.added.normalized.cut(t.normalized(raw), func(text string, first bool) {
			for _, piece := range t.pieces(text, atStart && first) {
				ids = t.model.appendIDs(ids, piece)
			}
		}, add)
	}, add)
	return ids
}

func (t *Tokenizer) normalized(text string) string {
	for _, n := range t.normalize {
		text = n(text)
	}
	return text
}

// pieces cuts text by every splitter in turn. atStart is where the prompt begins.
func (t *Tokenizer) pieces(text string, atStart bool) []string {
	pieces := []string{text}
	for _, split := range t.preTokenize {
		var finer []string
		for i, piece := range pieces {
			finer = append(finer, split(piece, atStart && i == 0)...)
		}
		pieces = finer
	}
	return pieces
}
