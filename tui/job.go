package tui

import (
	"context"
	"errors"
	"fmt"
	"time"

	tea "charm.land/bubbletea/v2"

	"focusnfix/core"
	"focusnfix/core/run"
)

// job is a request to the engine that takes a while: a prompt or a repair.
type job struct {
	owner   string // the pane's name
	folder  run.Folder
	started time.Time
	cancel  context.CancelFunc
	status  run.Status // as the engine said last
	waking  bool       // the engine is being started first
}

type (
	jobMsg struct { // a job has ended
		job    *job
		result core.Event // of kind prompt or fix
		err    error
	}
	jobStatusMsg struct { // what the engine is doing meanwhile
		job    *job
		status run.Status
		err    error
	}
)

const (
	statusEvery = 250 * time.Millisecond // between two questions how far the engine is
	startTime   = 2 * time.Minute        // that an engine may take until it answers
)

// request is what a job asks of the engine.
type request func(context.Context, *run.Client) (core.Event, error)

// begin sends a request. With wake an engine is started before.
func (s *shared) begin(owner string, wake bool, ask request) (*job, tea.Cmd) {
	ctx, cancel := context.WithCancel(context.Background())
	j := &job{owner: owner, folder: s.run.Folder, started: s.now(), cancel: cancel, waking: wake}
	start := s.options.Wake
	do := func() tea.Msg {
		defer cancel()
		if wake {
			if err := start(ctx, j.folder); err != nil {
				return jobMsg{job: j, err: fmt.Errorf("start an engine: %w", err)}
			}
		}
		c, err := j.dial(ctx, wake)
		if err != nil {
			return jobMsg{job: j, err: err}
		}
		defer c.Close()
		result, err := ask(ctx, c)
		if ctx.Err() != nil {
			err = context.Canceled
		}
		return jobMsg{j, result, err}
	}
	return j, tea.Batch(do, j.watch())
}

// dial finds the engine; one that was just started has a while to come up.
func (j *job) dial(ctx context.Context, started bool) (*run.Client, error) {
	for late := time.Now().Add(startTime); ; {
		c, err := j.folder.Dial()
		if err == nil && started {
			if _, err = c.Status(ctx); err != nil {
				c.Close()
			}
		}
		if err == nil || !started || ctx.Err() != nil || time.Now().After(late) {
			return c, err
		}
		time.Sleep(statusEvery)
	}
}

// watch asks the engine once, in a moment.
func (j *job) watch() tea.Cmd {
	return func() tea.Msg {
		time.Sleep(statusEvery)
		msg := jobStatusMsg{job: j}
		c, err := j.folder.Dial()
		if err != nil {
			msg.err = err
			return msg
		}
		defer c.Close()
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		msg.status, msg.err = c.Status(ctx)
		return msg
	}
}

// take learns how far the engine is, and asks again.
func (j *job) take(msg jobStatusMsg) tea.Cmd {
	if msg.err == nil {
		j.status, j.waking = msg.status, false
	}
	return j.watch()
}

// version tells the preview after a step of this job from every other.
func (j *job) version(step int) int { return int(j.started.UnixMilli())<<10 + step }

// line says what is going on, for people: "drawing… 3 s".
func (j *job) line(verb string, now time.Time) string {
	other, waits := waitsFor[j.status.Busy]
	waits = waits && (j.owner != dashboardPaneName || j.status.Busy != "evaluate") // that is what it asked for
	switch {
	case j.waking:
		verb = "starting an engine"
	case waits:
		verb = other
	}
	text := fmt.Sprintf("%s… %d s", verb, int(now.Sub(j.started).Seconds()))
	if j.status.Of > 0 && !waits {
		text += fmt.Sprintf(", %d of %d", j.status.Done, j.status.Of)
	}
	return text
}

// waitsFor says what a request waits for, by what the engine is busy with.
var waitsFor = map[string]string{
	"step": "waiting for the training step", "evaluate": "waiting for the evaluation", "reference": "waiting for a reference image",
	"checkpoint": "waiting for a checkpoint", "load": "loading the model",
}

// offerWake asks whether to start an engine, if that is what is missing; ok is false for any other error.
func (s *shared) offerWake(err error, yes func() tea.Cmd) (cmd tea.Cmd, ok bool) {
	if !errors.Is(err, run.ErrNoEngine) || s.options.Wake == nil {
		return nil, false
	}
	return s.ask("No engine works on this run", yes,
		"Start one that only draws?", "It loads the model and the newest checkpoint, trains nothing,", "and ends by itself when it is not needed."), true
}
