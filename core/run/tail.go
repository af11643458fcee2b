package run

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"

	"focusnfix/core"
)

// Tail reads the newest n events, oldest first, without reading what lies before them.
func (f Folder) Tail(n int) (events []core.Event, err error) {
	file, err := os.Open(f.path(logName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	end, err := wholeLines(file)
	if err != nil {
		return nil, err
	}
	for size := int64(n) * 600; ; size *= 4 {
		start := max(0, end-size)
		block := make([]byte, end-start)
		if _, err := file.ReadAt(block, start); err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
		if start > 0 { // begins within a line
			block = block[bytes.IndexByte(block, '\n')+1:]
		}
		events = parseLines(block)
		if start == 0 || len(events) >= n {
			return events[max(0, len(events)-n):], nil
		}
	}
}

func parseLines(block []byte) (events []core.Event) {
	for line := range bytes.Lines(block) {
		var e core.Event
		if e.ParseJSON(bytes.TrimSuffix(line, []byte("\n"))) == nil {
			events = append(events, e)
		}
	}
	return events
}
