package run

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// disk is a run folder as its files are reached: by slash-separated names from there, never out of it,
// not by a link either. What is renamed or made lasts through a loss of power once its folder is synced.
type disk interface {
	OpenFile(name string, flag int, perm fs.FileMode) (file, error)
	Mkdir(name string, perm fs.FileMode) error
	Rename(from, to string) error
	RemoveAll(name string) error
	Lstat(name string) (fs.FileInfo, error)
	ReadDir(name string) ([]fs.DirEntry, error)
	SyncDir(name string) error
	Close() error
}

// file is what we need of an os.File.
type file interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	Stat() (fs.FileInfo, error)
	Truncate(size int64) error
	Sync() error
}

// rootDisk is a folder of the file system, opened once: it stays the same one where its path is moved.
type rootDisk struct{ *os.Root }

// OpenFile never waits, for the other end of a pipe say.
func (d rootDisk) OpenFile(name string, flag int, perm fs.FileMode) (file, error) {
	f, err := d.Root.OpenFile(name, flag|syscall.O_NONBLOCK, perm)
	if err != nil {
		return nil, err
	}
	return f, nil
}

// ReadDir lists a folder in the order of names.
func (d rootDisk) ReadDir(name string) ([]fs.DirEntry, error) {
	dir, err := d.Root.OpenFile(name, syscall.O_NONBLOCK|syscall.O_DIRECTORY, 0)
	if err != nil {
		return nil, err
	}
	entries, err := dir.ReadDir(-1)
	return sortedEntries(entries), errors.Join(err, dir.Close())
}

// SyncDir makes what was made and renamed in a folder last.
func (d rootDisk) SyncDir(name string) error {
	dir, err := d.Root.OpenFile(name, syscall.O_NONBLOCK|syscall.O_DIRECTORY, 0)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// on calls do with the folder: the one that is held, or else one that is opened for the call.
func (f Folder) on(do func(disk) error) error {
	if f.held != nil {
		return f.named(do(f.held.disk))
	}
	root, err := os.OpenRoot(f.Dir)
	if err != nil {
		return err
	}
	if err := f.named(do(rootDisk{root})); err != nil {
		return errors.Join(err, root.Close())
	}
	return root.Close()
}

// named gives an error of the disk the file's whole path.
func (f Folder) named(err error) error {
	var inPath *fs.PathError
	if errors.As(err, &inPath) && !filepath.IsAbs(inPath.Path) {
		inPath.Op, inPath.Path = strings.TrimSuffix(inPath.Op, "at"), f.path(inPath.Path)
	}
	var inLink *os.LinkError
	if errors.As(err, &inLink) && !filepath.IsAbs(inLink.New) {
		inLink.Op, inLink.Old, inLink.New = strings.TrimSuffix(inLink.Op, "at"), f.path(inLink.Old), f.path(inLink.New)
	}
	return err
}

// errNotRegular is the reason not to open a pipe, a device, a folder or a link in a file's place.
var errNotRegular = errors.New("not a regular file")

// openRegular opens a file for reading, unless it is something else that has its name.
func openRegular(d disk, name string) (file, int64, error) {
	opened, err := d.OpenFile(name, os.O_RDONLY, 0)
	if err != nil {
		return nil, 0, err
	}
	info, err := opened.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = &fs.PathError{Op: "open", Path: name, Err: errNotRegular}
	}
	if err != nil {
		return nil, 0, errors.Join(err, opened.Close())
	}
	return opened, info.Size(), nil
}

const maxSmall = 1 << 20 // bytes of a file that is read whole

// readSmall reads a regular file of a bounded size.
func readSmall(d disk, name string) ([]byte, error) {
	opened, size, err := openRegular(d, name)
	if err != nil {
		return nil, err
	}
	defer opened.Close() //nolint:errcheck // it was only read
	if size > maxSmall {
		return nil, fmt.Errorf("%s: %d bytes, want at most %d", name, size, maxSmall)
	}
	data := make([]byte, size)
	n, err := opened.ReadAt(data, 0)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return data[:n], err
}

// writeNew writes a file that must not exist yet.
func writeNew(d disk, name string, data []byte, sync bool) error {
	f, err := d.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(data, 0)
	if err == nil && sync {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// writeFile replaces a file: written under another name, flushed to the disk, renamed.
func writeFile(d disk, name string, data []byte) error {
	temp := path.Join(path.Dir(name), "."+path.Base(name)+".new-"+randomName())
	err := writeNew(d, temp, data, true)
	if err == nil {
		err = d.Rename(temp, name)
	}
	if err != nil {
		return errors.Join(err, d.RemoveAll(temp))
	}
	return d.SyncDir(path.Dir(name))
}

// makeFolder makes a folder in the run's unless it is there, so that it lasts. A link in its place is an
// error.
func makeFolder(d disk, name string) error {
	err := d.Mkdir(name, 0o755)
	if err == nil {
		return d.SyncDir(path.Dir(name))
	}
	if !errors.Is(err, fs.ErrExist) {
		return err
	}
	return wantFolder(d, name)
}

func wantFolder(d disk, name string) error {
	info, err := d.Lstat(name)
	if err == nil && !info.IsDir() {
		err = &fs.PathError{Op: "open", Path: name, Err: syscall.ENOTDIR}
	}
	return err
}

// randomName is a part of a passing name that nobody else takes.
func randomName() string {
	var random [6]byte
	rand.Read(random[:])
	return hex.EncodeToString(random[:])
}

func sortedEntries(entries []fs.DirEntry) []fs.DirEntry {
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return entries
}
