package weights

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// header is the JSON of a safetensors file, as written.
type header struct {
	metadata map[string]string
	entries  []headerEntry
}

type headerEntry struct {
	name       string
	dtype      DType
	shape      []uint64
	begin, end uint64 // from the first byte after the header
}

// parseHeader reads the JSON token by token, because json.Unmarshal would accept
// duplicate keys, other letter case, floats and broken UTF-8.
func parseHeader(raw []byte) (*header, error) {
	if !utf8.Valid(raw) {
		return nil, errors.New("header is not UTF-8")
	}
	p := &headerParser{dec: json.NewDecoder(bytes.NewReader(raw))}
	p.dec.UseNumber()
	h := &header{metadata: map[string]string{}}
	err := p.object("header", func(key string) error {
		if key == "__metadata__" {
			return p.object(key, func(name string) (err error) {
				h.metadata[name], err = p.text(key)
				return err
			})
		}
		e, err := p.entry(key)
		h.entries = append(h.entries, e)
		return err
	})
	if err != nil {
		return nil, err
	}
	if _, err := p.dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("header has text after its JSON object")
	}
	return h, nil
}

// place turns header entries into tensors over data, whose tensor bytes begin at
// start, after checking that they tile it exactly.
func (h *header) place(path string, data []byte, start int64) ([]Tensor, error) {
	slices.SortFunc(h.entries, func(a, b headerEntry) int {
		return cmp.Or(cmp.Compare(a.begin, b.begin), cmp.Compare(a.end, b.end), strings.Compare(a.name, b.name))
	})
	size := uint64(len(data)) - uint64(start)
	tensors := make([]Tensor, len(h.entries))
	end, last := uint64(0), ""
	for i, e := range h.entries {
		if err := e.check(end, last); err != nil {
			return nil, fmt.Errorf("%s: %s: %w", path, e.name, err)
		}
		if e.end > size {
			return nil, fmt.Errorf("%s: truncated: %s ends at byte %d of a file of %d; fetch it again",
				path, e.name, uint64(start)+e.end, len(data))
		}
		shape := make([]int64, len(e.shape))
		for j, n := range e.shape {
			shape[j] = int64(n)
		}
		from, to := start+int64(e.begin), start+int64(e.end)
		tensors[i] = Tensor{
			Name: e.name, Key: e.name, DType: e.dtype, Shape: shape,
			Path: path, Offset: from, Bytes: data[from:to:to],
		}
		end, last = e.end, e.name
	}
	if end != size {
		return nil, fmt.Errorf("%s: %d bytes after the last tensor", path, size-end)
	}
	slices.SortFunc(tensors, func(a, b Tensor) int { return strings.Compare(a.Name, b.Name) })
	return tensors, nil
}

// check tests one entry; the tensor before it, last, ended at byte prev.
func (e headerEntry) check(prev uint64, last string) error {
	want, err := sizeOf(e.dtype, e.shape)
	switch {
	case err != nil:
		return err
	case e.begin > e.end:
		return fmt.Errorf("data offsets [%d,%d] run backwards", e.begin, e.end)
	case e.begin < prev:
		return fmt.Errorf("data offsets [%d,%d] overlap %s, which ends at %d", e.begin, e.end, last, prev)
	case e.begin > prev:
		return fmt.Errorf("data offsets [%d,%d] leave a hole of %d bytes before them", e.begin, e.end, e.begin-prev)
	case e.end-e.begin != want:
		return fmt.Errorf("%d bytes, want %d for %s %s", e.end-e.begin, want, e.dtype, shapeString(e.shape))
	}
	return nil
}

// sizeOf is the number of bytes of a tensor.
func sizeOf[N int64 | uint64](dtype DType, shape []N) (uint64, error) {
	width := uint64(dtype.Bits())
	if width == 0 {
		return 0, fmt.Errorf("unknown dtype %q; a newer program wrote the file", dtype)
	}
	total := width
	for _, n := range shape {
		if n < 0 {
			return 0, fmt.Errorf("shape %s has a negative length", shapeString(shape))
		}
		high, low := bits.Mul64(total, uint64(n))
		if high != 0 || low > 1<<62 {
			return 0, fmt.Errorf("shape %s is too large", shapeString(shape))
		}
		total = low
	}
	if total%8 != 0 {
		return 0, fmt.Errorf("%s %s does not fill whole bytes", dtype, shapeString(shape))
	}
	return total / 8, nil
}

// shapeString writes a shape as [320,4,3,3].
func shapeString[N int64 | uint64](shape []N) string {
	var b strings.Builder
	b.WriteByte('[')
	for i, n := range shape {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprint(&b, n)
	}
	b.WriteByte(']')
	return b.String()
}

// headerParser reads the few JSON forms that a header may hold.
type headerParser struct{ dec *json.Decoder }

// object reads {key: value, ...}; member must consume the value of its key.
func (p *headerParser) object(what string, member func(key string) error) error {
	if err := p.delim(what, '{'); err != nil {
		return err
	}
	seen := map[string]bool{}
	for p.dec.More() {
		key, err := p.text(what)
		if err != nil {
			return err
		}
		if seen[key] {
			return fmt.Errorf("%s: key %q occurs twice", what, key)
		}
		seen[key] = true
		if err := member(key); err != nil {
			return err
		}
	}
	return p.delim(what, '}')
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
			err = p.dec.Decode(new(json.RawMessage)) // of a later version of the format
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
	if err := p.delim(what, '['); err != nil {
		return nil, err
	}
	list := []uint64{}
	for p.dec.More() {
		token, err := p.token(what)
		if err != nil {
			return nil, err
		}
		number, _ := token.(json.Number)
		n, err := strconv.ParseUint(string(number), 10, 63)
		if err != nil {
			return nil, fmt.Errorf("%s: %v is not a length or offset", what, token)
		}
		list = append(list, n)
	}
	return list, p.delim(what, ']')
}

func (p *headerParser) text(what string) (string, error) {
	token, err := p.token(what)
	if err != nil {
		return "", err
	}
	text, ok := token.(string)
	if !ok {
		return "", fmt.Errorf("%s: %v where text should stand", what, token)
	}
	return text, nil
}

func (p *headerParser) delim(what string, want rune) error {
	token, err := p.token(what)
	if err != nil {
		return err
	}
	if token != json.Delim(want) {
		return fmt.Errorf("%s: %v where %c should stand", what, token, want)
	}
	return nil
}

func (p *headerParser) token(what string) (json.Token, error) {
	token, err := p.dec.Token()
	if err != nil {
		return nil, fmt.Errorf("%s: broken JSON: %w", what, err)
	}
	return token, nil
}
