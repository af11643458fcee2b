package core

import (
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// structCodec reads and writes one type of struct as a JSON object, by the json tags of its fields: all
// that an [Event] is made of. The rules are those of a log of measurements:
//
//   - a number that is NaN or infinite is left out; one that is absent or null reads as NaN
//   - an empty text, list, map or pointer and a false are left out
//   - integers are always written
//   - keys that no field has are skipped
//
// encoding/json and its successors know no such number, and read a line in two to five times the time
// (docs/decisions/0007-our-own-event-reader.md).
type structCodec struct {
	fields []fieldCodec
	blank  reflect.Value // the struct of an empty object: every float is NaN
}

type fieldCodec struct {
	key   string
	index []int // of the field; more than one for a field of an embedded struct
	as    jsonKind
	below *structCodec // of objects and lists of objects
}

type jsonKind int

const (
	asText jsonKind = iota
	asFloat
	asInt
	asUint
	asBool
	asTime
	asSize
	asObject  // pointer to a struct
	asList    // of structs
	asNumbers // map of text to float64
)

func newStructCodec(t reflect.Type) *structCodec {
	c := &structCodec{blank: reflect.New(t).Elem()}
	for _, f := range reflect.VisibleFields(t) {
		if f.Anonymous {
			continue // its fields come next
		}
		key, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		field := fieldCodec{key: key, index: f.Index}
		switch {
		case f.Type == reflect.TypeFor[Size]():
			field.as = asSize
		case f.Type == reflect.TypeFor[time.Time]():
			field.as = asTime
		case f.Type == reflect.TypeFor[map[string]float64]():
			field.as = asNumbers
		case f.Type.Kind() == reflect.Pointer:
			field.as, field.below = asObject, newStructCodec(f.Type.Elem())
		case f.Type.Kind() == reflect.Slice:
			field.as, field.below = asList, newStructCodec(f.Type.Elem())
		case f.Type.Kind() == reflect.Float64:
			field.as = asFloat
			c.blank.FieldByIndex(f.Index).SetFloat(math.NaN())
		case f.Type.Kind() == reflect.Int:
			field.as = asInt
		case f.Type.Kind() == reflect.Uint64:
			field.as = asUint
		case f.Type.Kind() == reflect.Bool:
			field.as = asBool
		case f.Type.Kind() != reflect.String:
			panic(fmt.Sprintf("core: %v.%s: no JSON for a %v", t, f.Name, f.Type))
		}
		c.fields = append(c.fields, field)
	}
	return c
}

// read fills v, whatever it held, from the object that comes next.
func (c *structCodec) read(s *scanner, v reflect.Value) error {
	v.Set(c.blank)
	after := 0 // of the field read last: keys mostly come in the order of the fields
	return s.object(func(key []byte) error {
		i := c.find(key, after)
		if i < 0 {
			return s.skip(0)
		}
		after = i + 1
		if err := c.fields[i].read(s, c.fields[i].in(v)); err != nil {
			return fmt.Errorf("%s: %w", c.fields[i].key, err)
		}
		return nil
	})
}

// find returns the index of a key's field, or -1. It looks from a field on, and then before it.
func (c *structCodec) find(key []byte, from int) int {
	for i := from; i < len(c.fields); i++ {
		if c.fields[i].key == string(key) {
			return i
		}
	}
	for i := range min(from, len(c.fields)) {
		if c.fields[i].key == string(key) {
			return i
		}
	}
	return -1
}

// in returns the field of a struct.
func (f *fieldCodec) in(v reflect.Value) reflect.Value {
	if len(f.index) == 1 {
		return v.Field(f.index[0])
	}
	return v.FieldByIndex(f.index)
}

func (f *fieldCodec) read(s *scanner, v reflect.Value) error {
	switch f.as {
	case asFloat: // most of them
		n, err := s.number()
		v.SetFloat(n)
		return err
	case asText:
		return readInto(s.string, v.SetString)
	case asInt:
		return readInto(s.integer, v.SetInt)
	case asUint:
		return readInto(s.unsigned, v.SetUint)
	case asBool:
		return readInto(s.truth, v.SetBool)
	case asTime:
		return s.time(v.Addr().Interface().(*time.Time))
	case asSize:
		text, err := s.string()
		if err == nil {
			err = v.Addr().Interface().(*Size).UnmarshalText([]byte(text))
		}
		return err
	case asObject:
		v.Set(reflect.New(v.Type().Elem()))
		return f.below.read(s, v.Elem())
	case asNumbers:
		return s.numbers(v)
	}
	v.SetLen(0)
	return s.list(func() error {
		n := v.Len()
		v.Grow(1)
		v.SetLen(n + 1)
		return f.below.read(s, v.Index(n))
	})
}

func readInto[T any](read func() (T, error), set func(T)) error {
	v, err := read()
	if err == nil {
		set(v)
	}
	return err
}

// numbers reads an object of numbers by name.
func (s *scanner) numbers(v reflect.Value) error {
	all := map[string]float64{}
	v.Set(reflect.ValueOf(all))
	return s.object(func(key []byte) error {
		name := Clean(string(key))
		n, err := s.number()
		all[name] = n
		return err
	})
}

func (s *scanner) time(t *time.Time) error {
	raw, err := s.raw()
	if err != nil {
		return err
	}
	return t.UnmarshalText(raw)
}

const timeLayout = "2006-01-02T15:04:05.000000Z"

// append writes v as an object.
func (c *structCodec) append(line []byte, v reflect.Value) []byte {
	line = append(line, '{')
	empty := len(line)
	for i := range c.fields {
		f := &c.fields[i]
		value := f.in(v)
		if f.leftOut(value) {
			continue
		}
		if len(line) > empty {
			line = append(line, ',')
		}
		line = append(append(append(line, '"'), f.key...), '"', ':')
		line = f.append(line, value)
	}
	return append(line, '}')
}

func (f *fieldCodec) leftOut(v reflect.Value) bool {
	switch f.as {
	case asFloat:
		return !finite(v.Float())
	case asInt, asUint, asTime:
		return false
	case asList, asNumbers:
		return v.Len() == 0
	}
	return v.IsZero()
}

func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }

