package pickle

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"path"
	"strings"
)

// Limits of a zip: its directory is read into memory as a whole.
const (
	maxEntries   = 1 << 16
	maxDirectory = 16 << 20
)

// archive are the stored entries of a zip, by name.
type archive struct {
	prefix  string // "archive" in archive/data.pkl
	entries map[string][]byte
}

// openZip reads the directory of a zip. Entries must be stored, as torch.save stores them: what is compressed
// may grow without end.
func openZip(data []byte) (*archive, error) {
	if err := checkDirectory(data); err != nil {
		return nil, err
	}
	z, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return nil, fmt.Errorf("broken zip: %w; fetch it again", err)
	}
	a := &archive{entries: map[string][]byte{}}
	for _, f := range z.File {
		if f.Method != zip.Store {
			return nil, fmt.Errorf("%s is compressed; torch.save writes plain zips", shortened(f.Name))
		}
		at, err := f.DataOffset()
		if err != nil {
			return nil, fmt.Errorf("broken zip: %w", err)
		}
		size := f.UncompressedSize64
		if at < 0 || uint64(at) > uint64(len(data)) || size > uint64(len(data))-uint64(at) {
			return nil, fmt.Errorf("truncated: %s of %d bytes", shortened(f.Name), size)
		}
		if _, twice := a.entries[f.Name]; twice {
			return nil, fmt.Errorf("%s is in it twice", shortened(f.Name))
		}
		a.entries[f.Name] = data[at : uint64(at)+size : uint64(at)+size]
		if dir, file := path.Split(f.Name); file == "data.pkl" && strings.Count(f.Name, "/") == 1 {
			a.prefix = dir
		}
	}
	if a.prefix == "" {
		return nil, errors.New("is a zip without data.pkl, not of torch.save")
	}
	return a, nil
}

// checkDirectory refuses a zip whose directory would fill the memory.
func checkDirectory(data []byte) error {
	tail := data[max(0, len(data)-(1<<16+22)):]
	i := bytes.LastIndex(tail, []byte("PK\x05\x06"))
	if i < 0 || len(tail)-i < 22 {
		return errors.New("truncated zip; fetch it again")
	}
	entries, size := uint64(binary.LittleEndian.Uint16(tail[i+10:])), uint64(binary.LittleEndian.Uint32(tail[i+12:]))
	if entries == 0xffff || size == 0xffffffff { // zip64: its own record stands before
		if j := bytes.LastIndex(tail[:i], []byte("PK\x06\x06")); j >= 0 && i-j >= 48 {
			entries, size = binary.LittleEndian.Uint64(tail[j+32:]), binary.LittleEndian.Uint64(tail[j+40:])
		}
	}
	if entries > maxEntries || size > maxDirectory {
		return fmt.Errorf("a zip of %d entries, want at most %d", entries, maxEntries)
	}
	return nil
}

func parseZip(data []byte) (any, error) {
	a, err := openZip(data)
	if err != nil {
		return nil, err
	}
	if order, ok := a.entries[a.prefix+"byteorder"]; ok && string(order) != "little" {
		return nil, fmt.Errorf("%s-endian numbers are not read", shortened(string(order)))
	}
	if _, ok := a.entries[a.prefix+"constants.pkl"]; ok {
		return nil, errors.New("is a TorchScript module, not a checkpoint; as a reward it is torchscript:FILE")
	}
	known := map[string]*storage{}
	m := &machine{data: a.entries[a.prefix+"data.pkl"]}
	m.storage = func(id tuple) (*storage, error) {
		s, key, count, err := storageID(id)
		if err != nil {
			return nil, err
		}
		if old, ok := known[key]; ok {
			if old.dtype != s.dtype {
				return nil, fmt.Errorf("storage %s has two element types", shortened(key))
			}
			return old, nil
		}
		raw, ok := a.entries[a.prefix+"data/"+key]
		if want := uint64(count) * uint64(widths[s.dtype]); !ok || want > uint64(len(raw)) {
			return nil, fmt.Errorf("truncated: storage %s has %d bytes, want %d", shortened(key), len(raw), want)
		}
		s.data = raw[:count*widths[s.dtype]]
		known[key] = s
		return s, nil
	}
	return m.run()
}

// maxElements of a storage; its bytes are counted in 64 bits.
const maxElements = 1 << 50

