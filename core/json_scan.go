package core

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
)

// scanner reads one JSON text forward, some five times as fast as encoding/json: a screen that attaches
// to a long run reads a million events.
type scanner struct {
	text []byte
	at   int
}

const maxDepth = 32 // of objects and lists within each other

func (s *scanner) wrong(want string) error {
	if s.at >= len(s.text) {
		return fmt.Errorf("byte %d: the end, want %s", s.at, want)
	}
	return fmt.Errorf("byte %d: %q, want %s", s.at, s.text[s.at], want)
}

// peek returns the next byte that is not white space, 0 at the end.
func (s *scanner) peek() byte {
	for s.at < len(s.text) {
		switch c := s.text[s.at]; c {
		case ' ', '\t', '\r', '\n':
			s.at++
		default:
			return c
		}
	}
	return 0
}

func (s *scanner) expect(c byte) error {
	if s.peek() != c {
		return s.wrong(string(c))
	}
	s.at++
	return nil
}

// object calls field for each key; field must read the value.
func (s *scanner) object(field func(key []byte) error) error {
	if err := s.expect('{'); err != nil {
		return err
	}
	if s.peek() == '}' {
		s.at++
		return nil
	}
	for {
		key, err := s.raw()
		if err == nil {
			err = s.expect(':')
		}
		if err == nil {
			err = field(key)
		}
		if err != nil {
			return err
		}
		if done, err := s.next('}'); done || err != nil {
			return err
		}
	}
}

// next reads a comma or the closing bracket.
func (s *scanner) next(closing byte) (done bool, err error) {
	c := s.peek()
	if c != ',' && c != closing {
		return false, s.wrong("a comma or " + string(closing))
	}
	s.at++
	return c == closing, nil
}

// list calls entry before each value; entry must read it.
func (s *scanner) list(entry func() error) error {
	if err := s.expect('['); err != nil {
		return err
	}
	if s.peek() == ']' {
		s.at++
		return nil
	}
	for {
		if err := entry(); err != nil {
			return err
		}
		if done, err := s.next(']'); done || err != nil {
			return err
		}
	}
}

// raw reads a string; its bytes are copied only if it has escapes.
func (s *scanner) raw() ([]byte, error) {
	if err := s.expect('"'); err != nil {
		return nil, err
	}
	start := s.at
	for ; s.at < len(s.text); s.at++ {
		switch c := s.text[s.at]; {
		case c == '"':
			s.at++
			return s.text[start : s.at-1], nil
		case c == '\\':
			return s.escaped(start)
		case c < 0x20:
			return nil, s.wrong("a string without control characters")
		}
	}
	return nil, s.wrong("a closing quote")
}

// escaped reads a string with escapes, which are rare enough for encoding/json.
func (s *scanner) escaped(start int) ([]byte, error) {
	for ; s.at < len(s.text); s.at++ {
		switch s.text[s.at] {
		case '\\':
			s.at++
		case '"':
			s.at++
			var v string
			err := json.Unmarshal(s.text[start-1:s.at], &v)
			return []byte(v), err
		}
	}
	return nil, s.wrong("a closing quote")
}

func (s *scanner) string() (string, error) {
	raw, err := s.raw()
	if string(raw) == "step" { // the kind of nearly every event: no copy
		return "step", err
	}
	return Clean(string(raw)), err
}

// number reads a number; null is NaN.
func (s *scanner) number() (float64, error) {
	if s.peek() == 'n' {
		return math.NaN(), s.word("null")
	}
	if quick, n := decimal(s.text[s.at:]); n > 0 && (s.at+n == len(s.text) || !isNumeric(s.text[s.at+n])) {
		s.at += n
		return quick, nil
	}
	start := s.at
	for s.at < len(s.text) && isNumeric(s.text[s.at]) {
		s.at++
	}
	digits := s.text[start:s.at]
	n, err := strconv.ParseFloat(string(digits), 64)
	if err != nil || !json.Valid(digits) {
		s.at = start
		return 0, s.wrong("a number")
	}
	return n, nil
}

func isNumeric(c byte) bool {
	return c >= '0' && c <= '9' || c == '.' || c == '-' || c == '+' || c == 'e' || c == 'E'
}

