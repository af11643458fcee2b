package weights

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Entry is one tensor to be written. Data writes its bytes, little-endian and
// row-major, exactly as many as type and shape say; it is called once, in the
// order of the file, so a checkpoint never has to be in memory as a whole.
type Entry struct {
	Name  string
	DType DType
	Shape []int64
	Data  func(w io.Writer) error
}

// FromBytes is the Data of an Entry whose bytes are at hand.
func FromBytes(b []byte) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := w.Write(b)
		return err
	}
}

// Write makes a safetensors file, byte for byte the one that the reference
// implementation makes: wide element types first, then by name, the first tensor
// at a multiple of eight. The file appears under its name only when it is whole
// and on the disk; on any error what was there before stays.
func Write(path string, metadata map[string]string, entries []Entry) error {
	ordered, sizes, err := layOut(path, entries)
	if err != nil {
		return err
	}
	head, err := encodeHeader(metadata, ordered, sizes)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return writeAtomic(path, func(w io.Writer) error {
		out := bufio.NewWriterSize(w, 1<<20)
		if _, err := out.Write(head); err != nil {
			return err
		}
		for i, e := range ordered {
			counted := &countingWriter{w: out}
			if err := e.Data(counted); err != nil {
				return fmt.Errorf("%s: %w", e.Name, err)
			}
			if counted.n != sizes[i] {
				return fmt.Errorf("%s: %d bytes, want %d for %s %s",
					e.Name, counted.n, sizes[i], e.DType, shapeString(e.Shape))
			}
		}
		return out.Flush()
	})
}

// WriteSharded writes dir/stem.safetensors if the entries fit into maxBytes, else
// dir/stem-00001-of-00003.safetensors and so on with their index, written last. It
// returns the path to open. A tensor larger than maxBytes gets its own shard.
func WriteSharded(dir, stem string, metadata map[string]string, entries []Entry, maxBytes uint64) (string, error) {
	shards, total, err := split(dir, entries, maxBytes)
	if err != nil {
		return "", err
	}
	if len(shards) < 2 {
		path := filepath.Join(dir, stem+".safetensors")
		return path, Write(path, metadata, entries)
	}
	idx := index{Metadata: map[string]any{"total_size": total}, WeightMap: map[string]string{}}
	for i, shard := range shards {
		name := fmt.Sprintf("%s-%05d-of-%05d.safetensors", stem, i+1, len(shards))
		if err := Write(filepath.Join(dir, name), metadata, shard); err != nil {
			return "", err
		}
		for _, e := range shard {
			idx.WeightMap[e.Name] = name
		}
	}
	raw, err := json.MarshalIndent(idx, "", "  ")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, stem+indexSuffix)
	return path, writeAtomic(path, func(w io.Writer) error {
		_, err := w.Write(append(raw, '\n'))
		return err
	})
}

// split deals entries, in their order, to shards of at most maxBytes.
func split(dir string, entries []Entry, maxBytes uint64) (shards [][]Entry, total uint64, err error) {
	if _, _, err := layOut(dir, entries); err != nil { // names are unique across shards too
		return nil, 0, err
	}
	room := uint64(0)
	for _, e := range entries {
		size, err := sizeOf(e.DType, e.Shape)
		if err != nil {
			return nil, 0, fmt.Errorf("%s: %s: %w", dir, e.Name, err)
		}
		if len(shards) == 0 || size > room {
			shards, room = append(shards, nil), max(maxBytes, size)
		}
		room -= size
		total += size
		shards[len(shards)-1] = append(shards[len(shards)-1], e)
	}
	return shards, total, nil
}

// layOut orders entries as they will lie in the file, with their sizes in bytes.
func layOut(path string, entries []Entry) ([]Entry, []uint64, error) {
	ordered := slices.Clone(entries)
	slices.SortStableFunc(ordered, func(a, b Entry) int {
		return cmp.Or(cmp.Compare(b.DType.rank(), a.DType.rank()), strings.Compare(a.Name, b.Name))
	})
	sizes := make([]uint64, len(ordered))
	seen := map[string]bool{"__metadata__": true}
	for i, e := range ordered {
		var err error
		if sizes[i], err = sizeOf(e.DType, e.Shape); err != nil {
			return nil, nil, fmt.Errorf("%s: %s: %w", path, e.Name, err)
		}
		if seen[e.Name] {
			return nil, nil, fmt.Errorf("%s: %s: written twice or reserved; tensor names must differ", path, e.Name)
		}
		seen[e.Name] = true
	}
	return ordered, sizes, nil
}

// encodeHeader is the length and the JSON, padded with spaces to a multiple of 8.
func encodeHeader(metadata map[string]string, entries []Entry, sizes []uint64) ([]byte, error) {
	var b bytes.Buffer
	b.Write(make([]byte, 8))
	b.WriteByte('{')
	if len(metadata) > 0 {
		b.WriteString(`"__metadata__":`)
		if err := writeJSON(&b, metadata); err != nil {
			return nil, err
		}
	}
	at := uint64(0)
	for i, e := range entries {
		if i > 0 || len(metadata) > 0 {
			b.WriteByte(',')
		}
		if err := writeJSON(&b, e.Name); err != nil {
			return nil, err
		}
		fmt.Fprintf(&b, `:{"dtype":"%s","shape":%s,"data_offsets":[%d,%d]}`,
			e.DType, shapeString(e.Shape), at, at+sizes[i])
		at += sizes[i]
	}
	b.WriteByte('}')
	for b.Len()%8 != 0 {
		b.WriteByte(' ')
	}
	if b.Len()-8 > maxHeaderLen {
		return nil, fmt.Errorf("header of %d bytes, at most %d allowed", b.Len()-8, maxHeaderLen)
	}
	binary.LittleEndian.PutUint64(b.Bytes(), uint64(b.Len()-8))
	return b.Bytes(), nil
}

// writeJSON writes v without the HTML escapes and the line feed that encoding/json
// adds by default.
func writeJSON(b *bytes.Buffer, v any) error {
	enc := json.NewEncoder(b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return err
	}
	b.Truncate(b.Len() - 1)
	return nil
}

// tempName is where a file is written before it gets its name path.
func tempName(path string) string {
	return filepath.Join(filepath.Dir(path), fmt.Sprintf(".%s.%d.tmp", filepath.Base(path), os.Getpid()))
}

// writeAtomic lets fill write a file beside path, flushes it to the disk and only
// then gives it its name. It leaves nothing behind on an error.
func writeAtomic(path string, fill func(io.Writer) error) (err error) {
	temp, err := os.OpenFile(tempName(path), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o666) // less the umask
	if err != nil {
		return describe(path, err)
	}
	defer func() {
		if err != nil {
			_ = temp.Close() // a second Close is harmless
			_ = os.Remove(temp.Name())
			err = describe(path, err)
		}
	}()
	if err := fill(temp); err != nil {
		return err
	}
	if err := errors.Join(temp.Sync(), temp.Close()); err != nil {
		return err
	}
	if err := os.Rename(temp.Name(), path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// syncDir makes a rename in dir survive a power cut, where the file system can.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	if errors.Is(err, errors.ErrUnsupported) || errors.Is(err, fs.ErrInvalid) {
		err = nil
	}
	return errors.Join(err, d.Close())
}

// countingWriter counts what a Data function writes.
type countingWriter struct {
	w io.Writer
	n uint64
}

func (c *countingWriter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += uint64(n)
	return n, err
}
