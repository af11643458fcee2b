package far

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"focusnfix/core/run"
)

// followed are small files that the near end has a copy of.
var followed = [2]string{"run.json", "config.toml"}

const (
	maxFollowed    = 512 << 10 // bytes of one
	mostCheckpoint = 1000      // checkpoints that are told of

	measureEvery = 30 * time.Second // how much room there is on the disk
	roomChange   = 64 << 20         // bytes from which a change of it is told
)

// lookout finds what has changed in a run folder besides its logs.
type lookout struct {
	folder      run.Folder
	texts       [len(followed)][]byte
	last        frame
	checkpoints []int
	written     time.Time // the folder of checkpoints
	space       run.Space // as it was told
	measured    time.Time
}

// changes are the frames that bring the near end up to date. run.json comes before the state that it explains.
func (l *lookout) changes() (frames []frame) {
	for i, name := range followed {
		text, err := readFollowed(l.folder, name)
		if err != nil || bytes.Equal(text, l.texts[i]) {
			continue
		}
		l.texts[i] = text
		frames = append(frames, message(kindFile, file{name, text}))
	}
	info, err := l.folder.Info()
	if err != nil {
		return frames // the folder is gone, or its file is being replaced
	}
	dir, err := filepath.Abs(l.folder.Dir)
	if err != nil {
		return frames
	}
	now := state{Folder: dir, State: l.folder.State(info), OnlyDraws: l.folder.OnlyDraws(info), Checkpoints: l.steps(), Space: l.room()}
	if client, err := l.folder.Dial(); err == nil {
		now.Engine = true
		client.Close()
	}
	if f := message(kindState, now); !bytes.Equal(f.data, l.last.data) {
		l.last = f
		frames = append(frames, f)
	}
	return frames
}

// steps are those of the checkpoints, read again when their folder has changed.
func (l *lookout) steps() []int {
	info, err := os.Stat(filepath.Join(l.folder.Dir, "checkpoints"))
	if err != nil || info.ModTime().Equal(l.written) {
		return l.checkpoints
	}
	all, err := l.folder.Checkpoints()
	if err != nil {
		return l.checkpoints
	}
	l.written, l.checkpoints = info.ModTime(), nil
	for _, c := range all[max(0, len(all)-mostCheckpoint):] {
		l.checkpoints = append(l.checkpoints, c.Step)
	}
	return l.checkpoints
}

// room is the space on the disk; small changes are not worth a message.
func (l *lookout) room() run.Space {
	if time.Since(l.measured) < measureEvery {
		return l.space
	}
	l.measured = time.Now()
	far := func(a, b int64) bool { return max(a-b, b-a) >= roomChange }
	if now, err := l.folder.Space(); err == nil && (l.space.Total == 0 || far(now.Used, l.space.Used) || far(now.Free, l.space.Free)) {
		l.space = now
	}
	return l.space
}

func readFollowed(f run.Folder, name string) ([]byte, error) {
	opened, err := f.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer opened.Close() //nolint:errcheck // it was only read
	text, err := io.ReadAll(io.LimitReader(opened, maxFollowed+1))
	if err == nil && len(text) > maxFollowed {
		err = errors.New("too large")
	}
	return text, err
}
