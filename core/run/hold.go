package run

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
)

// held is a folder that is kept open.
type held struct {
	disk disk
	dir  *os.File // the folder itself; nil where the disk is not the file system's
}

// Hold opens the folder for work on it: from then on all that is written goes to this folder, wherever
// it is moved. A folder in which a link takes the place of what we write is refused: it may lead to
// files that are nobody's business. Release lets it go.
func (f Folder) Hold() (Folder, error) {
	root, err := os.OpenRoot(f.Dir)
	if err != nil {
		return f, err
	}
	d := rootDisk{root}
	err = sound(d)
	var dir *os.File
	if err == nil {
		dir, err = root.Open(".")
	}
	if err != nil {
		return f, errors.Join(fmt.Errorf("%s: %w", f.Dir, err), root.Close())
	}
	f.held = &held{d, dir}
	return f, nil
}

// Release ends Hold.
func (f Folder) Release() error {
	if f.held == nil {
		return nil
	}
	var err error
	if f.held.dir != nil {
		err = f.held.dir.Close()
	}
	return errors.Join(err, f.held.disk.Close())
}

// Sound refuses a folder in which a link, or something else, takes the place of a file or folder that we
// write.
func (f Folder) Sound() error {
	err := f.on(sound)
	if err != nil {
		err = fmt.Errorf("%s: %w", f.Dir, err)
	}
	return err
}

func sound(d disk) error {
	for _, name := range []string{"run.json", "config.toml", logName, textLog} {
		if info, err := d.Lstat(name); err == nil && !info.Mode().IsRegular() {
			return notOurs(name, info, "a file")
		}
	}
	for _, name := range []string{checkpoints, images, prompts, Fixes, References, tensorBoard} {
		if info, err := d.Lstat(name); err == nil && !info.IsDir() {
			return notOurs(name, info, "a folder")
		}
	}
	return nil
}

func notOurs(name string, info fs.FileInfo, want string) error {
	if info.Mode()&fs.ModeSymlink != 0 {
		return fmt.Errorf("%s is a link, want %s; nothing is written to such a run, cp -rL makes a copy without links", name, want)
	}
	return fmt.Errorf("%s is not %s; nothing is written to such a run", name, want)
}

// ErrMoved is the error of a held folder whose path leads elsewhere now.
var ErrMoved = errors.New("the run's folder was moved or replaced")

// ErrDeleted is the error of a held folder that is no longer in the file system.
var ErrDeleted = errors.New("the run's folder was deleted")

// Here returns nil where the path of a held folder still leads to it, else ErrDeleted or ErrMoved.
func (f Folder) Here() error {
	if f.held == nil || f.held.dir == nil {
		return nil
	}
	ours, err := f.held.dir.Stat()
	if err != nil {
		return err
	}
	if now, err := os.Stat(f.Dir); err == nil && os.SameFile(ours, now) {
		return nil
	}
	if stat, ok := ours.Sys().(*syscall.Stat_t); ok && stat.Nlink == 0 {
		return ErrDeleted
	}
	return ErrMoved
}

// Now is a held folder under the path that it has now, where the system tells: Linux does.
func (f Folder) Now() (Folder, bool) {
	if f.held == nil || f.held.dir == nil || runtime.GOOS != "linux" {
		return f, false
	}
	dir, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", f.held.dir.Fd()))
	if err != nil || !filepath.IsAbs(dir) {
		return f, false
	}
	f.Dir = dir
	return f, f.Here() == nil
}
