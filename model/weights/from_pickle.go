package weights

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"focusnfix/model/weights/pickle"
)

// IsPickle reports whether the file at path begins as PyTorch's checkpoints and other pickles do.
func IsPickle(path string) bool {
	file, err := os.Open(path)
	if err != nil {
		return false
	}
	defer func() { _ = file.Close() }() // only read
	head := make([]byte, 512)
	n, _ := io.ReadFull(file, head)
	return n > 0 && beginsAsPickle(head[:n])
}

// PickleSummary is what ConvertPickle has written and left out.
type PickleSummary struct {
	Tensors int
	Bytes   int64
	Others  int // entries that are no tensors
}

// ConvertPickle writes the tensors of a PyTorch checkpoint or of pickled numpy arrays to a safetensors file,
// in the element type dtype unless that is "". Nothing of the pickle is executed. A lone tensor, or a list
// of equal ones, gets the file's name without its ending. to must not be there.
func ConvertPickle(from, to string, dtype DType) (PickleSummary, error) {
	return convertPickle(from, to, strings.TrimSuffix(filepath.Base(from), filepath.Ext(from)), dtype, nil)
}

// convertPickle is ConvertPickle with the name of a lone tensor, and more for the header.
func convertPickle(from, to, stem string, dtype DType, more map[string]string) (PickleSummary, error) {
	if _, err := os.Lstat(to); err == nil {
		return PickleSummary{}, fmt.Errorf("%s: is there already", to)
	}
	f, err := pickle.Open(from)
	if err != nil {
		return PickleSummary{}, describe(from, err)
	}
	s := PickleSummary{Others: f.Others}
	var entries []Entry
	for _, e := range pickleEntries(f.Tensors, stem) {
		if dtype != "" {
			if e, err = Cast(e, dtype); err != nil {
				return s, errors.Join(err, f.Close())
			}
		}
		size, err := sizeOf(e.DType, e.Shape)
		if err != nil {
			return s, errors.Join(fmt.Errorf("%s: %s: %w", from, e.Name, err), f.Close())
		}
		s.Tensors++
		s.Bytes += int64(size)
		entries = append(entries, e)
	}
	metadata := map[string]string{"format": "pt"}
	maps.Copy(metadata, more)
	return s, errors.Join(Write(to, metadata, entries), f.Close())
}

// pickleEntries are the tensors as they will be written.
func pickleEntries(tensors []pickle.Tensor, stem string) []Entry {
	if len(tensors) == 1 && tensors[0].Name == pickle.Single {
		return []Entry{{stem, DType(tensors[0].DType), tensors[0].Shape, tensors[0].Data}}
	}
	if rows, ok := listed(tensors); ok {
		return []Entry{{stem, DType(rows[0].DType), append([]int64{int64(len(rows))}, rows[0].Shape...), func(w io.Writer) error {
			for _, row := range rows {
				if err := row.Data(w); err != nil {
					return err
				}
			}
			return nil
		}}}
	}
	entries := make([]Entry, len(tensors))
	for i, t := range tensors {
		entries[i] = Entry{t.Name, DType(t.DType), t.Shape, t.Data}
	}
	return entries
}

// listed are the tensors of a list in its order, if they are alike.
func listed(tensors []pickle.Tensor) ([]pickle.Tensor, bool) {
	rows := make([]pickle.Tensor, len(tensors))
	for _, t := range tensors {
		i, err := strconv.Atoi(t.Name)
		if err != nil || i < 0 || i >= len(rows) || t.DType != tensors[0].DType || !slices.Equal(t.Shape, tensors[0].Shape) {
			return nil, false
		}
		rows[i] = t
	}
	return rows, len(rows) > 0
}