// powersOfTen are exact in float64.
var powersOfTen = [...]float64{
	1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
}

// decimal reads the JSON number that text begins with, and how many bytes it has. It reads what strconv.ParseFloat
// would, for numbers of at most 15 digits whose power of ten is at most 22 either way: digits and power are exact, so
// that their product or quotient is rounded once. Any other has no bytes.
func decimal(text []byte) (v float64, n int) {
	first := 0
	if len(text) > 0 && text[0] == '-' {
		first = 1
	}
	digits, count, power, at := mantissa(text, first)
	if count == 0 || count > 15 {
		return 0, 0
	}
	if at < len(text) && (text[at] == 'e' || text[at] == 'E') {
		e, n := exponent(text[at:])
		if n == 0 {
			return 0, 0
		}
		power, at = power+e, at+n
	}
	if power < -22 || power > 22 {
		return 0, 0
	}
	if v = float64(digits); power < 0 {
		v /= powersOfTen[-power]
	} else {
		v *= powersOfTen[power]
	}
	if first > 0 {
		v = -v
	}
	return v, at
}

// mantissa reads the digits of a number from a place on, with a point or without, and where they end: the value is
// digits times ten to the power. Where they are no JSON number, their count is 0.
func mantissa(text []byte, first int) (digits uint64, count, power, end int) {
	digits, end = digitRun(text, first, 0)
	count = end - first
	if count == 0 || count > 1 && text[first] == '0' {
		return 0, 0, 0, 0
	}
	if end == len(text) || text[end] != '.' {
		return digits, count, 0, end
	}
	point := end + 1
	if digits, end = digitRun(text, point, digits); end == point {
		return 0, 0, 0, 0
	}
	return digits, count + end - point, point - end, end
}

// digitRun reads digits from a place on behind those that were read before, and returns where they end.
func digitRun(text []byte, at int, before uint64) (digits uint64, end int) {
	for digits = before; at < len(text) && text[at] >= '0' && text[at] <= '9'; at++ {
		digits = 10*digits + uint64(text[at]-'0')
	}
	return digits, at
}

// exponent reads "e-05" and how many bytes it has: none where it is no exponent of at most three digits.
func exponent(text []byte) (e, n int) {
	at := 1
	negative := at < len(text) && text[at] == '-'
	if negative || at < len(text) && text[at] == '+' {
		at++
	}
	first := at
	for ; at < len(text) && at < first+3 && text[at] >= '0' && text[at] <= '9'; at++ {
		e = 10*e + int(text[at]-'0')
	}
	if at == first {
		return 0, 0
	}
	if negative {
		e = -e
	}
	return e, at
}

func (s *scanner) integer() (int64, error) {
	at := s.at
	n, err := s.number()
	if err == nil && (n != math.Trunc(n) || math.Abs(n) > 1<<53) {
		s.at = at
		err = s.wrong("a whole number")
	}
	return int64(n), err
}

// unsigned reads a whole number of up to 64 bits.
func (s *scanner) unsigned() (uint64, error) {
	s.peek()
	start := s.at
	for s.at < len(s.text) && s.text[s.at] >= '0' && s.text[s.at] <= '9' {
		s.at++
	}
	n, err := strconv.ParseUint(string(s.text[start:s.at]), 10, 64)
	if err != nil {
		s.at = start
		err = s.wrong("a whole number")
	}
	return n, err
}

func (s *scanner) truth() (bool, error) {
	if s.peek() == 't' {
		return true, s.word("true")
	}
	return false, s.word("false")
}

func (s *scanner) word(word string) error {
	if !bytes.HasPrefix(s.text[s.at:], []byte(word)) {
		return s.wrong(word)
	}
	s.at += len(word)
	return nil
}

// skip reads a value of any kind and forgets it.
func (s *scanner) skip(depth int) error {
	if depth > maxDepth {
		return s.wrong("fewer brackets within each other")
	}
	switch s.peek() {
	case '{':
		return s.object(func([]byte) error { return s.skip(depth + 1) })
	case '[':
		return s.list(func() error { return s.skip(depth + 1) })
	case '"':
		_, err := s.raw()
		return err
	case 't', 'f':
		_, err := s.truth()
		return err
	}
	_, err := s.number()
	return err
}
