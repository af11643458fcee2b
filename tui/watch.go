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

	batches chan followedMsg // what was read and not yet taken
	ctx     context.Context
	cancel  context.CancelFunc
}

// followedMsg is a batch of events of a run.
type followedMsg struct {
	run   *opened
	batch run.Batch
	err   error
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

// newOpened begins to read a run.
func newOpened(f run.Folder) *opened {
	o := &opened{folder: f, store: newStore(), batches: make(chan followedMsg, 1)}
	o.ctx, o.cancel = context.WithCancel(context.Background())
	go o.read()
	return o
}

// openRun makes f the run on the screen and begins to read it.
func (s *shared) openRun(f run.Folder) tea.Cmd {
	s.close()
	o := newOpened(f)
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

// read reads the log and hands on what it read, one batch ahead of the screen, until the run is closed.
func (o *opened) read() {
	follower, err := o.folder.Follow()
	if err != nil {
		o.batches <- followedMsg{run: o, err: err} // there is room for one
		return
	}
	defer follower.Close() //nolint:errcheck // it was only read
	for err == nil {
		msg := followedMsg{run: o}
		msg.batch, msg.err = follower.Next(o.ctx)
		err = msg.err
		select {
		case o.batches <- msg:
		case <-o.ctx.Done():
			return
		}
	}
}

// follow waits for the next batch of events.
func (o *opened) follow() tea.Cmd {
	return func() tea.Msg {
		select {
		case msg := <-o.batches:
			return msg
		case <-o.ctx.Done():
			return nil
		}
	}
}

// take puts a batch into the store; it returns false if reading has ended.
func (o *opened) take(msg followedMsg) bool {
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
