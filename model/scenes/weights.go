package scenes

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// BuiltinName is how a configuration names the shipped model.
const BuiltinName = "builtin:scenes"

// ErrNoWeights says that this program was built before its model was made.
var ErrNoWeights = errors.New("this program was built without the weights of " + BuiltinName +
	": make them with `focusnfix pretrain all`, copy OUT/model into model/scenes/weights and build again, or give OUT/model as the model")

// Folder writes the shipped model to the user's cache, once for every version of it, and gives the
// diffusers folder that it then is; networks are mapped from there.
func Folder() (string, error) {
	files, err := fs.Sub(embedded, "weights")
	if err != nil {
		return "", err
	}
	return unpack(files)
}

// unpack writes files out as a model folder.
func unpack(files fs.FS) (string, error) {
	names, sum, err := listModel(files)
	if err != nil {
		return "", err
	}
	if !slices.Contains(names, "model_index.json") {
		return "", ErrNoWeights
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = os.TempDir()
	}
	dir := filepath.Join(cache, "focusnfix", "scenes-"+sum[:16])
	if _, err := os.Stat(filepath.Join(dir, "model_index.json")); err == nil {
		return dir, nil
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o700); err != nil {
		return "", fmt.Errorf("unpack the shipped model: %w", err)
	}
	half, err := os.MkdirTemp(filepath.Dir(dir), "scenes-*.part")
	if err != nil {
		return "", fmt.Errorf("unpack the shipped model: %w", err)
	}
	defer os.RemoveAll(half) //nolint:errcheck // a leftover harms nobody
	for _, name := range names {
		data, err := fs.ReadFile(files, name)
		path := filepath.Join(half, filepath.FromSlash(name))
		if err == nil {
			err = errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, data, 0o644))
		}
		if err != nil {
			return "", fmt.Errorf("unpack the shipped model: %w", err)
		}
	}
	if err := os.Rename(half, dir); err != nil {
		if _, there := os.Stat(filepath.Join(dir, "model_index.json")); there != nil { // else another process was first
			return "", fmt.Errorf("unpack the shipped model: %w", err)
		}
	}
	return dir, nil
}

// listModel lists the files, and gives a checksum of all their names and bytes.
func listModel(files fs.FS) (names []string, sum string, err error) {
	hash := sha256.New()
	err = fs.WalkDir(files, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := fs.ReadFile(files, name)
		fmt.Fprintf(hash, "%s %d\n", name, len(data))
		hash.Write(data)
		names = append(names, name)
		return err
	})
	return names, hex.EncodeToString(hash.Sum(nil)), err
}

// UnknownWords lists the words of a prompt that no scene's caption has, in their order and once each:
// the shipped model can draw nothing from them.
func UnknownWords(prompt string) []string {
	known := Words()
	var unknown []string
	for _, word := range strings.FieldsFunc(strings.ToLower(prompt), func(r rune) bool {
		return r < 0x80 && r != '\'' && (r < 'a' || r > 'z') && (r < '0' || r > '9')
	}) {
		if _, found := slices.BinarySearch(known, word); !found && !slices.Contains(unknown, word) {
			unknown = append(unknown, word)
		}
	}
	return unknown
}
