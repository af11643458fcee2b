package clip

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"unicode"
)

var update = flag.Bool("update", false, "write testdata/learned again")

// reference is testdata/ref/tokens.json; a result that is nil equals that of sd1.
type reference struct {
	Configs map[string]map[string]string
	Prompts []string
	Results map[string][]*struct {
		IDs  []int64
		Lost int
	}
}

func readReference(t testing.TB) reference {
	t.Helper()
	raw, err := os.ReadFile("testdata/ref/tokens.json")
	if err != nil {
		t.Fatal(err)
	}
	var ref reference
	if err := json.Unmarshal(raw, &ref); err != nil {
		t.Fatal(err)
	}
	if len(ref.Prompts) != 500 {
		t.Fatalf("%d prompts, want 500", len(ref.Prompts))
	}
	return ref
}

// openAIFolder writes CLIP's own vocabulary, made from its merges, and files to a folder.
func openAIFolder(t testing.TB, files map[string]string) string {
	t.Helper()
	tokenizer, err := DefaultTokenizer(fstest.MapFS{})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := tokenizer.SaveVocabulary(dir); err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		write(t, filepath.Join(dir, name), []byte(text))
	}
	return dir
}

func write(t testing.TB, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func load(t testing.TB, dir string) *Tokenizer {
	t.Helper()
	tokenizer, err := LoadTokenizer(dir)
	if err != nil {
		t.Fatal(err)
	}
	return tokenizer
}

func TestTokenizerMatchesTransformers(t *testing.T) {
	ref := readReference(t)
	tokenizers := map[string]*Tokenizer{"learned": load(t, "testdata/learned")}
	for name, files := range ref.Configs {
		tokenizers[name] = load(t, openAIFolder(t, files))
	}
	if len(tokenizers) != 4 || len(ref.Results) != 4 {
		t.Fatalf("%d tokenizers, %d results, want 4", len(tokenizers), len(ref.Results))
	}
	for name, files := range ref.Configs {
		config := fstest.MapFS{}
		for file, text := range files {
			config[file] = &fstest.MapFile{Data: []byte(text)}
		}
		builtIn, err := DefaultTokenizer(config)
		if err != nil {
			t.Fatal(err)
		}
		tokenizers[name+", built in"] = builtIn
	}
	for name, tokenizer := range tokenizers {
		name, _, _ := strings.Cut(name, ",")
		for i, prompt := range ref.Prompts {
			want := ref.Results[name][i]
			if want == nil {
				want = ref.Results["sd1"][i]
			}
			got := tokenizer.Encode(prompt)
			if !slices.Equal(got.IDs[:got.Count], want.IDs) {
				t.Errorf("%s: %.80q:\n got %v\nwant %v", name, prompt, got.IDs[:got.Count], want.IDs)
			}
			for _, id := range got.IDs[got.Count:] {
				if id != tokenizer.pad {
					t.Errorf("%s: %.80q: padded with %d, want %d", name, prompt, id, tokenizer.pad)
				}
			}
			if (got.Lost != "") != (want.Lost > 0) {
				t.Errorf("%s: %.80q: lost %q, the reference lost %d tokens", name, prompt, got.Lost, want.Lost)
			}
		}
	}
	if pad := tokenizers["sdxl2"].pad; pad != 0 {
		t.Errorf("sdxl2 pads with %d, want 0", pad)
	}
}

func TestEncodeNamesTheLostWords(t *testing.T) {
	tokenizer := load(t, openAIFolder(t, nil))
	got := tokenizer.Encode(strings.Repeat("cat ", 74) + "Dog, don't rue the DAY! <|endoftext|>x")
	if want := "don 't rue the day ! <|endoftext|> x"; got.Lost != ", "+want && got.Lost != want {
		t.Errorf("lost %q, want %q", got.Lost, ", "+want)
	}
	if got.Count != 77 || got.IDs[76] != tokenizer.end {
		t.Errorf("%d ids, the last %d, want 77 and %d", got.Count, got.IDs[76], tokenizer.end)
	}
}

func TestTokenizerJSONAlone(t *testing.T) {
	old := openAIFolder(t, nil)
	want := load(t, old)
	for _, form := range []string{`"%s %s"`, `["%s","%s"]`} {
		var merges []string
		for _, line := range strings.Split(string(want.mergesText()), "\n")[1:] {
			if left, right, ok := strings.Cut(line, " "); ok {
				escape := strings.NewReplacer(`\`, `\\`, `"`, `\"`)
				merges = append(merges, fmt.Sprintf(form, escape.Replace(left), escape.Replace(right)))
			}
		}
		text := fmt.Sprintf(`{"model":{"type":"BPE","end_of_word_suffix":"</w>","vocab":%s,"merges":[%s]}}`,
			want.vocabJSON(), strings.Join(merges, ","))
		dir := t.TempDir()
		write(t, filepath.Join(dir, "tokenizer.json"), []byte(text))
		got := load(t, dir)
		for _, prompt := range readReference(t).Prompts[:200] {
			if !slices.Equal(got.Encode(prompt).IDs, want.Encode(prompt).IDs) {
				t.Errorf("%q differs", prompt)
			}
		}
	}
}

func TestLoadTokenizerErrors(t *testing.T) {
	good := map[string]string{
		"vocab.json": `{"a":0,"b</w>":1,"ab</w>":2,"<|startoftext|>":3,"<|endoftext|>":4}`,
		"merges.txt": "#version: 0.2\na b</w>\n",
	}
	for _, c := range []struct{ file, text, want string }{
		{"vocab.json", "", ": no vocab.json and no tokenizer.json; is it the tokenizer folder of a model?"},
		{"vocab.json", `{"a":0,"b</w>":0,"ab</w>":1}`, "both have id 0"},
		{"merges.txt", "", "merges.txt: no such file"},
		{"vocab.json", `{"a":"x"}`, "vocab.json: json: cannot unmarshal"},
		{"vocab.json", `{"a":0,"b</w>":1,"ab</w>":2}`, `special token "<|startoftext|>" is not in the vocabulary`},
		{"vocab.json", strings.Replace(good["vocab.json"], "2", "-2", 1), `"ab</w>": id -2, want 0 to 1048575`},
		{"merges.txt", "a\n", `merges.txt: line 1: "a", want two pieces with a space between`},
		{"merges.txt", "a c\n", `merge 1: "a", "c" or the two as one is not in the vocabulary`},
		{"tokenizer_config.json", `{"model_max_length":2}`, "model_max_length 2, want 3 or more"},
		{"tokenizer_config.json", `{"pad_token":{"content":""}}`, `a special token without content`},
		{"tokenizer_config.json", `{"truncation_side":"left"}`, `truncation_side: "left" is not supported, want "right"`},
		{"tokenizer_config.json", `{"use_quantum":true}`, `use_quantum: unknown key`},
		{"tokenizer_config.json", `{"added_tokens_decoder":{"x":"a"}}`, `added_tokens_decoder: "x": want an id`},
		{"tokenizer_config.json", `{"added_tokens_decoder":{"1":"<new>"}}`, `"<new>" and "b</w>": both have id 1`},
		{"added_tokens.json", `{"<new>":-1}`, `"<new>": id -1, want 0 to`},
		{"special_tokens_map.json", `{"pad_token":"?"}`, `special token "?" is not in the vocabulary`},
		{"special_tokens_map.json", `[`, "special_tokens_map.json: not JSON: the file is cut off"},
	} {
		dir := t.TempDir()
		for name, text := range good {
			write(t, filepath.Join(dir, name), []byte(text))
		}
		write(t, filepath.Join(dir, c.file), []byte(c.text))
		if c.text == "" {
			if err := os.Remove(filepath.Join(dir, c.file)); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := LoadTokenizer(dir); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %s", c.file, err, c.want)
		}
	}
}

var learnCorpus = []string{
	"a chef and a tree in the park", "A CHEF'S kitchen", "a pirate, a parrot and a palm tree on the beach",
	"two astronauts in the city", "the city park at night", "an old tree in the snow", "3 cats and 12 dogs",
}

// transformers reads testdata/learned for the reference ids; the order of the texts
// does not matter.
func TestLearnTokenizerIsDeterministic(t *testing.T) {
	corpus := slices.Clone(learnCorpus)
	slices.Reverse(corpus)
	got, err := LearnTokenizer(corpus, 560, 24)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if *update {
		dir = "testdata/learned"
	}
	if err := got.Save(dir); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"vocab.json", "merges.txt", "tokenizer_config.json", "special_tokens_map.json"} {
		saved, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		kept, err := os.ReadFile(filepath.Join("testdata/learned", name))
		if err != nil || !bytes.Equal(saved, kept) {
			t.Errorf("%s differs from testdata/learned, %v", name, err)
		}
	}
}

func TestLearnTokenizer(t *testing.T) {
	got, err := LearnTokenizer(learnCorpus, 560, 24)
	if err != nil {
		t.Fatal(err)
	}
	if len(got.pieces) != 560 || got.Length() != 24 {
		t.Errorf("%d pieces, length %d, want 560 and 24", len(got.pieces), got.Length())
	}
	if tokens := got.Encode("the tree"); tokens.Count != 4 {
		t.Errorf("%q is %d tokens, want 4", "the tree", tokens.Count)
	}
	small, err := LearnTokenizer([]string{"ab"}, 1000, 77)
	if err != nil || len(small.pieces) != smallestVocabulary+1 {
		t.Errorf("one word: %d pieces, %v, want %d", len(small.pieces), err, smallestVocabulary+1)
	}
	if _, err := LearnTokenizer(nil, 100, 77); err == nil || !strings.Contains(err.Error(), "want 514 or more") {
		t.Errorf("small vocabulary: %v", err)
	}
}

func FuzzEncode(f *testing.F) {
	for _, prompt := range readReference(f).Prompts[:150] {
		f.Add(prompt)
	}
	tokenizer := load(f, openAIFolder(f, nil))
	f.Fuzz(func(t *testing.T, prompt string) {
		got := tokenizer.Encode(prompt)
		if len(got.IDs) != 77 || got.Count < 2 || got.Count > 77 || got.IDs[0] != tokenizer.start ||
			got.IDs[got.Count-1] != tokenizer.end {
			t.Errorf("%q: %d of %d ids: %v", prompt, got.Count, len(got.IDs), got.IDs)
		}
		if got.Lost != "" && got.Count < 77 {
			t.Errorf("%q: lost %q with room left", prompt, got.Lost)
		}
		// What is not white space comes back from the pieces.
		if ids := tokenizer.encode(prompt); !strings.Contains(prompt, "<|") {
			squeeze := func(s string) string {
				return strings.Map(func(r rune) rune {
					if unicode.IsSpace(r) {
						return -1
					}
					return r
				}, s)
			}
			want := squeeze(normalize(strings.ToValidUTF8(prompt, "\uFFFD")))
			if text := squeeze(tokenizer.decode(ids)); text != want {
				t.Errorf("%q: pieces spell %q, want %q", prompt, text, want)
			}
		}
	})
}

func FuzzLoadTokenizer(f *testing.F) {
	f.Add([]byte(`{"a":0,"<|startoftext|>":3,"<|endoftext|>":4}`), []byte("#version: 0.2\n"), []byte(`{"pad_token":"a"}`))
	f.Fuzz(func(t *testing.T, vocab, merges, config []byte) {
		dir := t.TempDir()
		write(t, filepath.Join(dir, "vocab.json"), vocab)
		write(t, filepath.Join(dir, "merges.txt"), merges)
		write(t, filepath.Join(dir, "tokenizer_config.json"), config)
		tokenizer, err := LoadTokenizer(dir)
		if err != nil {
			return
		}
		if got := tokenizer.Encode("a b\u0301!"); len(got.IDs) != tokenizer.Length() {
			t.Errorf("%d ids, want %d", len(got.IDs), tokenizer.Length())
		}
	})
}

func BenchmarkEncode(b *testing.B) {
	tokenizer := load(b, openAIFolder(b, nil))
	prompt := "a portrait photo of an astronaut riding a horse, highly detailed, trending on artstation, golden hour"
	for b.Loop() {
		tokenizer.Encode(prompt)
	}
}

func BenchmarkLoadTokenizer(b *testing.B) {
	dir := openAIFolder(b, nil)
	for b.Loop() {
		if _, err := LoadTokenizer(dir); err != nil {
			b.Fatal(err)
		}
	}
}
