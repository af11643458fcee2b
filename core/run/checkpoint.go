package run

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Checkpoint is a complete one: checkpoints/step-000050.
type Checkpoint struct {
	Step int
	Dir  string
}

// manifest is manifest.json: with it, a folder that was copied by halves is not taken for a checkpoint.
type manifest struct {
	Format int              `json:"format"`
	Step   int              `json:"step"`
	Files  map[string]int64 `json:"files"` // sizes in bytes
}

const (
	checkpoints  = "checkpoints"
	manifestName = "manifest.json"
)

// WriteCheckpoint calls write to fill a folder, adds a manifest, flushes all to the disk and only then
// gives the folder its name. Whatever happens on the way, checkpoints are whole. One of the same step is
// replaced.
func (f Folder) WriteCheckpoint(step int, write func(dir string) error) (c Checkpoint, err error) {
	c = Checkpoint{Step: step, Dir: f.path(checkpoints, stepName(step))}
	temp, err := f.newFolder(checkpoints, write)
	if err != nil {
		return c, fmt.Errorf("checkpoint: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(temp)) }()
	m := manifest{Format: format, Step: step}
	if m.Files, err = syncFiles(temp); err != nil {
		return c, fmt.Errorf("checkpoint: %w", err)
	}
	text, err := json.MarshalIndent(m, "", "  ")
	if err == nil {
		err = writeFile(filepath.Join(temp, manifestName), append(text, '\n'))
	}
	if err == nil {
		err = replaceFolder(temp, c.Dir)
	}
	if err != nil {
		return c, fmt.Errorf("checkpoint: %w", err)
	}
	return c, nil
}

// newFolder makes a folder under a passing name in one of the run's and lets write fill it.
func (f Folder) newFolder(in string, write func(dir string) error) (temp string, err error) {
	if err := os.MkdirAll(f.path(in), 0o755); err != nil {
		return "", err
	}
	temp, err = os.MkdirTemp(f.path(in), ".new-")
	if err == nil {
		err = os.Chmod(temp, 0o755)
	}
	if err == nil {
		err = write(temp)
	}
	if err != nil && temp != "" {
		err = errors.Join(err, os.RemoveAll(temp))
	}
	return temp, err
}

// syncFiles flushes the files of a folder and tells their sizes.
func syncFiles(dir string) (map[string]int64, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	sizes := map[string]int64{}
	for _, entry := range entries {
		file, err := os.OpenFile(filepath.Join(dir, entry.Name()), os.O_RDWR, 0)
		if err != nil {
			return nil, err
		}
		info, err := file.Stat()
		if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
			return nil, err
		}
		sizes[entry.Name()] = info.Size()
	}
	return sizes, syncDir(dir)
}

// oldPrefix marks a folder that another is about to replace.
const oldPrefix = ".old-"

// replaceFolder gives temp its final name. A folder that has it moves aside first and is then removed; if
// we are killed in between, Clean brings it back.
func replaceFolder(temp, final string) error {
	aside := filepath.Join(filepath.Dir(final), oldPrefix+filepath.Base(final))
	err := errors.Join(os.RemoveAll(aside), os.Rename(final, aside))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.Rename(temp, final); err != nil {
		return err
	}
	return errors.Join(syncDir(filepath.Dir(final)), os.RemoveAll(aside))
}

// Checkpoints lists the complete ones, the oldest first. One of a newer format is an error.
func (f Folder) Checkpoints() ([]Checkpoint, error) {
	entries, err := os.ReadDir(f.path(checkpoints))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var all []Checkpoint
	for _, entry := range entries {
		step, ok := parseStep(entry.Name())
		if !ok {
			continue
		}
		dir := f.path(checkpoints, entry.Name())
		whole, err := isWhole(dir, step)
		if err != nil {
			return nil, err
		}
		if whole {
			all = append(all, Checkpoint{step, dir})
		}
	}
	slices.SortFunc(all, func(a, b Checkpoint) int { return a.Step - b.Step })
	return all, nil
}

// isWhole tells whether a checkpoint's folder has all that its manifest names.
func isWhole(dir string, step int) (bool, error) {
	path := filepath.Join(dir, manifestName)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	var m manifest
	err = json.Unmarshal(text, &m)
	if m.Format > format {
		return false, fmt.Errorf("%s: format %d, this program knows %d; update focusnfix", path, m.Format, format)
	}
	if err != nil || m.Format < 1 || m.Step != step {
		return false, nil
	}
	for name, size := range m.Files {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Size() != size {
			return false, nil
		}
	}
	return true, nil
}

// Reject takes a checkpoint out of the list: its folder is kept as rejected-step-000050. Training after a
// rollback does so with those after the good one.
func (f Folder) Reject(c Checkpoint) error {
	to := f.path(checkpoints, "rejected-"+filepath.Base(c.Dir))
	return errors.Join(os.RemoveAll(to), os.Rename(c.Dir, to))
}

// Clean removes what a killed engine left half-written, and puts back what it was about to replace. Only
// the engine calls it, with the log open.
func (f Folder) Clean() error {
	var errs []error
	olds, err := filepath.Glob(f.path("*", oldPrefix+"*"))
	errs = append(errs, err)
	for _, old := range olds {
		final := filepath.Join(filepath.Dir(old), strings.TrimPrefix(filepath.Base(old), oldPrefix))
		if _, err := os.Lstat(final); errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, os.Rename(old, final))
		} else {
			errs = append(errs, os.RemoveAll(old))
		}
	}
	for _, pattern := range []string{".*.new-*", "*/.new-*"} {
		left, err := filepath.Glob(f.path(pattern))
		errs = append(errs, err)
		for _, path := range left {
			errs = append(errs, os.RemoveAll(path))
		}
	}
	return errors.Join(errs...)
}

func stepName(step int) string { return fmt.Sprintf("step-%06d", step) }

func parseStep(name string) (step int, ok bool) {
	n, err := fmt.Sscanf(name, "step-%d", &step)
	return step, n == 1 && err == nil && step >= 0 && stepName(step) == name
}
