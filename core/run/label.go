package run

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"focusnfix/core"
)

// Label is what people note of a run, in its label.json. Nothing else depends on it.
type Label struct {
	Title string   `json:"title,omitempty"` // shown in place of the folder's name
	Note  string   `json:"note,omitempty"`
	Tags  []string `json:"tags,omitempty"`
}

const labelName = "label.json"

// Label reads the label. A run without one has an empty one.
func (f Folder) Label() (l Label, err error) {
	if err := f.readJSON(labelName, &l); err != nil {
		return Label{}, err
	}
	return l, nil
}

// readJSON fills v from a small file of the run; text in it is clean then. Without the file v stays as it is.
func (f Folder) readJSON(name string, v any) error {
	return f.on(func(d disk) error {
		text, err := readSmall(d, name)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err == nil {
			err = json.Unmarshal(text, v)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", f.path(name), err)
		}
		core.CleanStrings(v)
		return nil
	})
}

// SetLabel replaces the label; readers see the old or the new one.
func (f Folder) SetLabel(l Label) error {
	text, err := json.MarshalIndent(l, "", "  ")
	if err != nil {
		return err
	}
	return f.on(func(d disk) error { return writeFile(d, labelName, append(text, '\n')) })
}

// trash is the folder beside the runs that [Folder.Trash] moves them to. It is no run, so lists leave it out.
const trash = ".trash"

// Trash moves the run into the folder .trash beside it, and returns where it is now. A run on which an engine works
// stays.
func (f Folder) Trash() (string, error) {
	if err := f.Sound(); err != nil {
		return "", err
	}
	info, err := f.Info()
	if err != nil {
		return "", err
	}
	if state := f.State(info); state == Running || state == Paused || f.OnlyDraws(info) {
		return "", fmt.Errorf("%s: an engine works on it; focusnfix stop %s ends it first", f.Name(), f.Name())
	}
	runs, name := filepath.Split(filepath.Clean(f.Dir))
	dir := filepath.Join(runs, trash)
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", err
	}
	if info, err := os.Lstat(dir); err != nil || !info.IsDir() {
		return "", errors.Join(err, fmt.Errorf("%s is no folder", dir))
	}
	for n := 1; ; n++ {
		to := filepath.Join(dir, name)
		if n > 1 {
			to = fmt.Sprintf("%s-%d", to, n)
		}
		if _, err := os.Lstat(to); err == nil {
			continue
		}
		return to, os.Rename(f.Dir, to)
	}
}
