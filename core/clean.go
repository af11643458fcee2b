package core

import (
	"reflect"
	"strings"
	"unicode/utf8"
)

// Clean makes text from a file or another process safe to print: a terminal obeys control characters
// and may reorder text around bidirectional controls. Tabs and line ends become a space; other C0 and
// C1 controls, DEL, line and paragraph separators, bidirectional controls and bytes that are not UTF-8
// become U+FFFD. Text without them is returned as it is.
func Clean(text string) string {
	if isPlain(text) {
		return text
	}
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t' || r == '\n' || r == '\r':
			return ' '
		case isUnsafe(r):
			return utf8.RuneError
		}
		return r // invalid bytes arrive as RuneError
	}, text)
}

// CleanLines is Clean for text of several lines; their ends stay.
func CleanLines(text string) string {
	if isPlain(text) {
		return text
	}
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		lines[i] = Clean(line)
	}
	return strings.Join(lines, "\n")
}

// CleanStrings cleans every string in the value that v points to: struct fields, slices, map keys and
// map values, at any depth. It is for what encoding/json filled from a file or a socket.
func CleanStrings(v any) { cleanValue(reflect.ValueOf(v)) }

func cleanValue(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if !v.IsNil() {
			cleanValue(v.Elem())
		}
	case reflect.String:
		if v.CanSet() {
			v.SetString(Clean(v.String()))
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				cleanValue(v.Field(i))
			}
		}
	case reflect.Slice, reflect.Array:
		if kind := v.Type().Elem().Kind(); kind < reflect.Bool || kind > reflect.Complex128 { // not numbers
			for i := range v.Len() {
				cleanValue(v.Index(i))
			}
		}
	case reflect.Map:
		cleanMap(v)
	}
}

// cleanMap puts clean keys and values in the place of others; map entries cannot be changed in place.
func cleanMap(m reflect.Value) {
	for _, key := range m.MapKeys() {
		value := reflect.New(m.Type().Elem()).Elem()
		value.Set(m.MapIndex(key))
		cleanValue(value)
		to := reflect.New(m.Type().Key()).Elem()
		to.Set(key)
		cleanValue(to)
		if !to.Equal(key) {
			m.SetMapIndex(key, reflect.Value{})
		}
		m.SetMapIndex(to, value)
	}
}

// isPlain reports whether text is printable ASCII, as most is.
func isPlain(text string) bool {
	for i := range len(text) {
		if c := text[i]; c < 0x20 || c >= 0x7f {
			return false
		}
	}
	return true
}

// isUnsafe reports whether a terminal may act on a rune instead of showing it.
func isUnsafe(r rune) bool {
	switch {
	case r < 0x20, r >= 0x7f && r <= 0x9f: // C0, DEL, C1
		return true
	case r == 0x061c, r == 0x200e, r == 0x200f: // ALM, LRM, RLM
		return true
	case r >= 0x2028 && r <= 0x202e: // line and paragraph separators, LRE to RLO
		return true
	case r >= 0x2066 && r <= 0x2069: // LRI to PDI
		return true
	case r >= 0xe0000 && r <= 0xe007f: // tags: invisible text
		return true
	}
	return false
}
