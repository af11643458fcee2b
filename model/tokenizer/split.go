package tokenizer

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// splitter cuts text into pieces. atStart says whether the prompt begins there.
type splitter func(text string, atStart bool) []string

func readPreTokenizer(part json.RawMessage) ([]splitter, error) {
	return readEach(part, "pretokenizers", readSplitter)
}

// splitterFile is an element of a pre_tokenizer.
type splitterFile struct {
	kind
	Pattern        map[string]string `json:"pattern"`
	Behavior       string            `json:"behavior"`
	Invert         bool              `json:"invert"`
	AddPrefixSpace *bool             `json:"add_prefix_space"`
	UseRegex       *bool             `json:"use_regex"`
	Replacement    string            `json:"replacement"`
	PrependScheme  string            `json:"prepend_scheme"`
	Split          *bool             `json:"split"`
}

func readSplitter(element json.RawMessage) (splitter, error) {
	var e splitterFile
	if err := json.Unmarshal(element, &e); err != nil {
		return nil, err
	}
	switch e.Type {
	case "WhitespaceSplit":
		return func(text string, _ bool) []string { return strings.FieldsFunc(text, unicode.IsSpace) }, nil
	case "BertPreTokenizer":
		return splitBERT, nil
	case "Metaspace":
		return e.metaspace()
	case "Split":
		return e.byPattern()
	case "ByteLevel":
		return e.byteLevel()
	}
	return nil, fmt.Errorf("type %q is not supported, want WhitespaceSplit, Metaspace, Split, ByteLevel or BertPreTokenizer", e.Type)
}

// byPattern sets what matches a pattern apart.
func (e splitterFile) byPattern() (splitter, error) {
	if e.Behavior != "Isolated" || e.Invert || e.Pattern["Regex"] == "" {
		return nil, fmt.Errorf("a Split with behavior %q, want Isolated, not inverted, by a Regex", e.Behavior)
	}
	p, err := compilePattern(e.Pattern["Regex"])
	if err != nil {
		return nil, err
	}
	return p.split, nil
}

func (e splitterFile) byteLevel() (splitter, error) {
	if e.UseRegex == nil || *e.UseRegex || e.AddPrefixSpace == nil || *e.AddPrefixSpace {
		return nil, errors.New("a ByteLevel with add_prefix_space or use_regex is not supported")
	}
	return spellBytes, nil
}

// metaspace reads both ways to say whether a mark is put in front.
func (e splitterFile) metaspace() (splitter, error) {
	scheme := e.PrependScheme
	if scheme == "" {
		scheme = "always"
		if e.AddPrefixSpace != nil && !*e.AddPrefixSpace {
			scheme = "never"
		}
	}
	return metaspace(e.Replacement, scheme, e.Split == nil || *e.Split)
}

// spellBytes writes every byte as a visible character.
func spellBytes(text string, _ bool) []string {
	var b strings.Builder
	for i := range len(text) {
		b.WriteRune(ByteRunes[text[i]])
	}
	return []string{b.String()}
}

// metaspace writes spaces as a visible mark, puts one in front, and cuts before every mark.
func metaspace(mark, scheme string, split bool) (splitter, error) {
	if utf8.RuneCountInString(mark) != 1 || scheme != "always" && scheme != "first" && scheme != "never" {
		return nil, fmt.Errorf("a Metaspace with replacement %q and prepend_scheme %q, want one character and always, first or never", mark, scheme)
	}
	return func(text string, atStart bool) []string {
		text = strings.ReplaceAll(text, " ", mark)
		if (scheme == "always" || scheme == "first" && atStart) && !strings.HasPrefix(text, mark) {
			text = mark + text
		}
		if !split {
			return []string{text}
		}
		var pieces []string
		for from := 0; from < len(text); {
			to := len(text)
			if at := strings.Index(text[from+1:], mark); at >= 0 {
				to = from + 1 + at
			}
			pieces = append(pieces, text[from:to])
			from = to
		}
		return pieces
	}, nil
}

