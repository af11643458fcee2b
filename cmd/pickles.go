package cmd

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"focusnfix/model/weights"
)

// unpickled is the safetensors file of a PyTorch checkpoint, made once in the user's cache if the flag asks for
// it; any other path stays.
func (m *modelFlags) unpickled(w io.Writer, path string) (string, error) {
	if info, err := os.Stat(path); err != nil || info.IsDir() || !weights.IsPickle(path) {
		return path, nil
	}
	to, err := cachedPickle(path)
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(to); err == nil {
		return to, nil
	}
	if !m.convertPickles {
		return "", hintedError{
			errors.New(path + ": is a Python pickle, not a safetensors file"),
			fmt.Sprintf("--convert-pickles makes one of it in %s, once, without executing anything in it; `focusnfix convert` does so where you like", filepath.Dir(to)),
		}
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o777); err != nil {
		return "", err
	}
	fmt.Fprintf(w, "converting %s to %s\n", path, to)
	_, err = weights.ConvertPickle(path, to, "")
	return to, err
}

// cachedPickle is where the safetensors file of a checkpoint goes: a name of its own for every path, size and
// time of change.
func cachedPickle(path string) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("no folder for converted files: %w", err)
	}
	full, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	info, err := os.Stat(full)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\x00%d\x00%d", full, info.Size(), info.ModTime().UnixNano()))
	stem := strings.TrimSuffix(filepath.Base(full), filepath.Ext(full))
	return filepath.Join(cache, "focusnfix", "converted", fmt.Sprintf("%s-%x.safetensors", stem, sum[:6])), nil
}
