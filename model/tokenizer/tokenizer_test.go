package tokenizer

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// golden is testdata/ref/tokens.json.gz, made by the script beside it.
type golden struct {
	Prompts []string
	IDs     map[string][][]int64
}

func unzip(t testing.TB, name string) []byte {
	t.Helper()
	packed, err := os.ReadFile(filepath.Join("testdata/ref", name))
	if err != nil {
		t.Fatal(err)
	}
	r, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func readGolden(t testing.TB) golden {
	t.Helper()
	var g golden
	if err := json.Unmarshal(unzip(t, "tokens.json.gz"), &g); err != nil {
		t.Fatal(err)
	}
	return g
}

func parse(t testing.TB, name string) *Tokenizer {
	t.Helper()
	tokenizer, err := Parse(name, unzip(t, name+".json.gz"))
	if err != nil {
		t.Fatal(err)
	}
	return tokenizer
}

const noLimit = 1 << 20

func TestIDsMatchTokenizers(t *testing.T) {
	g := readGolden(t)
	for name, want := range g.IDs {
		t.Run(name, func(t *testing.T) {
			tokenizer, wrong := parse(t, name), 0
			for i, prompt := range g.Prompts {
				if got, _ := tokenizer.Encode(prompt, noLimit); !slices.Equal(got, want[i]) {
					if wrong++; wrong <= 10 {
						t.Errorf("%q: %v, want %v", prompt, got, want[i])
					}
				}
			}
			if wrong > 0 {
				t.Errorf("%d of %d prompts differ", wrong, len(g.Prompts))
			}
		})
	}
}

// The special token behind a prompt stays when the prompt is cut.
func TestLimit(t *testing.T) {
	tokenizer := parse(t, "unigram")
	whole, lost := tokenizer.Encode("a chef in the park", noLimit)
	if lost != 0 || len(whole) < 6 {
		t.Fatalf("%d tokens, %d lost", len(whole), lost)
	}
	end, _ := tokenizer.ID("</s>")
	for limit := range len(whole) + 2 {
		got, lost := tokenizer.Encode("a chef in the park", limit)
		keep := min(limit, len(whole))
		if len(got) != keep || lost != max(0, min(len(whole)-1, len(whole)-limit)) {
			t.Errorf("limit %d: %d tokens, %d lost", limit, len(got), lost)
		}
		if keep > 0 && got[keep-1] != end {
			t.Errorf("limit %d: the last token is %d, want %d", limit, got[keep-1], end)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	const unigram = `{"model":{"type":"Unigram","unk_id":0,"vocab":[["<unk>",0]]}`
	for name, c := range map[string]struct{ text, want string }{
		"not JSON":         {`[`, "t.json: not a tokenizer.json"},
		"no model":         {`{}`, "t.json: model: missing"},
		"WordPiece":        {`{"model":{"type":"WordPiece"}}`, `model: unk_token "[UNK]" is not in the vocabulary`},
		"WordLevel":        {`{"model":{"type":"WordLevel"}}`, `model: type "WordLevel" is not supported, want Unigram, BPE or WordPiece`},
		"no unknown":       {`{"model":{"type":"Unigram","vocab":[["a",0]]}}`, "unk_id is missing"},
		"odd vocabulary":   {`{"model":{"type":"Unigram","unk_id":0,"vocab":[["a"]]}}`, "vocab[0]: want a piece and its score"},
		"byte fallback":    {`{"model":{"type":"Unigram","unk_id":0,"vocab":[["a",0]],"byte_fallback":true}}`, "byte_fallback is not supported"},
		"bytes":            {`{"model":{"type":"BPE","vocab":{"a":0},"merges":[]}}`, "the vocabulary lacks byte 0"},
		"normalizer":       {unigram + `,"normalizer":{"type":"NFKC"}}`, `normalizer: type "NFKC" is not supported`},
		"charsmap":         {unigram + `,"normalizer":{"type":"Precompiled","precompiled_charsmap":"/////wA="}}`, "a trie of 4294967295 bytes in a table of 5"},
		"pre-tokenizer":    {unigram + `,"pre_tokenizer":{"type":"Digits"}}`, `pre_tokenizer: type "Digits" is not supported`},
		"look-behind":      {unigram + `,"pre_tokenizer":{"type":"Split","behavior":"Isolated","pattern":{"Regex":"(?<=a)b"}}}`, `pattern "(?<=a)b" is not supported`},
		"nested":           {unigram + `,"pre_tokenizer":{"type":"Sequence","pretokenizers":[{"type":"Sequence"}]}}`, "a Sequence within a Sequence"},
		"post-processor":   {unigram + `,"post_processor":{"type":"BertProcessing"}}`, `post_processor: type "BertProcessing" is not supported`},
		"missing special":  {unigram + `,"post_processor":{"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"</s>"}}]}}`, `special token "</s>" is not in the vocabulary`},
		"empty added":      {unigram + `,"added_tokens":[{"id":7,"content":""}]}`, "added_tokens: id 7: no content"},
		"metaspace":        {unigram + `,"pre_tokenizer":{"type":"Metaspace","replacement":"ab"}}`, `Metaspace with replacement "ab"`},
		"two wrong at one": {unigram + `,"normalizer":{"type":"X"},"pre_tokenizer":{"type":"Y"}}`, `pre_tokenizer: type "Y"`},
	} {
		_, err := Parse("t.json", []byte(c.text))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %s", name, err, c.want)
		}
	}
}

func FuzzEncode(f *testing.F) {
	for _, prompt := range readGolden(f).Prompts[:200] {
		f.Add(prompt, 16)
	}
	var all []*Tokenizer
	for _, name := range []string{"unigram", "unigram_old", "bpe", "wordpiece"} {
		all = append(all, parse(f, name))
	}
	f.Fuzz(func(t *testing.T, prompt string, limit int) {
		limit = min(max(limit, 0), 1000)
		for _, tokenizer := range all {
			if ids, lost := tokenizer.Encode(prompt, limit); len(ids) > limit || lost < 0 {
				t.Errorf("%d ids and %d lost, of at most %d", len(ids), lost, limit)
			}
		}
	})
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"added_tokens":[{"id":1,"content":"é","normalized":true}],"normalizer":{"type":"Replace","pattern":{"Regex":" {2,}"},"content":" "},"pre_tokenizer":{"type":"Metaspace","replacement":"_","prepend_scheme":"first"},"post_processor":null,"model":{"type":"Unigram","unk_id":0,"vocab":[["<unk>",0],["a",-1]]}}`))
	f.Add([]byte(`{"normalizer":{"type":"Precompiled","precompiled_charsmap":"BAAAAAAEAABhAA=="},"model":{"type":"Unigram","unk_id":0,"vocab":[["<unk>",0]]}}`))
	f.Add([]byte(`{"pre_tokenizer":{"type":"Sequence","pretokenizers":[{"type":"WhitespaceSplit"},{"type":"Split","behavior":"Isolated","pattern":{"Regex":"\\p{N}|\\s+(?!\\S)|[^\\s]"}}]},"model":{"type":"Unigram","unk_id":0,"vocab":[["<unk>",0]]}}`))
	f.Fuzz(func(_ *testing.T, text []byte) {
		tokenizer, err := Parse("t.json", text)
		if err != nil {
			return
		}
		tokenizer.Encode("It's  a ½ café\n 東京 e\u0301", 64)
	})
}
