// Package weights reads and writes checkpoints without a tensor library.
//
// A safetensors file is eight bytes of little-endian header length, a JSON header
// naming every tensor's type, shape and place, and the bytes themselves. Files are
// mapped, not read, so opening one costs its header only and a tensor is a window
// into the mapping. Source hands tensors out by key and keeps the books; the LoRA
// and single-file parts translate between the names that different programs give
// the same weights; Pull fetches a model folder from a hub.
package weights

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// maxHeaderLen is what the reference implementation allows, in bytes.
const maxHeaderLen = 100_000_000

// Tensor is a named window into a mapped file.
type Tensor struct {
	Name   string // what a model calls it
	Key    string // what its file calls it
	DType  DType
	Shape  []int64
	Path   string // the file that holds it
	Offset int64  // of its first byte from the start of the file
	Bytes  []byte // little-endian, row-major, read-only; valid until File.Close

	// Transposed says that Bytes hold a matrix with its two axes swapped: stored
	// as [Shape[1],Shape[0]]. Only single-file checkpoints have such tensors.
	Transposed bool
	// Swapped says that the two halves of the rows are stored in the other order. Only transformers have such tensors.
	Swapped bool

	// Scales multiply 8-bit floats: one number, or one for each row. nil is none.
	Scales []float32
}

// File is an open checkpoint: one safetensors file, or a sharded one seen as one.
type File struct {
	Path     string
	Metadata map[string]string // the header's __metadata__; of the index for shards
	Tensors  []Tensor          // by name

	maps [][]byte
}

// Open maps a .safetensors file, or all shards of a .safetensors.index.json. The
// header is checked as the reference implementation checks it: every byte belongs
// to exactly one tensor, and sizes follow from shapes. Nothing is copied; a file
// that another program truncates while it is mapped kills the process.
func Open(path string) (*File, error) {
	if strings.HasSuffix(path, ".json") {
		return openIndex(path)
	}
	f, err := openPlain(path)
	if err != nil {
		return nil, err
	}
	if f.Tensors, err = foldScales(path, f.Tensors); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// openPlain opens one file, with the scales of 8-bit floats as tensors of their own.
func openPlain(path string) (*File, error) {
	data, err := mapFile(path)
	if err != nil {
		return nil, err
	}
	f := &File{Path: path, maps: [][]byte{data}}
	if f.Metadata, f.Tensors, err = parse(path, data); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// OpenDir opens the weights in the folder of one model part (unet, vae, ...) of a
// diffusers folder, whatever their file is called. variant is "" or, say, "fp16";
// the plain file serves when there is no such variant, and the other way round.
func OpenDir(dir, variant string) (*File, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, describe(dir, err)
	}
	names := make([]string, 0, len(entries))
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if name := chooseWeights(names, variant); name != "" {
		return Open(filepath.Join(dir, name))
	}
	for _, name := range names {
		if isPickleName(name) {
			return nil, pickleError(filepath.Join(dir, name))
		}
	}
	return nil, fmt.Errorf("%s: no .safetensors file; is it a part of a diffusers folder?", dir)
}

// Tensor finds a tensor by name.
func (f *File) Tensor(name string) (Tensor, bool) {
	i, ok := slices.BinarySearchFunc(f.Tensors, name, func(t Tensor, name string) int {
		return strings.Compare(t.Name, name)
	})
	if !ok {
		return Tensor{}, false
	}
	return f.Tensors[i], true
}

// Close unmaps the file. Every Bytes of its tensors is invalid from then on.
func (f *File) Close() error {
	var errs []error
	for _, m := range f.maps {
		errs = append(errs, syscall.Munmap(m))
	}
	f.maps, f.Tensors = nil, nil
	return errors.Join(errs...)
}

// mapFile maps path and refuses early what is plainly another kind of file.
func mapFile(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, describe(path, err)
	}
	defer func() { _ = file.Close() }() // the mapping stays
	info, err := file.Stat()
	if err != nil {
		return nil, describe(path, err)
	}
	switch size := info.Size(); {
	case info.IsDir():
		return nil, fmt.Errorf("%s: is a folder, want a .safetensors file", path)
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s: is not a regular file and cannot be mapped", path)
	case size < 8:
		return nil, fmt.Errorf("%s: %d bytes, too short for a safetensors file; fetch it again", path, size)
	}
	data, err := syscall.Mmap(int(file.Fd()), 0, int(info.Size()), syscall.PROT_READ, syscall.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("%s: map %d bytes: %w", path, info.Size(), err)
	}
	if err := refuseForeign(path, data); err != nil {
		return nil, errors.Join(err, syscall.Munmap(data))
	}
	return data, nil
}

// Parse reads a safetensors file that is in memory already, embedded in the program say; name stands
// for its path in errors. Its tensors have no file to map: their numbers are in Bytes.
func Parse(name string, data []byte) (*File, error) {
	metadata, tensors, err := parse(name, data)
	if err != nil {
		return nil, err
	}
	return &File{Path: name, Metadata: metadata, Tensors: tensors}, nil
}

// parse reads the header in data, the content of the file at path.
func parse(path string, data []byte) (map[string]string, []Tensor, error) {
	if len(data) < 8 {
		return nil, nil, fmt.Errorf("%s: %d bytes, too short for a safetensors file; fetch it again", path, len(data))
	}
	length := binary.LittleEndian.Uint64(data)
	rest := data[8:]
	switch {
	case length > maxHeaderLen:
		return nil, nil, fmt.Errorf("%s: header of %d bytes, at most %d allowed; not a safetensors file?",
			path, length, maxHeaderLen)
	case length > uint64(len(rest)):
		return nil, nil, fmt.Errorf("%s: truncated: header of %d bytes in a file of %d; fetch it again",
			path, length, len(data))
	}
	h, err := parseHeader(rest[:length])
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", path, err)
	}
	tensors, err := h.place(path, data, int64(8+length))
	if err != nil {
		return nil, nil, err
	}
	return h.metadata, tensors, nil
}

// describe turns an error of the file system into one line with a hint.
func describe(path string, err error) error {
	var inner *fs.PathError
	if errors.As(err, &inner) && (inner.Path == path || inner.Path == tempName(path)) {
		err = inner.Err // its path says nothing new
	}
	hint := ""
	switch {
	case errors.Is(err, fs.ErrNotExist):
		hint = "; is the path right?"
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		hint = fmt.Sprintf("; check who owns %s", filepath.Dir(path))
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		hint = fmt.Sprintf("; free some space on the disk of %s", filepath.Dir(path))
	case errors.Is(err, syscall.EFBIG):
		hint = "; the file system or ulimit -f forbids files this large"
	}
	return fmt.Errorf("%s: %w%s", path, err, hint)
}

// sortedKeys lists the keys of m in order.
func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K {
	return slices.Sorted(maps.Keys(m))
}
