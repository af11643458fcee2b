package run

import (
	"io/fs"
	"os"
	"syscall"
)

// Space is room on the disk, in bytes.
type Space struct {
	Used  int64 `json:"used"`  // by the files of a run
	Free  int64 `json:"free"`  // of their file system, for this user
	Total int64 `json:"total"` // of their file system
}

// Space looks at every file of the run's folder and follows no links. Of a copy it is what the other machine said last.
func (f Folder) Space() (Space, error) {
	if info, err := f.Info(); err == nil && info.Far != nil {
		return info.Far.Space, nil
	}
	var system syscall.Statfs_t
	if err := syscall.Statfs(f.Dir, &system); err != nil {
		return Space{}, &fs.PathError{Op: "statfs", Path: f.Dir, Err: err}
	}
	block := uint64(system.Bsize)
	s := Space{Free: int64(system.Bavail * block), Total: int64(system.Blocks * block)}
	err := fs.WalkDir(os.DirFS(f.Dir), ".", func(_ string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return nil // a file may go while it is looked for
		}
		if info, err := entry.Info(); err == nil {
			s.Used += info.Size()
		}
		return nil
	})
	return s, err
}