// storageID takes ("storage", type, key, location, elements) apart.
func storageID(id tuple) (s *storage, key string, count int64, err error) {
	if len(id) < 5 || id[0] != "storage" {
		return nil, "", 0, errors.New("broken: refers to data outside of the file")
	}
	name, _ := id[1].(global)
	key, isText := id[2].(string)
	count, isNumber := id[4].(int64)
	dtype := storageTypes[name]
	if dtype == "" || !isText || !isNumber || count < 0 || count > maxElements {
		return nil, "", 0, errors.New("broken: id of a storage")
	}
	return &storage{dtype: dtype}, key, count, nil
}

// The number that begins a legacy file, 0x1950a86a20f9469cfc6c, as a pickle of protocol 2 and up holds it.
var (
	legacyMagic  = []byte("\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19")
	legacyMagic2 = append([]byte("\x80\x02"), legacyMagic...)
)

// parseLegacy reads what torch.save wrote before 1.6: pickles of the magic number, a version, facts about the
// machine, the objects and the keys of storages, and then each storage as a count and its elements.
func parseLegacy(data []byte) (any, error) {
	at := 0
	read := func(storage func(tuple) (*storage, error)) (any, error) {
		m := &machine{data: data[at:], storage: storage}
		v, err := m.run()
		at += m.at
		return v, err
	}
	if _, err := read(nil); err != nil {
		return nil, err
	}
	version, err := read(nil)
	if err != nil {
		return nil, err
	}
	if version != int64(1001) {
		return nil, fmt.Errorf("legacy checkpoint of version %v, want 1001", version)
	}
	facts, err := read(nil)
	if err != nil {
		return nil, err
	}
	if d, ok := facts.(*dict); !ok || d.find("little_endian") != true {
		return nil, errors.New("big-endian numbers are not read")
	}
	return readLegacy(data, read, &at)
}

// legacyStorages are the storages that the objects of a legacy file name. Tensors are checked while the objects are
// read: until the place of a storage is known, a window of its size stands in.
type legacyStorages struct {
	data   []byte
	known  map[string]*storage
	counts map[string]int64 // elements
}

func (l *legacyStorages) find(id tuple) (*storage, error) {
	if len(id) == 6 && id[5] != nil {
		return nil, errors.New("views of storages of PyTorch before 0.4 are not read")
	}
	s, key, count, err := storageID(id)
	if err != nil {
		return nil, err
	}
	if old, ok := l.known[key]; ok {
		if old.dtype != s.dtype || l.counts[key] != count {
			return nil, fmt.Errorf("storage %s has two element types or sizes", shortened(key))
		}
		return old, nil
	}
	size := count * widths[s.dtype]
	if size > int64(len(l.data)) {
		return nil, fmt.Errorf("truncated: storage %s of %d bytes in a file of %d", shortened(key), size, len(l.data))
	}
	s.data = l.data[:size:size]
	l.known[key], l.counts[key] = s, count
	return s, nil
}

// readLegacy reads the objects and then their storages, which come last.
func readLegacy(data []byte, read func(func(tuple) (*storage, error)) (any, error), at *int) (any, error) {
	l := legacyStorages{data, map[string]*storage{}, map[string]int64{}}
	root, err := read(l.find)
	if err != nil {
		return nil, err
	}
	keys, err := read(nil)
	if err != nil {
		return nil, err
	}
	order, ok := keys.(*list)
	if !ok || len(order.items) != len(l.known) {
		return nil, errors.New("truncated, or broken: no list of the storages that the objects have")
	}
	placed := map[string]bool{}
	for _, k := range order.items {
		key, _ := k.(string)
		s, ok := l.known[key]
		if !ok || placed[key] {
			return nil, errors.New("broken: a storage that nothing uses")
		}
		placed[key] = true
		if s.data, err = legacyStorage(data, at, l.counts[key], widths[s.dtype]); err != nil {
			return nil, fmt.Errorf("storage %s: %w", shortened(key), err)
		}
	}
	return root, nil
}

// legacyStorage is the next storage: a count of elements, and these.
func legacyStorage(data []byte, at *int, count, width int64) ([]byte, error) {
	if len(data)-*at < 8 {
		return nil, errTruncated
	}
	if n := binary.LittleEndian.Uint64(data[*at:]); n != uint64(count) {
		return nil, fmt.Errorf("broken: %d elements, want %d", n, count)
	}
	start, size := *at+8, int(count*width)
	if size > len(data)-start {
		return nil, errTruncated
	}
	*at = start + size
	return data[start:*at:*at], nil
}