// pattern is a regular expression of alternatives, the first that fits wins. Go's engine knows no
// look-ahead; the one that tokenizers use, white space that leaves its last character to the word behind
// it, is done by hand.
type pattern []alternative

// alternative is part of a pattern; leaveLast stands for \s+(?!\S).
type alternative struct {
	re        *regexp.Regexp
	leaveLast bool
}

const trailingSpace = `\s+(?!\S)`

// whiteSpace is the Unicode property, which \s means to Oniguruma and not to Go.
const whiteSpace = `\t-\r \x{85}\x{A0}\x{1680}\x{2000}-\x{200A}\x{2028}\x{2029}\x{202F}\x{205F}\x{3000}`

func compilePattern(text string) (pattern, error) {
	const most = 4096
	if len(text) > most {
		return nil, fmt.Errorf("pattern of %d bytes, want at most %d", len(text), most)
	}
	var p pattern
	for _, a := range alternatives(text) {
		if a == trailingSpace {
			p = append(p, alternative{leaveLast: true})
			continue
		}
		re, err := regexp.Compile(`^(?:` + unicodeSpace(a) + `)`)
		if err != nil {
			return nil, fmt.Errorf("pattern %q is not supported", a)
		}
		p = append(p, alternative{re: re})
	}
	return p, nil
}

// alternatives cuts a pattern at the | that no parenthesis or bracket holds.
func alternatives(text string) []string {
	var parts []string
	depth, class, from := 0, false, 0
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\\':
			i++
		case class:
			class = c != ']'
		case c == '[':
			class = true
		case c == '(':
			depth++
		case c == ')':
			depth--
		case c == '|' && depth == 0:
			parts, from = append(parts, text[from:i]), i+1
		}
	}
	return append(parts, text[from:])
}

// unicodeSpace writes \s and \S out, inside of brackets and outside.
func unicodeSpace(text string) string {
	var b strings.Builder
	class := false
	for i := 0; i < len(text); i++ {
		c := text[i]
		if c != '\\' || i+1 == len(text) {
			class = c == '[' || class && c != ']'
			b.WriteByte(c)
			continue
		}
		i++
		switch {
		case text[i] == 's' && class:
			b.WriteString(whiteSpace)
		case text[i] == 's':
			b.WriteString("[" + whiteSpace + "]")
		case text[i] == 'S' && !class:
			b.WriteString("[^" + whiteSpace + "]")
		default:
			b.WriteByte('\\')
			b.WriteByte(text[i])
		}
	}
	return b.String()
}

// split cuts text into what matches and what lies between.
func (p pattern) split(text string, _ bool) []string {
	var pieces []string
	from := 0
	for at := 0; at < len(text); {
		n := p.match(text[at:])
		if n == 0 {
			_, width := utf8.DecodeRuneInString(text[at:])
			at += width
			continue
		}
		if at > from {
			pieces = append(pieces, text[from:at])
		}
		pieces = append(pieces, text[at:at+n])
		at += n
		from = at
	}
	if from < len(text) {
		pieces = append(pieces, text[from:])
	}
	return pieces
}

// match is the length of the match at the beginning of text, 0 without one.
func (p pattern) match(text string) int {
	for _, a := range p {
		n := 0
		if a.leaveLast {
			n = spaceButLast(text)
		} else if at := a.re.FindStringIndex(text); at != nil {
			n = at[1]
		}
		if n > 0 {
			return n
		}
	}
	return 0
}

// spaceButLast is the white space that text begins with, without its last character if a word follows.
func spaceButLast(text string) int {
	rest := strings.TrimLeftFunc(text, unicode.IsSpace)
	n := len(text) - len(rest)
	if rest == "" || n == 0 {
		return n
	}
	_, width := utf8.DecodeLastRuneInString(text[:n])
	return n - width
}
