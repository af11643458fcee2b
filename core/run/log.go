package run

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"sync"
	"syscall"
	"time"

	"focusnfix/core"
)

const (
	logName = "events.jsonl"
	textLog = "log.txt" // what an engine in the background says
)

// syncEvery is how much of the log a loss of power may cost. Killing the engine costs none of it.
const syncEvery = time.Second

// Log appends events to a run. One process has it open at a time; its goroutines may all append.
type Log struct {
	mutex  sync.Mutex
	file   file
	size   int64 // up to the last whole line
	line   []byte
	synced time.Time
}

// OpenLog opens the folder's events for appending. What a killed engine left of a last line is cut off.
// It is an error if another process has the log open, as far as the file system knows of locks, and if
// something else than a file has the log's name.
func (f Folder) OpenLog() (l *Log, err error) {
	err = f.on(func(d disk) error { l, err = f.openLog(d); return err })
	return l, err
}

func (f Folder) openLog(d disk) (*Log, error) {
	if info, err := d.Lstat(logName); err == nil && !info.Mode().IsRegular() {
		return nil, notOurs(f.path(logName), info, "a file")
	}
	file, err := d.OpenFile(logName, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	if err := lock(file); errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, errors.Join(fmt.Errorf("%s: another engine works on this run; focusnfix stop ends it", f.path(logName)), file.Close())
	}
	size, err := wholeLines(file, noLimit)
	if err == nil {
		size, err = beforeHole(file, size)
	}
	if err == nil {
		err = file.Truncate(size)
	}
	if err == nil {
		err = d.SyncDir(".") // the log may be new
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return &Log{file: file, size: size}, nil
}

// lock takes a file for this process until it is closed. It is an error where that is not possible; some
// file systems know no locks.
func lock(f file) error {
	if onDisk, ok := f.(*os.File); ok {
		return syscall.Flock(int(onDisk.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	}
	return nil
}

const noLimit = math.MaxInt64

// wholeLines is the size of a file up to its last newline. It is an error if that is not within the last
// limit bytes.
func wholeLines(f file, limit int64) (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	block := make([]byte, tailBlock)
	for end := info.Size(); end > 0; {
		start := max(0, end-int64(len(block)))
		n, err := f.ReadAt(block[:end-start], start)
		if err != nil && !errors.Is(err, io.EOF) {
			return 0, err
		}
		if i := bytes.LastIndexByte(block[:n], '\n'); i >= 0 {
			return start + int64(i) + 1, nil
		}
		if end = start; info.Size()-end > limit {
			return 0, fmt.Errorf("no line ends in its last %d bytes", limit)
		}
	}
	return 0, nil
}

// maxLate is how much of the log's end may not have been flushed: what is appended in a second, and more.
const maxLate = 1 << 20 // bytes

// beforeHole is the size up to the first line in which a loss of power has left a hole: of what was not
// flushed, the disk may have a later part and not an earlier one, which reads as zeros. A line has none.
func beforeHole(f file, size int64) (int64, error) {
	for late := int64(maxLate); ; late *= 2 {
		start := max(0, size-late)
		block := make([]byte, size-start)
		if _, err := f.ReadAt(block, start); err != nil && !errors.Is(err, io.EOF) {
			return 0, err
		}
		hole := bytes.IndexByte(block, 0)
		if hole < 0 {
			return size, nil
		}
		if line := bytes.LastIndexByte(block[:hole], '\n') + 1; line > 0 || start == 0 {
			return start + int64(line), nil
		}
	}
}

// Sync flushes what was appended: before something else that it must not lag behind, a checkpoint.
func (l *Log) Sync() error {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	l.synced = time.Now()
	return l.file.Sync()
}

// Append writes one event as one line, in one call. The time is set if it is zero. When a write fails,
// a full disk say, nothing of the line stays, and appending it again may succeed. Steps reach the disk
// within a second, other events at once.
func (l *Log) Append(e core.Event) error {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	if e.Time.IsZero() {
		e.Time = time.Now()
	}
	l.line = append(e.AppendJSON(l.line[:0]), '\n')
	if _, err := l.file.WriteAt(l.line, l.size); err != nil {
		return errors.Join(fmt.Errorf("append event: %w", err), l.file.Truncate(l.size))
	}
	l.size += int64(len(l.line))
	if now := time.Now(); e.Kind != "step" || now.Sub(l.synced) > syncEvery {
		l.synced = now
		if err := l.file.Sync(); err != nil {
			return fmt.Errorf("append event: %w", err)
		}
	}
	return nil
}

// Close flushes the log to the disk and closes it.
func (l *Log) Close() error {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	return errors.Join(l.file.Sync(), l.file.Close())
}
