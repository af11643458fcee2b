package feed

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"

	"focusnfix/core"
	"focusnfix/core/run"
)

// Run is the run on the screen and what was read of its folder.
type Run struct {
	Folder    run.Folder
	Info      run.Info
	State     string // as run.State has it
	Config    core.Config
	HasConfig bool
	Err       error // why the folder cannot be read
	Store     *Store
	Behind    int64  // bytes of the log that are still to be read
	LastWords string // of an engine that is gone: the end of log.txt
	OnlyDraws bool   // of a run without an engine that trains: one that draws works on it

	batches chan Followed     // what was read and not yet taken
	spent   chan []core.Event // of batches that were taken
	ctx     context.Context
	cancel  context.CancelFunc
}

// Followed is a batch of events of a run.
type Followed struct {
	Run   *Run
	Batch run.Batch
	err   error
}

// Snapshot is run.json and the configuration, as they are now.
type Snapshot struct {
	Run    *Run
	info   run.Info
	state  string
	config core.Config
	err    error // of run.json
	broken error // of config.toml

	lastWords string
	onlyDraws bool
}

// Open begins to read a run.
func Open(f run.Folder) *Run {
	o := &Run{Folder: f, Store: NewStore(), batches: make(chan Followed, 1), spent: make(chan []core.Event, 1)}
	o.ctx, o.cancel = context.WithCancel(context.Background())
	go o.read()
	return o
}

// Close ends reading.
func (o *Run) Close() { o.cancel() }

// Inspect reads run.json and the configuration.
func (o *Run) Inspect() tea.Cmd {
	folder := o.Folder
	return func() tea.Msg {
		l := Snapshot{Run: o}
		if l.info, l.err = folder.Info(); l.err == nil {
			l.state = folder.State(l.info)
		}
		if l.state == run.Crashed {
			l.lastWords, l.onlyDraws = lastLine(folder, "log.txt"), folder.OnlyDraws(l.info)
		}
		l.config, l.broken = folder.Config()
		return l
	}
}

// read reads the log and hands on what it read, one batch ahead of the screen, until the run is closed.
func (o *Run) read() {
	follower, err := o.Folder.Follow()
	if err != nil {
		o.batches <- Followed{Run: o, err: err} // there is room for one
		return
	}
	defer follower.Close() //nolint:errcheck // it was only read
	for err == nil {
		select {
		case events := <-o.spent:
			follower.Reuse(events)
		default:
		}
		msg := Followed{Run: o}
		msg.Batch, msg.err = follower.Next(o.ctx)
		err = msg.err
		select {
		case o.batches <- msg:
		case <-o.ctx.Done():
			return
		}
		if msg.Batch.Behind == 0 { // of a thousand events a second, each would be a frame
			select {
			case <-time.After(batchTime):
			case <-o.ctx.Done():
			}
		}
	}
}

// batchTime is the least time between two batches of events as they come: that of a frame.
const batchTime = time.Second / 30

// Follow waits for the next batch of events.
func (o *Run) Follow() tea.Cmd {
	return func() tea.Msg {
		select {
		case msg := <-o.batches:
			return msg
		case <-o.ctx.Done():
			return nil
		}
	}
}

// Take puts a batch into the store; it returns false if reading has ended.
func (o *Run) Take(msg Followed) bool {
	if msg.err != nil {
		if !errors.Is(msg.err, context.Canceled) {
			o.Err = msg.err
		}
		return false
	}
	if msg.Batch.Reset {
		o.Store = NewStore()
	}
	o.Behind = msg.Batch.Behind
	o.Store.Lost += msg.Batch.Lost
	o.Store.AddAll(msg.Batch.Events)
	return true
}

// Done is to be called when nobody looks at the events of a batch any more.
func (o *Run) Done(msg Followed) {
	select {
	case o.spent <- msg.Batch.Events:
	default:
	}
}

// LogTail is the last lines of the engine's log, at most so many bytes of it.
func (o *Run) LogTail(most int64) []string {
	file, err := o.Folder.Open("log.txt")
	if err != nil {
		return nil
	}
	defer file.Close() //nolint:errcheck // it was only read
	info, err := file.Stat()
	if err != nil {
		return nil
	}
	text := make([]byte, min(most, info.Size()))
	n, _ := file.ReadAt(text, info.Size()-int64(len(text))) // the end of the file is no error
	lines := strings.Split(strings.TrimRight(string(text[:n]), "\n"), "\n")
	if info.Size() > most { // the first is cut
		lines = lines[1:]
	}
	for i, line := range lines {
		line = line[strings.LastIndexByte(strings.TrimRight(line, "\r"), '\r')+1:] // a progress bar overwrites its line
		lines[i] = core.Clean(line)
	}
	return lines
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

// Current is the value that a setting has now: the last that was set, or the configuration's.
func (o *Run) Current(key string) string {
	for _, e := range slices.Backward(o.Store.Log) {
		if e.Control != nil && e.Control.Key == key && e.Control.To != "" {
			return e.Control.To
		}
	}
	for _, k := range o.Config.Keys() {
		if k.Name == key {
			return fmt.Sprint(k.Value)
		}
	}
	return ""
}

// Adjustable are the settings that an engine changes while it trains.
func Adjustable(c core.Config) []string {
	keys := []string{"train.learning_rate", "region.weight"}
	for _, r := range c.Reward {
		keys = append(keys, "reward."+r.Aspect+".weight")
	}
	return keys
}

// HeatFiles are the heatmaps of a reference folder, one for each aspect, as drawing wants them.
func (o *Run) HeatFiles(reference string) string {
	var files []string
	for _, r := range o.Config.Reward {
		files = append(files, path.Join(reference, run.HeatmapName(r.Aspect, false)+".png"))
	}
	return strings.Join(files, "\n")
}

// TunedHeatFiles are the heatmaps of a tuned image, one for each aspect, as drawing wants them.
func (o *Run) TunedHeatFiles(image string) string {
	var files []string
	for _, r := range o.Config.Reward {
		files = append(files, run.PictureHeatmap(image, run.HeatmapName(r.Aspect, false)))
	}
	return strings.Join(files, "\n")
}

// Update takes a snapshot in.
func (o *Run) Update(l Snapshot) {
	o.Err = l.err
	if l.err == nil {
		o.Info, o.State, o.LastWords, o.OnlyDraws = l.info, l.state, l.lastWords, l.onlyDraws
	}
	if o.HasConfig = l.broken == nil; o.HasConfig {
		o.Config = l.config
	}
}
