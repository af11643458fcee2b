package core

import (
	"math"
	"strconv"
	"unicode/utf8"
)

// object appends one JSON object to a line. encoding/json cannot write a number that is none; here it is
// left out, and so is an empty text.
type object struct {
	line  []byte
	empty bool // nothing written since the last opening bracket
}

func (o *object) open()  { o.line, o.empty = append(o.line, '{'), true }
func (o *object) close() { o.line, o.empty = append(o.line, '}'), false }

func (o *object) comma() {
	if !o.empty {
		o.line = append(o.line, ',')
	}
	o.empty = false
}

func (o *object) key(key string) {
	o.comma()
	o.line = append(append(append(o.line, '"'), key...), '"', ':')
}

// number writes seven digits, more than a float32 has.
func (o *object) number(key string, v float64) {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return
	}
	o.key(key)
	o.line = strconv.AppendFloat(o.line, v, 'g', 7, 64)
}

// measured writes a number under a key of any text.
func (o *object) measured(key string, v float64) {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return
	}
	o.comma()
	o.line = append(appendString(o.line, key), ':')
	o.line = strconv.AppendFloat(o.line, v, 'g', 7, 64)
}

func (o *object) integer(key string, v uint64) {
	o.key(key)
	o.line = strconv.AppendUint(o.line, v, 10)
}

func (o *object) truth(key string, v bool) {
	if v {
		o.key(key)
		o.line = append(o.line, "true"...)
	}
}

func (o *object) text(key, v string) {
	if v != "" {
		o.key(key)
		o.line = appendString(o.line, v)
	}
}

func (o *object) sub(key string, fill func(*object)) {
	o.key(key)
	o.open()
	fill(o)
	o.close()
}

// list writes n objects.
func (o *object) list(key string, n int, fill func(i int)) {
	if n == 0 {
		return
	}
	o.key(key)
	o.line, o.empty = append(o.line, '['), true
	for i := range n {
		o.comma()
		o.open()
		fill(i)
		o.close()
	}
	o.line = append(o.line, ']')
}

// appendString quotes s; bytes that are no UTF-8 become U+FFFD.
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
