package tui

import (
	"context"
	"errors"
	"strings"

	tea "charm.land/bubbletea/v2"

	"focusnfix/core"
	"focusnfix/core/run"
)

// opened is the run on the screen and what was read of its folder.
type opened struct {
	folder    run.Folder
	info      run.Info
	state     string // as run.State has it
	config    core.Config
	hasConfig bool
	err       error // why the folder cannot be read
	store     *store
	behind    int64  // bytes of the log that are still to be read
	lastWords string // of an engine that is gone: the end of log.txt

	follower *run.Follower
	ctx      context.Context
	cancel   context.CancelFunc
}

// followedMsg is a batch of events of a run.
type followedMsg struct {
	run      *opened
	follower *run.Follower // of the first batch
	batch    run.Batch
	err      error
}

// look is run.json and the configuration, as they are now.
type look struct {
	run    *opened
	info   run.Info
	state  string
	config core.Config
	err    error // of run.json
	broken error // of config.toml

	lastWords string
}

// openRun makes f the run on the screen and begins to read it.
func (s *shared) openRun(f run.Folder) tea.Cmd {
	s.close()
	o := &opened{folder: f, store: newStore()}
	o.ctx, o.cancel = context.WithCancel(context.Background())
	s.run = o
	return tea.Batch(o.look(), o.follow())
}

// close ends reading.
func (o *opened) close() { o.cancel() }

// look reads run.json and the configuration.
func (o *opened) look() tea.Cmd {
	folder := o.folder
	return func() tea.Msg {
		l := look{run: o}
		if l.info, l.err = folder.Info(); l.err == nil {
			l.state = folder.State(l.info)
		}
		if l.state == run.Crashed {
			l.lastWords = lastLine(folder, "log.txt")
		}
		l.config, l.broken = folder.Config()
		return lookedMsg{l}
	}
}

func (s *shared) lookAgain() tea.Cmd {
	if s.run == nil {
		return nil
	}
	return s.run.look()
}

// looked takes a look in; it returns false if it is of a run that was closed.
func (s *shared) looked(l look) bool {
	o := s.run
	if o == nil || l.run != o {
		return false
	}
	o.err = l.err
	if l.err == nil {
		o.info, o.state, o.lastWords = l.info, l.state, l.lastWords
	}
	if o.hasConfig = l.broken == nil; o.hasConfig {
		o.config = l.config
	}
	return true
}

// follow waits for the next batch of events. The follower ends with the run.
func (o *opened) follow() tea.Cmd {
	follower, folder, ctx := o.follower, o.folder, o.ctx
	return func() tea.Msg {
		msg := followedMsg{run: o}
		if follower == nil {
			if follower, msg.err = folder.Follow(); msg.err != nil {
				return msg
			}
		}
		msg.follower = follower
		msg.batch, msg.err = follower.Next(ctx)
		if ctx.Err() != nil {
			_ = follower.Close() // nothing was written
		}
		return msg
	}
}

// take puts a batch into the store; it returns false if reading has ended.
func (o *opened) take(msg followedMsg) bool {
	o.follower = msg.follower
	if msg.err != nil {
		if !errors.Is(msg.err, context.Canceled) {
			o.err = msg.err
		}
		return false
	}
	if msg.batch.Reset {
		o.store = newStore()
	}
	o.behind = msg.batch.Behind
	o.store.lost += msg.batch.Lost
	for i := range msg.batch.Events {
		o.store.add(&msg.batch.Events[i])
	}
	return true
}

// lastLine is the last line of a file of the run that is not empty, or "".
func lastLine(f run.Folder, name string) string {
	file, err := f.Open(name)
	if err != nil {
		return ""
	}
	defer file.Close() //nolint:errcheck // it was only read
	const most = 4096
	info, err := file.Stat()
	if err != nil {
		return ""
	}
	text := make([]byte, most)
	n, _ := file.ReadAt(text, max(0, info.Size()-most)) // the end of the file is no error
	lines := strings.Split(strings.TrimSpace(string(text[:n])), "\n")
	return strings.ToValidUTF8(strings.TrimSpace(lines[len(lines)-1]), "")
}