func (f *fieldCodec) append(line []byte, v reflect.Value) []byte {
	switch f.as {
	case asText:
		return appendString(line, v.String())
	case asFloat:
		return appendFloat(line, v.Float())
	case asInt:
		return strconv.AppendInt(line, max(v.Int(), 0), 10)
	case asUint:
		return strconv.AppendUint(line, v.Uint(), 10)
	case asBool:
		return append(line, "true"...)
	case asTime:
		return append(v.Interface().(time.Time).UTC().AppendFormat(append(line, '"'), timeLayout), '"')
	case asSize:
		return appendString(line, v.Interface().(Size).String())
	case asObject:
		return f.below.append(line, v.Elem())
	case asNumbers:
		return appendNumbers(line, v.Interface().(map[string]float64))
	}
	line = append(line, '[')
	for i := range v.Len() {
		if i > 0 {
			line = append(line, ',')
		}
		line = f.below.append(line, v.Index(i))
	}
	return append(line, ']')
}

// appendFloat writes seven digits, more than a float32 has.
func appendFloat(line []byte, v float64) []byte { return strconv.AppendFloat(line, v, 'g', 7, 64) }

func appendNumbers(line []byte, all map[string]float64) []byte {
	line = append(line, '{')
	empty := len(line)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if !finite(all[name]) {
			continue
		}
		if len(line) > empty {
			line = append(line, ',')
		}
		line = appendFloat(append(appendString(line, name), ':'), all[name])
	}
	return append(line, '}')
}

// appendString quotes s; bytes that are not UTF-8 become U+FFFD.
func appendString(line []byte, s string) []byte {
	const hex = "0123456789abcdef"
	line = append(line, '"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			line = append(line, '\\', byte(r))
		case r < 0x20 || r == 0x7f:
			line = append(line, '\\', 'u', '0', '0', hex[r>>4], hex[r&15])
		default:
			line = utf8.AppendRune(line, r)
		}
	}
	return append(line, '"')
}
