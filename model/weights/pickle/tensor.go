package pickle

import (
	"errors"
	"fmt"
	"io"
	"math/bits"
	"slices"
	"strings"
)

// storage is a run of elements in the file.
type storage struct {
	data  []byte
	dtype string
}

// tensor is a strided view of a storage, or of a numpy array's bytes.
type tensor struct {
	storage       *storage // whose data a legacy file gives last
	dtype         string
	offset        int64 // elements
	shape, stride []int64
}

// smallView is how many bytes an expanded view may have whatever its storage has.
const smallView = 16 << 20

// check tests that every element lies in the storage, and that a view repeats no more than a little: an
// expanded view of one number may have any size.
func (t *tensor) check() error {
	if len(t.shape) != len(t.stride) {
		return errors.New("broken: as many strides as sizes wanted")
	}
	width := widths[t.dtype]
	have := int64(len(t.storage.data)) / width
	count, last, empty := uint64(1), uint64(t.offset), slices.Contains(t.shape, 0)
	for i, n := range t.shape {
		if empty {
			break
		}
		high, low := bits.Mul64(count, uint64(n))
		reach, step := bits.Mul64(uint64(n-1), uint64(t.stride[i]))
		if high != 0 || low > 1<<50 || reach != 0 || step > 1<<60 || last+step > 1<<60 {
			return fmt.Errorf("a tensor of sizes %v is too large", t.shape)
		}
		count, last = low, last+step
	}
	if empty {
		return nil
	}
	if last >= uint64(have) {
		return fmt.Errorf("truncated: a tensor of sizes %v ends at element %d of a storage of %d", t.shape, last+1, have)
	}
	if bytes := count * uint64(width); bytes > uint64(len(t.storage.data)) && bytes > smallView {
		return fmt.Errorf("a view of sizes %v repeats a storage of %d elements too often", t.shape, have)
	}
	return nil
}

func (t *tensor) size() int64 {
	n := widths[t.dtype]
	for _, s := range t.shape {
		n *= s
	}
	return n
}

// contiguous reports whether the elements lie row by row, without gaps.
func (t *tensor) contiguous() bool {
	want := int64(1)
	for i := len(t.shape) - 1; i >= 0; i-- {
		if t.shape[i] != 1 && t.stride[i] != want {
			return false
		}
		want *= t.shape[i]
	}
	return true
}

// bytes are the elements row by row, if they lie so in the file.
func (t *tensor) bytes() ([]byte, bool) {
	if !t.contiguous() {
		return nil, false
	}
	width, size := widths[t.dtype], t.size()
	if size == 0 {
		return nil, true
	}
	return t.storage.data[t.offset*width : t.offset*width+size], true
}

// writeTo writes the elements row by row.
func (t *tensor) writeTo(w io.Writer) error {
	if b, ok := t.bytes(); ok {
		_, err := w.Write(b)
		return err
	}
	if t.size() == 0 {
		return nil
	}
	width := widths[t.dtype]
	buffer := make([]byte, 0, 64<<10)
	index, at := make([]int64, len(t.shape)), t.offset
	for {
		if len(buffer)+int(width) > cap(buffer) {
			if _, err := w.Write(buffer); err != nil {
				return err
			}
			buffer = buffer[:0]
		}
		buffer = append(buffer, t.storage.data[at*width:(at+1)*width]...)
		i := len(index) - 1
		for ; i >= 0; i-- {
			index[i]++
			at += t.stride[i]
			if index[i] < t.shape[i] {
				break
			}
			at -= t.shape[i] * t.stride[i]
			index[i] = 0
		}
		if i < 0 {
			_, err := w.Write(buffer)
			return err
		}
	}
}

// array is a numpy array under construction: _reconstruct makes it and its state fills it.
type array struct{ tensor }

// arrayType is a numpy dtype.
type arrayType struct{ dtype string }

// numpyTypes are the element types of numpy, by the code that its pickles have.
var numpyTypes = map[string]string{
	"f2": "F16", "f4": "F32", "f8": "F64", "i1": "I8", "i2": "I16", "i4": "I32", "i8": "I64",
	"u1": "U8", "u2": "U16", "u4": "U32", "u8": "U64", "b1": "BOOL",
}

func newArray(args tuple) (any, error) {
	if len(args) != 3 || args[0] != global("numpy ndarray") {
		return nil, errors.New("broken arguments")
	}
	return &array{}, nil
}

func newArrayType(args tuple) (any, error) {
	if len(args) == 0 {
		return nil, errors.New("broken arguments")
	}
	code, _ := args[0].(string)
	code = strings.TrimLeft(code, "<|=")
	if numpyTypes[code] == "" {
		return nil, fmt.Errorf("element type %s is not read, want numbers in little-endian order", shortened(code))
	}
	return &arrayType{numpyTypes[code]}, nil
}

// setState takes (version, byte order, ...).
func (a *arrayType) setState(state any) error {
	s, ok := state.(tuple)
	if !ok || len(s) < 2 {
		return errors.New("broken state of a numpy dtype")
	}
	if order := s[1]; order == ">" {
		return errors.New("big-endian numbers are not read")
	}
	for _, v := range s[2:min(5, len(s))] {
		if v != nil {
			return errors.New("a numpy dtype with fields is not read")
		}
	}
	return nil
}

// setState takes (version, shape, dtype, fortran order, bytes).
func (a *array) setState(state any) error {
	s, ok := state.(tuple)
	if !ok || len(s) != 5 {
		return errors.New("broken state of a numpy array")
	}
	fortran, isBool := s[3].(bool)
	data, isBytes := s[4].([]byte)
	if text, ok := s[4].(string); ok && isASCII(text) {
		data, isBytes = []byte(text), true
	}
	if !isBool || !isBytes {
		return errors.New("a numpy array of objects is not read")
	}
	return a.fill(s[2], s[1], data, fortran)
}

func isASCII(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r > 0x7f })
}

func (a *array) fill(dtype, shape any, data []byte, fortran bool) error {
	d, ok := dtype.(*arrayType)
	if !ok {
		return errors.New("a numpy array without an element type")
	}
	sizes, err := integers(shape)
	if err != nil {
		return err
	}
	a.tensor = tensor{storage: &storage{data, d.dtype}, dtype: d.dtype, shape: sizes, stride: make([]int64, len(sizes))}
	step := int64(1)
	for n := range sizes {
		i := len(sizes) - 1 - n
		if fortran {
			i = n
		}
		a.stride[i] = step
		if high, low := bits.Mul64(uint64(step), uint64(sizes[i])); high == 0 && low < 1<<50 {
			step = int64(low)
		} else {
			return errors.New("a numpy array that is too large")
		}
	}
	return a.check()
}

// arrayOfBuffer is (bytes, dtype, shape, order), numpy's way in protocol 5.
func arrayOfBuffer(args tuple) (any, error) {
	if len(args) < 3 || len(args) > 4 {
		return nil, errors.New("broken arguments")
	}
	data, ok := args[0].([]byte)
	if !ok {
		return nil, errors.New("a buffer outside of the file")
	}
	a := &array{}
	return a, a.fill(args[1], args[2], data, len(args) == 4 && args[3] == "F")
}
