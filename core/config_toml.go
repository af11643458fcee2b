package core

import (
	"bytes"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
)

// TOML writes every setting with its comment: what the run folder keeps. Read back as the only layer, it
// gives an equal configuration.
func (c *Config) TOML() []byte {
	var out bytes.Buffer
	section := ""
	for _, f := range c.fields() {
		name, key, _ := strings.Cut(f.rule.name, ".")
		switch {
		case name == "reward" && key == "aspect":
			out.WriteString("\n[[reward]]\n")
		case name != section && section == "":
			out.WriteString("[" + name + "]\n")
		case name != section:
			out.WriteString("\n[" + name + "]\n")
		}
		section = name
		for _, line := range f.comment() {
			out.WriteString("# " + line + "\n")
		}
		out.WriteString(key + " = " + tomlValue(f.value) + "\n")
	}
	return out.Bytes()
}

// wrap breaks text at spaces into lines of at most width bytes.
func wrap(text string, width int) (lines []string) {
	line := ""
	for _, word := range strings.Fields(text) {
		if line != "" && len(line)+1+len(word) > width {
			lines, line = append(lines, line), ""
		}
		line = strings.TrimSpace(line + " " + word)
	}
	return append(lines, line)
}

// comment is the key's documentation with what it may be.
func (r rule) comment() []string {
	limits := ""
	switch {
	case r.name == "lora.targets":
		limits = "Any of " + strings.Join(r.options, ", ") + "."
	case r.options != nil:
		limits = "One of " + strings.Join(r.options, ", ") + "."
	case r.min != 0 || r.max != 0:
		limits = plainNumber(r.min) + " to " + plainNumber(r.max) + "."
	}
	lines := strings.Split(r.doc, "\n")
	last := lines[len(lines)-1]
	switch {
	case limits == "":
	case len(last)+len(limits) < 90:
		lines[len(lines)-1] = last + " " + limits
	default:
		lines = append(lines, wrap(limits, 90)...)
	}
	return lines
}

func tomlValue(v reflect.Value) string {
	switch v := v.Interface().(type) {
	case string:
		return tomlString(v)
	case Size:
		return tomlString(v.String())
	case []string:
		quoted := make([]string, len(v))
		for i, word := range v {
			quoted[i] = tomlString(word)
		}
		return "[" + strings.Join(quoted, ", ") + "]"
	case float64:
		switch {
		case math.IsNaN(v):
			return "nan"
		case math.IsInf(v, 0):
			return strings.ToLower(plainNumber(v))
		}
		if s := plainNumber(v); strings.ContainsAny(s, ".e") {
			return s
		}
		return plainNumber(v) + ".0"
	}
	return fmt.Sprint(v.Interface())
}

// tomlString quotes as TOML's basic strings do.
func tomlString(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r < 0x20 || r == 0x7f:
			fmt.Fprintf(&b, `\u%04X`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// plainNumber avoids an exponent where people would.
func plainNumber(f float64) string {
	if f == math.Trunc(f) && math.Abs(f) < 1e7 {
		return strconv.FormatFloat(f, 'f', -1, 64)
	}
	return strconv.FormatFloat(f, 'g', -1, 64)
}
