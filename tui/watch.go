package tui

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
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

// snapshot is run.json and the configuration, as they are now.
type snapshot struct {
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

// close ends reading.
func (o *opened) close() { o.cancel() }

// inspect reads run.json and the configuration.
func (o *opened) inspect() tea.Cmd {
	folder := o.folder
	return func() tea.Msg {
		l := snapshot{run: o}
		if l.info, l.err = folder.Info(); l.err == nil {
			l.state = folder.State(l.info)
		}
		if l.state == run.Crashed {
			l.lastWords = lastLine(folder, "log.txt")
		}
		l.config, l.broken = folder.Config()
		return l
	}
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

// current is the value that a setting has now: the last that was set, or the configuration's.
func (o *opened) current(key string) string {
	for _, e := range slices.Backward(o.store.log) {
		if e.Control != nil && e.Control.Key == key && e.Control.To != "" {
			return e.Control.To
		}
	}
	for _, k := range o.config.Keys() {
		if k.Name == key {
			return fmt.Sprint(k.Value)
		}
	}
	return ""
}

// adjustable are the settings that an engine changes while it trains.
func adjustable(c core.Config) []string {
	keys := []string{"train.learning_rate", "region.weight"}
	for _, r := range c.Reward {
		keys = append(keys, "reward."+r.Aspect+".weight")
	}
	return keys
}

// heatFiles are the heatmaps of a reference folder, one for each aspect, as drawing wants them.
func (o *opened) heatFiles(reference string) string {
	var files []string
	for _, r := range o.config.Reward {
		files = append(files, path.Join(reference, "heat-"+r.Aspect+".png"))
	}
	return strings.Join(files, "\n")
}

// update takes a snapshot in.
func (o *opened) update(l snapshot) {
	o.err = l.err
	if l.err == nil {
		o.info, o.state, o.lastWords = l.info, l.state, l.lastWords
	}
	if o.hasConfig = l.broken == nil; o.hasConfig {
		o.config = l.config
	}
}
