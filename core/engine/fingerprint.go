package engine

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

const (
	fingerprintHead    = 64 << 10 // bytes of a file's begin, where names and shapes are
	fingerprintSamples = 64       // blocks spread over the rest
	fingerprintBlock   = 4 << 10  // bytes of one
)

// fingerprint tells models apart: a hash over the names, sizes, heads and evenly spread blocks of a
// model's files. Reading all of SDXL would take longer than loading it; weights that were trained on
// differ everywhere.
func fingerprint(path string) (string, error) {
	hash := sha256.New()
	path, err := filepath.EvalSymlinks(path)
	if err != nil {
		return "", fmt.Errorf("fingerprint of the model: %w", err)
	}
	err = filepath.WalkDir(path, func(file string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !slices.Contains([]string{".safetensors", ".json", ".txt"}, filepath.Ext(file)) {
			return err
		}
		name, err := filepath.Rel(path, file)
		if err != nil {
			return err
		}
		return addFile(hash, filepath.ToSlash(name), file)
	})
	if err != nil {
		return "", fmt.Errorf("fingerprint of the model: %w", err)
	}
	return hex.EncodeToString(hash.Sum(nil)[:16]), nil
}

func addFile(hash io.Writer, name, path string) (err error) {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	fmt.Fprintf(hash, "%s %d\n", name, info.Size())
	rest := info.Size() - fingerprintHead
	if _, err := io.Copy(hash, io.NewSectionReader(file, 0, fingerprintHead)); err != nil || rest <= 0 {
		return err
	}
	for i := range int64(fingerprintSamples) {
		at := fingerprintHead + rest*i/fingerprintSamples
		if _, err := io.Copy(hash, io.NewSectionReader(file, at, fingerprintBlock)); err != nil {
			return err
		}
	}
	return nil
}

// promptsHash tells lists of prompts apart, whatever comments and empty lines are between them.
func promptsHash(training, heldOut []string) string {
	hash := sha256.New()
	for _, list := range [][]string{training, heldOut} {
		for _, prompt := range list {
			fmt.Fprintf(hash, "%q\n", prompt)
		}
		fmt.Fprintln(hash)
	}
	return hex.EncodeToString(hash.Sum(nil)[:16])
}
