package run

import (
	"errors"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"
	"time"
)

// memory is a disk of a small file system in memory, whose operations fail, tear and are lost as a seed
// says. It keeps apart what programs see and what would be there after a loss of power: of a file, the
// writes since it was last synced, of a folder, the entries made, renamed and removed since then. A loss
// of power keeps any of a file's late writes, each perhaps in part, and of a folder's late changes the
// first few, as a journal does; files and folders are independent of each other.
type memory struct {
	random *rand.Rand
	root   *node
	failIn int  // operations until something happens; negative is never
	dead   bool // the process was killed, or the power lost: nothing can be done any more
	happen func(m *memory) error
}

// node is a file or a folder.
type node struct {
	dir bool

	data, synced []byte
	late         []write

	entries, kept map[string]*node
	changes       []change
}

// write is a late one of a file; a nil data cuts it to a size.
type write struct {
	at   int64
	data []byte
}

// change is a late one of a folder's entries: from is gone, to is the node.
type change struct {
	from, to string
	what     *node
}

var (
	errKilled = errors.New("the process was killed")
	errPower  = errors.New("the power was lost")
	errBroken = &fs.PathError{Op: "write", Path: "x", Err: syscall.EIO}
	errFull   = &fs.PathError{Op: "write", Path: "x", Err: syscall.ENOSPC}
)

func newFolderNode() *node {
	return &node{dir: true, entries: map[string]*node{}, kept: map[string]*node{}}
}

func newMemory(random *rand.Rand) *memory {
	return &memory{random: random, root: newFolderNode(), failIn: -1}
}

// step is called by every operation that changes something, before it does.
func (m *memory) step() error {
	if m.dead {
		return errKilled
	}
	m.failIn--
	if m.failIn != 0 {
		return nil
	}
	return m.happen(m)
}

// kill ends the process; what programs saw stays.
func kill(m *memory) error {
	m.dead = true
	return errKilled
}

// losePower ends the process and, of what was not synced, loses a part.
func losePower(m *memory) error {
	m.dead = true
	m.root.lose(m.random)
	return errPower
}

func broken(*memory) error { return errBroken }
func full(*memory) error   { return errFull }

// lose makes a node what a loss of power leaves of it, and all below it.
func (n *node) lose(random *rand.Rand) {
	if !n.dir {
		n.data = slices.Clone(n.synced)
		for _, w := range n.late {
			switch random.IntN(4) {
			case 0: // lost
			case 1: // in part
				n.apply(write{w.at, w.data[:random.IntN(len(w.data)+1)]}, w.data == nil)
			default:
				n.apply(w, w.data == nil)
			}
		}
		n.synced, n.late = slices.Clone(n.data), nil
		return
	}
	n.entries = maps.Clone(n.kept)
	for _, c := range n.changes[:random.IntN(len(n.changes)+1)] {
		n.change(c)
	}
	n.kept, n.changes = maps.Clone(n.entries), nil
	for _, below := range n.entries {
		below.lose(random)
	}
}

func (n *node) apply(w write, cut bool) {
	end := w.at
	if !cut {
		end += int64(len(w.data))
	}
	if int64(len(n.data)) < end {
		n.data = append(n.data, make([]byte, end-int64(len(n.data)))...)
	}
	if cut {
		n.data = n.data[:end]
	}
	copy(n.data[w.at:], w.data)
}

func (n *node) change(c change) {
	delete(n.entries, c.from)
	if c.what != nil {
		n.entries[c.to] = c.what
	}
}

// find follows a path.
func (m *memory) find(name string) (*node, error) {
	at := m.root
	for part := range strings.SplitSeq(path.Clean(name), "/") {
		if part == "." {
			continue
		}
		next := at.entries[part]
		if next == nil {
			return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
		}
		at = next
	}
	return at, nil
}

// enter changes a folder's entries.
func (m *memory) enter(folder string, c change) error {
	in, err := m.find(folder)
	if err == nil {
		err = m.step()
	}
	if err != nil {
		return err
	}
	in.change(c)
	in.changes = append(in.changes, c)
	return nil
}

