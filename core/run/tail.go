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

// maxTail is how far from its end a log is read backward: some 30,000 events.
const maxTail = 16 << 20 // bytes

// Tail reads the newest n events, oldest first, without reading what lies before them. Of a log whose
// lines are absurdly long it may be fewer.
func (f Folder) Tail(n int) ([]core.Event, error) {
	events, err := f.tail(func(events []core.Event) bool { return len(events) >= n })
	return events[max(0, len(events)-n):], err
}

// lastStep finds the newest event of a step, however many of other kinds come after it.
func (f Folder) lastStep() (last core.Event, err error) {
	newest := func(events []core.Event) bool {
		for i := len(events) - 1; i >= 0; i-- {
			if events[i].Train != nil {
				last = events[i]
				return true
			}
		}
		return false
	}
	_, err = f.tail(newest)
	return last, err
}

// Alarmed reports whether there is an alarm among the newest events, as far back as [Folder.Tail] reads.
func (f Folder) Alarmed() (found bool, err error) {
	_, err = f.tail(func(events []core.Event) bool {
		found = slices.ContainsFunc(events, func(e core.Event) bool { return e.Alarm != nil })
		return found
	})
	return found, err
}

// tail reads ever more of the end of the log until it is enough.
func (f Folder) tail(enough func([]core.Event) bool) (events []core.Event, err error) {
	err = f.on(func(d disk) error {
		log, _, err := openRegular(d, logName)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		events, err = readBack(log, enough)
		if err = errors.Join(err, log.Close()); err != nil {
			return fmt.Errorf("%s: %w", f.path(logName), err)
		}
		return nil
	})
	return events, err
}

func readBack(log file, enough func([]core.Event) bool) ([]core.Event, error) {
	end, err := wholeLines(log, maxTail)
	if err != nil {
		return nil, err
	}
	for size := int64(4 << 10); ; size *= 4 {
		start := max(0, end-size)
		block := make([]byte, end-start)
		if _, err := log.ReadAt(block, start); err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
		if start > 0 { // begins within a line
			block = block[bytes.IndexByte(block, '\n')+1:]
		}
		if events := parseLines(block); enough(events) || start == 0 || size >= maxTail {
			return events, nil
		}
	}
}

func parseLines(block []byte) (events []core.Event) {
	var reader core.EventReader
	for line := range bytes.Lines(block) {
		var e core.Event
		if reader.Parse(bytes.TrimSuffix(line, []byte("\n")), &e) == nil {
			events = append(events, e)
		}
	}
	return events
}
