package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
)

// maxDepth is how deep lists and objects may lie in each other.
const maxDepth = 100

// decode reads JSON with the three words that Python adds to it: NaN, Infinity and -Infinity.
func decode(text []byte) (any, error) {
	if !json.Valid(bytes.TrimSpace(text)) {
		text = pythonNumbers(text)
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var value any
	if err := d.Decode(&value); err != nil {
		var syntax *json.SyntaxError
		if errors.As(err, &syntax) {
			return nil, fmt.Errorf("not JSON: line %d", 1+bytes.Count(text[:min(int(syntax.Offset), len(text))], []byte("\n")))
		}
		return nil, errors.New("not JSON: the file is cut off")
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("not JSON: something follows the last brace")
	}
	return plainValues(value, 0)
}

// Numbers that JSON has no word for, as pythonNumbers spells them.
const (
	infinity = "1e99999"
	nan      = "\ufffeNaN"
)

// pythonNumbers replaces NaN, Infinity and -Infinity outside of strings by what JSON can read.
func pythonNumbers(text []byte) []byte {
	var b bytes.Buffer
	quoted := false
	for i := 0; i < len(text); i++ {
		rest := text[i:]
		switch {
		case quoted && text[i] == '\\' && len(rest) > 1:
			b.Write(rest[:2])
			i++
			continue
		case text[i] == '"':
			quoted = !quoted
		case !quoted && bytes.HasPrefix(rest, []byte("Infinity")):
			b.WriteString(infinity)
			i += len("Infinity") - 1
			continue
		case !quoted && bytes.HasPrefix(rest, []byte("NaN")):
			b.WriteString(`"` + nan + `"`)
			i += len("NaN") - 1
			continue
		}
		b.WriteByte(text[i])
	}
	return b.Bytes()
}

// plainValues turns numbers into float64.
func plainValues(value any, depth int) (any, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("lists or objects nested more than %d deep", maxDepth)
	}
	var err error
	switch v := value.(type) {
	case json.Number:
		f, _ := strconv.ParseFloat(v.String(), 64) // out of range is ±Inf
		return f, nil
	case string:
		if v == nan {
			return math.NaN(), nil
		}
	case []any:
		for i := range v {
			if v[i], err = plainValues(v[i], depth+1); err != nil {
				return nil, err
			}
		}
	case map[string]any:
		for k := range v {
			if v[k], err = plainValues(v[k], depth+1); err != nil {
				return nil, err
			}
		}
	}
	return value, nil
}

// shown is the longest that a value is shown in an error.
const shown = 40

// Show writes a value as a configuration file does, cut to what fits in an error.
func Show(value any) string {
	var text string
	switch v := value.(type) {
	case nil:
		return "null"
	case string:
		text = strconv.Quote(v)
	case float64:
		return Number(v)
	case map[string]any:
		return "an object"
	case []any:
		var b strings.Builder
		for i, item := range v {
			if i > 0 {
				b.WriteString(", ")
			}
			if b.WriteString(Show(item)); b.Len() > shown {
				break
			}
		}
		text = "[" + b.String() + "]"
	default:
		text = fmt.Sprint(v)
	}
	if runes := []rune(text); len(runes) > shown {
		text = string(runes[:shown]) + "…"
	}
	return text
}

// Number writes a number as Python's json does.
func Number(f float64) string {
	switch {
	case math.IsNaN(f):
		return "NaN"
	case math.IsInf(f, 1):
		return "Infinity"
	case math.IsInf(f, -1):
		return "-Infinity"
	}
	return strconv.FormatFloat(f, 'g', -1, 64)
}