func (m *memory) OpenFile(name string, flag int, _ fs.FileMode) (file, error) {
	n, err := m.find(name)
	switch {
	case m.dead:
		return nil, errKilled
	case err == nil && flag&os.O_EXCL != 0:
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrExist}
	case err != nil && flag&os.O_CREATE != 0:
		n = new(node)
		err = m.enter(path.Dir(name), change{to: path.Base(name), what: n})
	}
	if err != nil {
		return nil, err
	}
	return &memoryFile{m, n, name}, nil
}

func (m *memory) Mkdir(name string, _ fs.FileMode) error {
	if _, err := m.find(name); err == nil {
		return &fs.PathError{Op: "mkdir", Path: name, Err: fs.ErrExist}
	}
	return m.enter(path.Dir(name), change{to: path.Base(name), what: newFolderNode()})
}

func (m *memory) Rename(from, to string) error {
	n, err := m.find(from)
	if err != nil {
		return err
	}
	if there, err := m.find(to); err == nil && there.dir && len(there.entries) > 0 {
		return &fs.PathError{Op: "rename", Path: to, Err: fs.ErrExist}
	}
	return m.enter(path.Dir(from), change{from: path.Base(from), to: path.Base(to), what: n})
}

func (m *memory) RemoveAll(name string) error {
	if _, err := m.find(name); err != nil {
		return nil
	}
	return m.enter(path.Dir(name), change{from: path.Base(name)})
}

func (m *memory) Lstat(name string) (fs.FileInfo, error) {
	n, err := m.find(name)
	if err != nil {
		return nil, err
	}
	return nodeInfo{n, path.Base(name)}, nil
}

func (m *memory) ReadDir(name string) (list []fs.DirEntry, err error) {
	n, err := m.find(name)
	if err != nil {
		return nil, err
	}
	for _, entry := range slices.Sorted(maps.Keys(n.entries)) {
		list = append(list, fs.FileInfoToDirEntry(nodeInfo{n.entries[entry], entry}))
	}
	return list, nil
}

func (m *memory) SyncDir(name string) error {
	n, err := m.find(name)
	if err == nil {
		err = m.step()
	}
	if err == nil {
		n.kept, n.changes = maps.Clone(n.entries), nil
	}
	return err
}

func (m *memory) Close() error { return nil }

// memoryFile is an open file.
type memoryFile struct {
	m    *memory
	n    *node
	name string
}

func (f *memoryFile) ReadAt(p []byte, at int64) (int, error) {
	if at > int64(len(f.n.data)) {
		return 0, io.EOF
	}
	n := copy(p, f.n.data[at:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// WriteAt writes a part where it fails.
func (f *memoryFile) WriteAt(p []byte, at int64) (int, error) {
	err := f.m.step()
	if f.m.dead && errors.Is(err, errPower) {
		return 0, err // what is written now is lost with the rest
	}
	if err != nil {
		p = p[:f.m.random.IntN(len(p)+1)]
	}
	if len(p) > 0 && !(f.m.dead && err != nil && f.m.failIn < 0) {
		w := write{at, slices.Clone(p)}
		f.n.apply(w, false)
		f.n.late = append(f.n.late, w)
	}
	return len(p), err
}

func (f *memoryFile) Truncate(size int64) error {
	if size == int64(len(f.n.data)) {
		return nil
	}
	if err := f.m.step(); err != nil {
		return err
	}
	w := write{at: size}
	f.n.apply(w, true)
	f.n.late = append(f.n.late, w)
	return nil
}

// Sync may fail; then what was written before may be lost for good, as Linux does.
func (f *memoryFile) Sync() error {
	if err := f.m.step(); err != nil {
		return err
	}
	f.n.synced, f.n.late = slices.Clone(f.n.data), nil
	return nil
}

func (f *memoryFile) Close() error               { return nil }
func (f *memoryFile) Stat() (fs.FileInfo, error) { return nodeInfo{f.n, path.Base(f.name)}, nil }

// nodeInfo describes a node.
type nodeInfo struct {
	n    *node
	name string
}

func (i nodeInfo) Name() string       { return i.name }
func (i nodeInfo) Size() int64        { return int64(len(i.n.data)) }
func (i nodeInfo) ModTime() time.Time { return time.Time{} }
func (i nodeInfo) IsDir() bool        { return i.n.dir }
func (i nodeInfo) Sys() any           { return nil }
func (i nodeInfo) Mode() fs.FileMode {
	if i.n.dir {
		return fs.ModeDir | 0o755
	}
	return 0o644
}
