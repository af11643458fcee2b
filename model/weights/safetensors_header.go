package weights

import (
	"cmp"
	"errors"
	"fmt"
	"math/bits"
	"slices"
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

// parseHeader reads the JSON by hand: encoding/json would accept duplicate keys, other
// letter case and broken UTF-8, and takes ten times as long for the thousands of
// tensors of a large model.
func parseHeader(raw []byte) (*header, error) {
	if !utf8.Valid(raw) {
		return nil, errors.New("header is not UTF-8")
	}
	p := &headerParser{raw: raw}
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
	if p.peek() != 0 || p.at != len(raw) {
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
