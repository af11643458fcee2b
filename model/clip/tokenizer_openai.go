package clip

import (
	"bytes"
	"compress/gzip"
	_ "embed" // the vocabulary
	"fmt"
	"io"
	"io/fs"
	"sync"

	"focusnfix/model/tokenizer"
)

// openAIMerges are the 48894 merges of OpenAI's bpe_simple_vocab_16e6.txt that CLIP uses, under the
// line that merges.txt begins with (MIT, openai/LICENSE). The vocabulary follows from them.
//
//go:embed openai/merges.txt.gz
var openAIMerges []byte

// DefaultTokenizer has the vocabulary of OpenAI, which every Stable Diffusion uses, and the padding and
// special tokens that config, a tokenizer folder without vocab.json and merges.txt, says.
func DefaultTokenizer(config fs.FS) (*Tokenizer, error) {
	cfg, err := readTokenizerConfig(config, "")
	if err != nil {
		return nil, err
	}
	merges, err := openAI()
	if err != nil {
		return nil, err
	}
	return newTokenizer(layOutVocabulary(merges), merges, cfg)
}

// openAI unpacks the merges once.
var openAI = sync.OnceValues(func() ([]tokenizer.Pair, error) {
	packed, err := gzip.NewReader(bytes.NewReader(openAIMerges))
	if err != nil {
		return nil, fmt.Errorf("built-in merges.txt.gz: %w", err)
	}
	text, err := io.ReadAll(packed)
	if err != nil {
		return nil, fmt.Errorf("built-in merges.txt.gz: %w", err)
	}
	return parseMerges(string(text))
})
