package weights

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
)

// headerParser reads the few forms of JSON that a safetensors header may hold.
type headerParser struct {
	raw []byte
	at  int
}

// peek is the next byte that is not white space, 0 at the end.
func (p *headerParser) peek() byte {
	for p.at < len(p.raw) {
		switch c := p.raw[p.at]; c {
		case ' ', '\n', '\t', '\r':
			p.at++
		default:
			return c
		}
	}
	return 0
}

// expect consumes the byte want.
func (p *headerParser) expect(what string, want byte) error {
	switch got := p.peek(); got {
	case want:
		p.at++
		return nil
	case 0:
		return fmt.Errorf("%s: the header ends where %c should stand", what, want)
	default:
		return fmt.Errorf("%s: %q where %c should stand", what, got, want)
	}
}

// list reads what stands between open and end: items with commas between them.
func (p *headerParser) list(what string, open, end byte, item func() error) error {
	if err := p.expect(what, open); err != nil {
		return err
	}
	for first := true; p.peek() != end; first = false {
		if !first {
			if err := p.expect(what, ','); err != nil {
				return err
			}
		}
		if err := item(); err != nil {
			return err
		}
	}
	return p.expect(what, end)
}

// object reads {"key": value, ...}; member must consume the value of its key.
func (p *headerParser) object(what string, member func(key string) error) error {
	seen := map[string]bool{}
	return p.list(what, '{', '}', func() error {
		key, err := p.text(what)
		if err != nil {
			return err
		}
		if seen[key] {
			return fmt.Errorf("%s: key %q occurs twice", what, key)
		}
		seen[key] = true
		if err := p.expect(what, ':'); err != nil {
			return err
		}
		return member(key)
	})
}

// entry reads {"dtype":"F32","shape":[2,3],"data_offsets":[0,24]}.
func (p *headerParser) entry(name string) (headerEntry, error) {
	e := headerEntry{name: name}
	var offsets []uint64
	err := p.object(name, func(key string) (err error) {
		switch key {
		case "dtype":
			var text string
			text, err = p.text(name)
			e.dtype = DType(text)
		case "shape":
			e.shape, err = p.numbers(name)
		case "data_offsets":
			offsets, err = p.numbers(name)
		default:
			err = p.skip(name) // of a later version of the format
		}
		return err
	})
	if err != nil {
		return e, err
	}
	if e.dtype == "" || e.shape == nil || len(offsets) != 2 {
		return e, fmt.Errorf("%s: want dtype, shape and two data_offsets", name)
	}
	e.begin, e.end = offsets[0], offsets[1]
	return e, nil
}

// numbers reads a list of whole numbers.
func (p *headerParser) numbers(what string) ([]uint64, error) {
	list := make([]uint64, 0, 4)
	err := p.list(what, '[', ']', func() error {
		p.peek()
		start, n := p.at, uint64(0)
		for p.at < len(p.raw) && '0' <= p.raw[p.at] && p.raw[p.at] <= '9' && n < math.MaxInt64/10 {
			n = 10*n + uint64(p.raw[p.at]-'0')
			p.at++
		}
		digits, next := p.raw[start:p.at], p.peek()
		if len(digits) == 0 || len(digits) > 1 && digits[0] == '0' || next != ',' && next != ']' {
			return fmt.Errorf("%s: %.20q is not a length or offset", what, p.raw[start:])
		}
		list = append(list, n)
		return nil
	})
	return list, err
}

// text reads a string.
func (p *headerParser) text(what string) (string, error) {
	if err := p.expect(what, '"'); err != nil {
		return "", err
	}
	start := p.at
	for p.at < len(p.raw) {
		switch c := p.raw[p.at]; {
		case c == '"':
			p.at++
			return string(p.raw[start : p.at-1]), nil
		case c == '\\':
			return p.escaped(what, start-1)
		case c < ' ':
			return "", fmt.Errorf("%s: control character %q in a name", what, c)
		}
		p.at++
	}
	return "", fmt.Errorf("%s: the header ends inside a name", what)
}

// escaped reads the string that begins with the quote at start and has a backslash.
func (p *headerParser) escaped(what string, start int) (text string, err error) {
	p.at = start
	err = p.decode(what, &text)
	return text, err
}

// skip reads any value.
func (p *headerParser) skip(what string) error { return p.decode(what, new(any)) }

// decode leaves the rarer forms to encoding/json.
func (p *headerParser) decode(what string, into any) error {
	dec := json.NewDecoder(bytes.NewReader(p.raw[p.at:]))
	if err := dec.Decode(into); err != nil {
		return fmt.Errorf("%s: broken JSON: %w", what, err)
	}
	p.at += int(dec.InputOffset())
	return nil
}
