package run

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
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
func (f Folder) WriteCheckpoint(step int, write func(dir string) error) (Checkpoint, error) {
	err := f.on(func(d disk) error {
		return writeCheckpoint(d, step, func(name string) error { return f.fillFolder(d, name, write) })
	})
	if err != nil {
		err = fmt.Errorf("checkpoint: %w", err)
	}
	return Checkpoint{Step: step, Dir: f.path(checkpoints, stepName(step))}, err
}

// fillFolder lets write fill one of the run's folders by its path, if that leads to this folder: the
// run may have been moved.
func (f Folder) fillFolder(d disk, name string, write func(dir string) error) error {
	dir := f.path(filepath.FromSlash(name))
	want, err := d.Lstat(name)
	if err != nil {
		return err
	}
	if got, err := os.Lstat(dir); err != nil || !os.SameFile(got, want) {
		return fmt.Errorf("%s: %w", f.Dir, ErrMoved)
	}
	return write(dir)
}

func writeCheckpoint(d disk, step int, fill func(name string) error) (err error) {
	temp, err := newFolder(d, checkpoints, fill)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, d.RemoveAll(temp))
		}
	}()
	m := manifest{Format: format, Step: step}
	if m.Files, err = syncFiles(d, temp); err != nil {
		return err
	}
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	if err := writeFile(d, path.Join(temp, manifestName), append(text, '\n')); err != nil {
		return err
	}
	return replaceFolder(d, temp, path.Join(checkpoints, stepName(step)))
}

// tempPrefix marks what is not yet whole.
const tempPrefix = ".new-"

// newFolder makes a folder under a passing name in one of the run's and lets fill do so.
func newFolder(d disk, in string, fill func(name string) error) (temp string, err error) {
	if err := makeFolder(d, in); err != nil {
		return "", err
	}
	temp = path.Join(in, tempPrefix+randomName())
	if err := d.Mkdir(temp, 0o755); err != nil {
		return "", err
	}
	if err := fill(temp); err != nil {
		return "", errors.Join(err, d.RemoveAll(temp))
	}
	return temp, nil
}

// syncFiles flushes the files of a folder and returns their sizes.
func syncFiles(d disk, dir string) (map[string]int64, error) {
	entries, err := d.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	sizes := map[string]int64{}
	for _, entry := range entries {
		opened, err := d.OpenFile(path.Join(dir, entry.Name()), os.O_RDWR, 0)
		if err != nil {
			return nil, err
		}
		info, err := opened.Stat()
		if err = errors.Join(err, opened.Sync(), opened.Close()); err != nil {
			return nil, err
		}
		sizes[entry.Name()] = info.Size()
	}
	return sizes, d.SyncDir(dir)
}

// oldPrefix marks a folder that another is about to replace.
const oldPrefix = ".old-"

// replaceFolder gives temp its final name. A folder that has it moves aside first and is then removed; if
// we are killed in between, Clean brings it back.
func replaceFolder(d disk, temp, final string) error {
	aside := path.Join(path.Dir(final), oldPrefix+path.Base(final))
	err := errors.Join(d.RemoveAll(aside), d.Rename(final, aside))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := d.Rename(temp, final); err != nil {
		return err
	}
	return errors.Join(d.SyncDir(path.Dir(final)), d.RemoveAll(aside))
}

// Checkpoints lists the complete ones, the oldest first. One of a newer format is an error.
func (f Folder) Checkpoints() (all []Checkpoint, err error) {
	err = f.on(func(d disk) error {
		entries, err := d.ReadDir(checkpoints)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		for _, entry := range entries {
			step, ok := parseStep(entry.Name())
			if !ok || !entry.IsDir() {
				continue
			}
			whole, err := isWhole(d, path.Join(checkpoints, entry.Name()), step)
			if err != nil {
				return fmt.Errorf("%s: %w", f.Dir, err)
			}
			if whole {
				all = append(all, Checkpoint{step, f.path(checkpoints, entry.Name())})
			}
		}
		return err
	})
	slices.SortFunc(all, func(a, b Checkpoint) int { return a.Step - b.Step })
	return all, err
}

// CheckpointsOf are the checkpoints of a run that is elsewhere, as the copy of its folder would have them.
func (f Folder) CheckpointsOf(away *Far) (all []Checkpoint) {
	for _, step := range away.Checkpoints {
		all = append(all, Checkpoint{step, f.path(checkpoints, stepName(step))})
	}
	return all
}

// isWhole reports whether a checkpoint's folder has all that its manifest names.
func isWhole(d disk, dir string, step int) (bool, error) {
	name := path.Join(dir, manifestName)
	text, err := readSmall(d, name)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, errNotRegular) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	var m manifest
	err = json.Unmarshal(text, &m)
	if m.Format > format {
		return false, fmt.Errorf("%s: format %d, this program knows %d; update focusnfix", name, m.Format, format)
	}
	if err != nil || m.Format < 1 || m.Step != step {
		return false, nil
	}
	for file, size := range m.Files {
		info, err := d.Lstat(path.Join(dir, file))
		if err != nil || !info.Mode().IsRegular() || info.Size() != size || path.Base(file) != file {
			return false, nil
		}
	}
	return true, nil
}

// Reject takes a checkpoint out of the list: its folder is kept as rejected-step-000050. Training after a
// rollback does so with those after the good one.
func (f Folder) Reject(c Checkpoint) error {
	from := path.Join(checkpoints, stepName(c.Step))
	to := path.Join(checkpoints, "rejected-"+stepName(c.Step))
	return f.on(func(d disk) error { return errors.Join(d.RemoveAll(to), d.Rename(from, to)) })
}

// Clean removes what a killed engine left half-written, and puts back what it was about to replace. Only
// the engine calls it, with the log open.
func (f Folder) Clean() error {
	return f.on(func(d disk) error {
		if err := sound(d); err != nil {
			return fmt.Errorf("%s: %w", f.Dir, err)
		}
		folders := []string{checkpoints, prompts, images, Fixes, References}
		if steps, err := d.ReadDir(images); err == nil {
			for _, step := range steps {
				if _, ok := parseStep(step.Name()); ok && step.IsDir() {
					folders = append(folders, path.Join(images, step.Name()))
				}
			}
		}
		err := cleanFolder(d, ".")
		for _, name := range folders {
			err = errors.Join(err, cleanFolder(d, name))
		}
		return err
	})
}

// cleanFolder is Clean for what lies in one folder.
func cleanFolder(d disk, dir string) error {
	entries, err := d.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	errs := []error{err}
	for _, entry := range entries {
		name := path.Join(dir, entry.Name())
		final, isOld := strings.CutPrefix(entry.Name(), oldPrefix)
		half, _ := path.Match(".*"+tempPrefix+"*", entry.Name())
		switch {
		case isOld && dir != ".":
			errs = append(errs, putBack(d, name, path.Join(dir, final)))
		case half || dir != "." && strings.HasPrefix(entry.Name(), tempPrefix):
			errs = append(errs, d.RemoveAll(name))
		}
	}
	return errors.Join(errs...)
}

// putBack gives what was moved aside its name again, unless that is taken.
func putBack(d disk, old, final string) error {
	if _, err := d.Lstat(final); !errors.Is(err, fs.ErrNotExist) {
		return errors.Join(err, d.RemoveAll(old))
	}
	return d.Rename(old, final)
}

func stepName(step int) string { return fmt.Sprintf("step-%06d", step) }

func parseStep(name string) (step int, ok bool) {
	n, err := fmt.Sscanf(name, "step-%d", &step)
	return step, n == 1 && err == nil && step >= 0 && stepName(step) == name
}
