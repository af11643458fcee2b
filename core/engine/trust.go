package engine

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"focusnfix/core"
)

// Trust is what a user has agreed to use: files and folders that were named on a command line, or that a
// question was answered about. A TorchScript file counts with its content.
type Trust struct{ file string }

// UserTrust is kept in the user's state folder, after the XDG base directory specification.
func UserTrust() (Trust, error) {
	dir := os.Getenv("XDG_STATE_HOME")
	if !filepath.IsAbs(dir) {
		home, err := os.UserHomeDir()
		if err != nil {
			return Trust{}, err
		}
		dir = filepath.Join(home, ".local", "state")
	}
	return Trust{filepath.Join(dir, "focusnfix", "trusted")}, nil
}

// Unknown lists the names that nobody has agreed to. What is not there needs no agreement.
func (t Trust) Unknown(names []Named) (unknown []Named, err error) {
	known, err := os.ReadFile(t.file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for _, n := range names {
		line, err := n.line()
		if errors.Is(err, fs.ErrNotExist) {
			continue // opening it will say so
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", n.Key, err)
		}
		if !bytes.Contains(append([]byte("\n"), known...), []byte("\n"+line)) {
			unknown = append(unknown, n)
		}
	}
	return unknown, nil
}

// Add remembers that the user agreed to names.
func (t Trust) Add(names []Named) error {
	unknown, err := t.Unknown(names)
	if err != nil || len(unknown) == 0 {
		return err
	}
	var lines strings.Builder
	for _, n := range unknown {
		line, err := n.line()
		if err != nil {
			return err
		}
		lines.WriteString(line)
	}
	if err := os.MkdirAll(filepath.Dir(t.file), 0o700); err != nil {
		return err
	}
	file, err := os.OpenFile(t.file, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	_, err = file.WriteString(lines.String())
	return errors.Join(err, file.Close())
}

// line is how a name is remembered: its hash, and its path for people.
func (n Named) line() (string, error) {
	path, err := filepath.Abs(n.Path)
	if err != nil {
		return "", err
	}
	if path, err = filepath.EvalSymlinks(path); err != nil {
		return "", err
	}
	sum := sha256.New()
	fmt.Fprintf(sum, "%s\n", path)
	if n.Code {
		if err := copyFile(sum, path); err != nil {
			return "", err
		}
	}
	return hex.EncodeToString(sum.Sum(nil)) + " " + core.Clean(path) + "\n", nil
}

func copyFile(to io.Writer, path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	info, err := file.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s: not a regular file", path)
	}
	if err == nil {
		_, err = io.Copy(to, file)
	}
	return errors.Join(err, file.Close())
}
