package run

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"

	"focusnfix/core"
)

const (
	chunkBytes  = 1 << 20                // of the log read at once; a longer line is skipped
	chunkEvents = 1 << 15                // given to the caller at once
	chunkTime   = 40 * time.Millisecond  // spent on one chunk
	pollEvery   = 500 * time.Millisecond // where no notice of a change comes: network file systems
)

// Batch is what a Follower read.
type Batch struct {
	Events []core.Event
	Lost   int   // lines that could not be read
	Behind int64 // bytes of the log that are still to be read
	Reset  bool  // the log began anew: events given before are no longer in it
}

// Follower reads a run's events from the first on and then as they are written. It is not for several
// goroutines.
type Follower struct {
	folder  Folder
	path    string
	watcher *fsnotify.Watcher // nil where the system has none left
	file    file              // nil while there is no log
	at      int64             // next line
	block   []byte
	skip    bool               // within a line that is too long
	readers []core.EventReader // one for each processor, at most maxReaders
	spare   []core.Event       // for the next long batch
}

const (
	maxReaders  = 4
	besideBytes = 1 << 18 // of whole lines, from which on they are read by all processors
)

// Follow begins to read the folder's events. The folder must exist; its log need not yet.
func (f Folder) Follow() (*Follower, error) {
	if _, err := os.Stat(f.Dir); err != nil {
		return nil, err
	}
	readers := make([]core.EventReader, min(runtime.GOMAXPROCS(0), maxReaders))
	w := &Follower{folder: f, path: f.path(logName), block: make([]byte, chunkBytes), readers: readers}
	if watcher, err := fsnotify.NewWatcher(); err == nil {
		w.watcher = watcher
		if watcher.Add(f.Dir) != nil {
			w.watcher = nil
			return w, watcher.Close()
		}
	}
	return w, nil
}

// FollowLast is Follow from the last lines of the log on, whatever their times are.
func (f Folder) FollowLast(lines int) (*Follower, error) {
	w, err := f.Follow()
	if err != nil {
		return nil, err
	}
	if _, err = w.reopen(); err == nil && w.file != nil {
		w.at, err = lastLines(w.file, lines)
	}
	if err != nil {
		return nil, errors.Join(err, w.Close())
	}
	return w, nil
}

// lastLines is where the last whole lines of a log begin, as far back as Tail reads.
func lastLines(log file, lines int) (begin int64, err error) {
	begin, err = wholeLines(log, maxTail)
	if err != nil {
		return 0, err
	}
	return begin, linesBack(log, begin, func(_ []byte, start int64) bool {
		begin = start
		lines--
		return lines > 0
	})
}

// Close ends following.
func (w *Follower) Close() error {
	var errs []error
	if w.watcher != nil {
		errs = append(errs, w.watcher.Close())
	}
	if w.file != nil {
		errs = append(errs, w.file.Close())
	}
	return errors.Join(errs...)
}

// Reuse gives the follower back the events of a batch that nobody looks at any more: the next long batch takes their place.
func (w *Follower) Reuse(events []core.Event) {
	if cap(events) >= chunkEvents {
		clear(events)
		w.spare = events
	}
}

// Next waits until there is something to tell, or until ctx ends, which is its error then. A chunk takes
// some 40 milliseconds at most, however long the log.
func (w *Follower) Next(ctx context.Context) (Batch, error) {
	poll := time.NewTicker(pollEvery)
	defer poll.Stop()
	for {
		b, err := w.read()
		if err != nil || b.Reset || len(b.Events)+b.Lost > 0 || b.Behind > 0 {
			return b, err
		}
		if err := w.wait(ctx, poll.C); err != nil {
			return Batch{}, err
		}
	}
}

// wait returns when the folder may have changed.
func (w *Follower) wait(ctx context.Context, poll <-chan time.Time) error {
	var changes <-chan fsnotify.Event
	var failures <-chan error
	if w.watcher != nil {
		changes, failures = w.watcher.Events, w.watcher.Errors
	}
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-poll:
			return nil
		case _, open := <-failures: // too many changes at once, say
			if !open {
				return fs.ErrClosed
			}
			return nil
		case change, open := <-changes:
			if !open {
				return fs.ErrClosed
			}
			if change.Name == w.path {
				return nil
			}
		}
	}
}

