package tokenizer

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode"

	"github.com/clipperhouse/uax29/v2/graphemes"
)

// normalizer rewrites a text.
type normalizer func(string) string

func readNormalizer(part json.RawMessage) ([]normalizer, error) {
	return readEach(part, "normalizers", readOneNormalizer)
}

func readOneNormalizer(element json.RawMessage) (normalizer, error) {
	var e struct {
		kind
		Charsmap   string            `json:"precompiled_charsmap"`
		Pattern    map[string]string `json:"pattern"`
		Content    string            `json:"content"`
		StripLeft  bool              `json:"strip_left"`
		StripRight bool              `json:"strip_right"`
		bertNormalizer
	}
	if err := json.Unmarshal(element, &e); err != nil {
		return nil, err
	}
	switch e.Type {
	case "NFC":
		return NFC, nil
	case "Strip":
		return func(text string) string {
			if e.StripLeft {
				text = strings.TrimLeftFunc(text, unicode.IsSpace)
			}
			if e.StripRight {
				text = strings.TrimRightFunc(text, unicode.IsSpace)
			}
			return text
		}, nil
	case "Replace":
		return replacer(e.Pattern, e.Content)
	case "BertNormalizer":
		return e.bertNormalizer.normalize, nil
	case "Precompiled":
		m, err := readCharsmap(e.Charsmap)
		if err != nil {
			return nil, err
		}
		return m.normalize, nil
	}
	return nil, fmt.Errorf("type %q is not supported, want NFC, Strip, Replace, Precompiled or BertNormalizer", e.Type)
}

// replacer writes content in place of every match.
func replacer(pattern map[string]string, content string) (normalizer, error) {
	if text, ok := pattern["String"]; ok && text != "" {
		return func(s string) string { return strings.ReplaceAll(s, text, content) }, nil
	}
	text := pattern["Regex"]
	re, err := regexp.Compile(unicodeSpace(text))
	if text == "" || err != nil {
		return nil, fmt.Errorf("a Replace by pattern %q is not supported", pattern)
	}
	return func(s string) string { return re.ReplaceAllLiteralString(s, content) }, nil
}

// charsmap is sentencepiece's table of what characters are rewritten to: a trie in an array (darts-clone)
// whose leaves say where in a text of strings, each ended by a zero byte, the result stands.
type charsmap struct {
	trie    []uint32
	results string
}

func readCharsmap(encoded string) (*charsmap, error) {
	data, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil || len(data) < 4 {
		return nil, errors.New("precompiled_charsmap is not base64 of a table")
	}
	size := int(binary.LittleEndian.Uint32(data))
	if size%4 != 0 || size > len(data)-4 || size == 0 {
		return nil, fmt.Errorf("precompiled_charsmap: a trie of %d bytes in a table of %d", size, len(data))
	}
	m := &charsmap{trie: make([]uint32, size/4), results: string(data[4+size:])}
	for i := range m.trie {
		m.trie[i] = binary.LittleEndian.Uint32(data[4+4*i:])
	}
	return m, nil
}

// lookUp is the result for the shortest beginning of key that has one, as the tokenizers library takes it.
func (m *charsmap) lookUp(key string) (result string, ok bool) {
	unit, ok := m.unit(0)
	if !ok {
		return "", false
	}
	at := offset(unit)
	for i := 0; i < len(key) && key[i] != 0; i++ {
		at ^= uint32(key[i])
		if unit, ok = m.unit(at); !ok || unit&(1<<31|0xFF) != uint32(key[i]) {
			return "", false
		}
		at ^= offset(unit)
		if unit>>8&1 == 0 {
			continue
		}
		leaf, ok := m.unit(at)
		start := int(leaf &^ (1 << 31))
		if !ok || start > len(m.results) {
			return "", false
		}
		result, _, _ := strings.Cut(m.results[start:], "\x00")
		return result, true
	}
	return "", false
}

func (m *charsmap) unit(at uint32) (unit uint32, ok bool) {
	if int(at) >= len(m.trie) {
		return 0, false
	}
	return m.trie[at], true
}

// offset is how far the children of a unit of the trie are.
func offset(unit uint32) uint32 { return unit >> 10 << (unit & (1 << 9) >> 6) }

// normalize rewrites short clusters (a letter with its accents) as a whole where the table has them, and
// else character by character.
func (m *charsmap) normalize(text string) string {
	const short = 6 // bytes
	var b strings.Builder
	clusters := graphemes.FromString(text)
	for clusters.Next() {
		cluster := clusters.Value()
		if len(cluster) < short {
			if result, ok := m.lookUp(cluster); ok {
				b.WriteString(result)
				continue
			}
		}
		for _, r := range cluster {
			if result, ok := m.lookUp(string(r)); ok {
				b.WriteString(result)
			} else {
				b.WriteRune(r)
			}
		}
	}
	return b.String()
}
