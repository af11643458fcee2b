package run

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"

	"focusnfix/core"
)

const (
	maxTail   = 16 << 20 // bytes from its end that a log is read backward: some 30,000 events
	tailBlock = 8 << 10  // bytes read at once, where no line is longer
)

// Tail reads the newest n events, oldest first, without reading what lies before them. Of a log whose
// lines are absurdly long it may be fewer.
func (f Folder) Tail(n int) (events []core.Event, err error) {
	if n <= 0 {
		return nil, nil
	}
	err = f.newestFirst(func(e core.Event) bool {
		events = append(events, e)
		return len(events) < n
	})
	slices.Reverse(events)
	return events, err
}

// lastStep finds the newest event of a step, however many of other kinds come after it.
func (f Folder) lastStep() (last core.Event, err error) {
	err = f.newestFirst(func(e core.Event) bool {
		if e.Train != nil {
			last = e
		}
		return e.Train == nil
	})
	return last, err
}

// Alarmed reports whether there is an alarm among the newest events, as far back as [Folder.Tail] reads.
func (f Folder) Alarmed() (found bool, err error) {
	err = f.newestFirst(func(e core.Event) bool {
		found = e.Alarm != nil
		return !found
	})
	return found, err
}

// newestFirst yields the events of the log from its end on, as far back as maxTail, while it is wanted.
func (f Folder) newestFirst(yield func(core.Event) bool) error {
	return f.on(func(d disk) error {
		log, _, err := openRegular(d, logName)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		end, err := wholeLines(log, maxTail)
		if err == nil {
			var reader core.EventReader
			err = linesBack(log, end, func(line []byte, _ int64) bool {
				var e core.Event
				return reader.Parse(line, &e) != nil || yield(e)
			})
		}
		if err = errors.Join(err, log.Close()); err != nil {
			return fmt.Errorf("%s: %w", f.path(logName), err)
		}
		return nil
	})
}

// linesBack yields the lines before end, at which one ends, from the last on and as far back as maxTail, without their newlines
// and with the place at which each begins.
func linesBack(log file, end int64, yield func(line []byte, start int64) bool) error {
	stop := max(0, end-maxTail)
	var block []byte // [at, end) of the log; it ends with a newline or is empty
	for at := end; end > stop; {
		i := bytes.LastIndexByte(block[:max(0, len(block)-1)], '\n')
		switch {
		case i < 0 && at > stop: // the line begins before the block
			size := int(min(at-stop, int64(max(tailBlock, len(block)))))
			block = slices.Insert(block, 0, make([]byte, size)...)
			at -= int64(size)
			if _, err := log.ReadAt(block[:size], at); err != nil && !errors.Is(err, io.EOF) {
				return err
			}
			continue
		case i < 0 && at > 0: // cut by maxTail
			return nil
		}
		end = at + int64(i) + 1
		if !yield(block[i+1:len(block)-1], end) {
			return nil
		}
		block = block[:i+1]
	}
	return nil
}
