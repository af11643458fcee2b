// Package pickle reads the tensors of PyTorch checkpoints (.ckpt, .pt, .pth, .bin) and of pickled numpy
// arrays without Python.
//
// A pickle is a program: Python's reader calls whatever function it names, which is how a checkpoint can
// take over a machine. This reader has no functions to call. It runs the instructions of the format on a
// stack of plain values and knows some thirty names, those of storages, element types, tensors, ordered
// dicts and numpy arrays, each with a meaning of its own here; a file that names anything else is refused
// with that name. Memory is bounded by the limits in machine.go, not by what a file claims: tensors stay
// windows into the mapped file. docs/decisions/0006-pickles.md says why.
package pickle

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"syscall"
)

// File is an open checkpoint.
type File struct {
	Path    string
	Tensors []Tensor
	Others  int // entries that are no tensors: steps, settings, texts

	mapping []byte
}

// Tensor is one tensor of a checkpoint. Names of nested dicts are joined by dots.
type Tensor struct {
	Name  string
	DType string // as safetensors spells it
	Shape []int64

	view *tensor
}

// Data writes the elements, little-endian and row by row, as many bytes as type and shape say.
func (t Tensor) Data(w io.Writer) error { return t.view.writeTo(w) }

// Open maps a checkpoint and reads its structure. Tensors are valid until Close.
func Open(path string) (*File, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }() // the mapping stays
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() == 0 {
		return nil, fmt.Errorf("%s: want a regular file that is not empty", path)
	}
	data, err := syscall.Mmap(int(file.Fd()), 0, int(info.Size()), syscall.PROT_READ, syscall.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("%s: map %d bytes: %w", path, info.Size(), err)
	}
	f, err := Parse(path, data)
	if err != nil {
		return nil, errors.Join(err, syscall.Munmap(data))
	}
	f.mapping = data
	return f, nil
}

// Close unmaps the file.
func (f *File) Close() error {
	f.Tensors = nil
	if f.mapping == nil {
		return nil
	}
	m := f.mapping
	f.mapping = nil
	return syscall.Munmap(m)
}

// Parse reads a checkpoint that is in memory; path is what errors call it.
func Parse(path string, data []byte) (*File, error) {
	root, err := parse(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	f := &File{Path: path}
	if err := f.collect(root, int64(len(data))); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return f, nil
}

// parse reads any of the three layouts: a zip of torch.save since 1.6, the legacy layout of torch.save
// before, or a bare pickle.
func parse(data []byte) (any, error) {
	switch {
	case bytes.HasPrefix(data, []byte("PK\x03\x04")):
		return parseZip(data)
	case bytes.HasPrefix(data, legacyMagic2), bytes.Contains(data[:min(64, len(data))], legacyMagic):
		return parseLegacy(data)
	case len(data) > 262 && string(data[257:262]) == "ustar":
		return nil, errors.New("is a checkpoint of a PyTorch before 0.1.10, which is not read")
	}
	return (&machine{data: data}).run()
}

// Names under which training programs keep the weights, the first of which is taken.
var weightsKeys = []string{"state_dict", "model_state_dict", "params_ema", "params", "model", "module"}

// Single is what a lone tensor is called.
const Single = "tensor"

// collect lists the tensors below root.
func (f *File) collect(root any, fileSize int64) error {
	if d, ok := root.(*dict); ok {
		for _, key := range weightsKeys {
			if inner, ok := d.find(key).(*dict); ok {
				root = inner
				f.Others += len(d.keys) - 1
				break
			}
		}
	}
	w := walker{file: f, budget: 4*fileSize + smallView, seen: map[string]bool{}}
	if err := w.walk("", root, 0); err != nil {
		return err
	}
	if len(f.Tensors) == 0 {
		return errors.New("holds no tensors")
	}
	slices.SortFunc(f.Tensors, func(a, b Tensor) int { return strings.Compare(a.Name, b.Name) })
	return nil
}

// Limits of the walk: values may be shared, so that a small file can hold an endless tree.
const (
	maxDepth   = 32
	maxVisits  = 1 << 20
	maxNames   = 1 << 17
	maxNameLen = 1 << 10
)

type walker struct {
	file   *File
	visits int
	budget int64 // bytes that the tensors may have in all: shared storages are written once each
	seen   map[string]bool
}

func (w *walker) walk(name string, v any, depth int) error {
	if w.visits++; w.visits > maxVisits || depth > maxDepth {
		return errors.New("refused: nested too deeply, or without end")
	}
	switch value := v.(type) {
	case *tensor:
		return w.add(name, value)
	case *array:
		if value.dtype == "" {
			return errors.New("broken: a numpy array without content")
		}
		return w.add(name, &value.tensor)
	case *dict:
		for i, key := range value.keys {
			if err := w.walk(joined(name, key), value.values[i], depth+1); err != nil {
				return err
			}
		}
	case *list:
		return w.items(name, value.items, depth)
	case tuple:
		return w.items(name, value, depth)
	default:
		w.file.Others++
	}
	return nil
}

func (w *walker) items(name string, items []any, depth int) error {
	for i, item := range items {
		if err := w.walk(joined(name, int64(i)), item, depth+1); err != nil {
			return err
		}
	}
	return nil
}

func joined(name string, key any) string {
	text := ""
	switch k := key.(type) {
	case string:
		text = k
	case int64:
		text = fmt.Sprint(k)
	default:
		text = "?"
	}
	if len(name)+len(text) > maxNameLen {
		text = text[:max(0, min(len(text), maxNameLen-len(name)))]
	}
	if name == "" {
		return text
	}
	return name + "." + text
}

func (w *walker) add(name string, t *tensor) error {
	if name == "" {
		name = Single
	}
	if len(w.file.Tensors) >= maxNames {
		return fmt.Errorf("more than %d tensors", maxNames)
	}
	if w.seen[name] {
		return fmt.Errorf("two tensors have the name %s", shortened(name))
	}
	w.seen[name] = true
	if w.budget -= t.size(); w.budget < 0 {
		return errors.New("refused: its tensors share storages so often that they would fill the disk")
	}
	w.file.Tensors = append(w.file.Tensors, Tensor{Name: name, DType: t.dtype, Shape: t.shape, view: t})
	return nil
}