// read is one chunk of what is there now.
func (w *Follower) read() (b Batch, err error) {
	if b.Reset, err = w.reopen(); w.file == nil || err != nil {
		return b, err
	}
	started := time.Now()
	if info, err := w.file.Stat(); err == nil && info.Size()-w.at > chunkBytes {
		b.Events, w.spare = slices.Grow(w.spare[:0], chunkEvents), nil
		w.block = slices.Grow(w.block[:0], chunkBytes*len(w.readers))[:chunkBytes*len(w.readers)]
	}
	for len(b.Events) < chunkEvents && time.Since(started) < chunkTime {
		n, err := w.file.ReadAt(w.block, w.at)
		if err != nil && !errors.Is(err, io.EOF) {
			return b, err
		}
		used := w.take(w.block[:n], &b, started)
		w.at += int64(used)
		if used == 0 {
			break
		}
	}
	info, err := w.file.Stat()
	if err != nil {
		return b, err
	}
	if len(b.Events) >= chunkEvents || time.Since(started) >= chunkTime {
		b.Behind = max(0, info.Size()-w.at)
	}
	return b, nil
}

// take takes in whole lines of a block, and tells how many bytes it is through with.
func (w *Follower) take(block []byte, b *Batch, started time.Time) (used int) {
	used, beside := w.linesBeside(block, b)
	if beside {
		return used
	}
	block = block[:min(len(block), chunkBytes)]
	if used = w.lines(block, b, started); used == 0 && len(block) == min(len(w.block), chunkBytes) { // one line fills it
		used, w.skip = len(block), true
	}
	return used
}

// lines reads whole lines of a block, and tells how many bytes they have. What comes behind the last
// newline may be a line half written, and is looked at again.
func (w *Follower) lines(block []byte, b *Batch, started time.Time) (used int) {
	for len(b.Events) < chunkEvents {
		end := bytes.IndexByte(block[used:], '\n')
		if end < 0 {
			return used
		}
		line := block[used : used+end]
		used += end + 1
		b.Events = append(b.Events, core.Event{})
		if w.skip || w.readers[0].Parse(line, &b.Events[len(b.Events)-1]) != nil {
			b.Events = b.Events[:len(b.Events)-1]
			b.Lost++
		}
		w.skip = false
		if len(b.Events)%256 == 0 && time.Since(started) >= chunkTime {
			break
		}
	}
	return used
}

// linesBeside is lines for a large block, which all processors read; ok is false where that is not for them: the block is
// small, or the batch has no room for its lines.
func (w *Follower) linesBeside(block []byte, b *Batch) (used int, ok bool) {
	used = bytes.LastIndexByte(block, '\n') + 1
	room := chunkEvents - len(b.Events)
	if used < besideBytes || w.skip || len(w.readers) == 1 {
		return 0, false
	}
	count := bytes.Count(block[:used], []byte{'\n'})
	if count > room {
		return 0, false
	}
	b.Events = slices.Grow(b.Events, count)
	parts := make([]Batch, len(w.readers))
	var all sync.WaitGroup
	for i, at := 0, len(b.Events); i < len(parts); i++ {
		lines := block[lineAt(block, used*i/len(parts)):lineAt(block, used*(i+1)/len(parts))]
		parts[i].Events = b.Events[at : at : at+bytes.Count(lines, []byte{'\n'})]
		at += cap(parts[i].Events)
		all.Go(func() { parts[i].parse(&w.readers[i], lines) })
	}
	all.Wait()
	for _, part := range parts { // each is where it belongs, unless lines were lost before it
		b.Events, b.Lost = append(b.Events, part.Events...), b.Lost+part.Lost
	}
	return used, true
}

// lineAt is where the first line begins that does so at or behind a place in a block, in which a newline follows.
func lineAt(block []byte, at int) int {
	if at == 0 {
		return 0
	}
	return at + bytes.IndexByte(block[at-1:], '\n')
}

// parse takes in whole lines, for which there is room.
func (b *Batch) parse(reader *core.EventReader, lines []byte) {
	for line := range bytes.Lines(lines) {
		n := len(b.Events)
		if len(line) <= chunkBytes && reader.Parse(line[:len(line)-1], &b.Events[:n+1][n]) == nil {
			b.Events = b.Events[:n+1]
		} else {
			b.Lost++
		}
	}
}

// reopen sees to it that file is the log of now: not yet there, cut short, or replaced by another.
func (w *Follower) reopen() (reset bool, err error) {
	now, err := os.Stat(w.path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil // what was open is read to its end
	}
	if err != nil {
		return false, err
	}
	if w.file != nil {
		was, err := w.file.Stat()
		if err != nil {
			return false, err
		}
		if os.SameFile(was, now) && now.Size() >= w.at {
			return false, nil
		}
		reset = w.at > 0
		if err := w.file.Close(); err != nil {
			return reset, err
		}
	}
	w.at, w.skip = 0, false
	w.file = nil
	err = w.folder.on(func(d disk) error {
		opened, _, err := openRegular(d, logName)
		if err == nil {
			w.file = opened
		}
		return err
	})
	return reset, err
}
