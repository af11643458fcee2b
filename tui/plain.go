package tui

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"focusnfix/core"
	"focusnfix/core/run"
	"focusnfix/core/words"
	"focusnfix/presets"
)

// PlainList writes the runs as lines, and what can be done next.
func PlainList(w io.Writer, dir string, list []run.Run) error {
	var b strings.Builder
	for _, r := range list {
		if r.Err != nil {
			fmt.Fprintf(&b, "%s: unreadable: %v\n", r.Name(), r.Err)
			continue
		}
		fmt.Fprintf(&b, "%s: %s, step %d of %d", r.Name(), words.State(r.State), max(r.Last.Step, r.Info.Step), r.Info.Steps)
		if r.Last.Train != nil {
			fmt.Fprintf(&b, ", reward %s", words.Number(r.Last.Train.Reward, 3))
		}
		fmt.Fprintf(&b, ", begun %s ago\n", r.Info.Age(time.Now()))
	}
	if len(list) == 0 {
		fmt.Fprintf(&b, "no runs in %s; focusnfix start -p %s starts one\n", dir, presets.Default)
	} else {
		b.WriteString("focusnfix attach --plain RUN follows one of them\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// plainTail is how many of the events before are written first.
const plainTail = 20

// Plain writes a run's events as lines, the last ones at once and others as they come, until the run ends or
// ctx does. An end in an error is an error.
func Plain(ctx context.Context, w io.Writer, f run.Folder) error {
	info, err := f.Info()
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(w, "%s: %s, %s, %s\n", f.Name(), words.State(f.State(info)), info.Preset, info.Model); err != nil {
		return err
	}
	p := plainWriter{w: w, steps: info.Steps}
	follower, err := f.FollowLast(plainTail)
	if err != nil {
		return err
	}
	defer follower.Close() //nolint:errcheck // it was only read
	for {
		ended, err := p.read(ctx, f, follower)
		if ended || err != nil {
			return err
		}
	}
}

// plainWriter writes events as lines.
type plainWriter struct {
	w     io.Writer
	steps int
}

// read writes what comes within a second, and reports whether the run has ended.
func (p *plainWriter) read(ctx context.Context, f run.Folder, follower *run.Follower) (ended bool, err error) {
	second, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	batch, err := follower.Next(second)
	if ctx.Err() != nil {
		return false, ctx.Err()
	}
	if err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return false, err
	}
	for i := range batch.Events {
		if err := p.event(&batch.Events[i]); err != nil {
			return false, err
		}
	}
	if err == nil { // there may be more
		return false, nil
	}
	info, err := f.Info()
	if err != nil {
		return false, err
	}
	switch state := f.State(info); state {
	case run.Running, run.Paused, "":
		return false, nil
	case run.Failed:
		return true, fmt.Errorf("%s failed: %s", f.Name(), info.Message)
	default:
		_, err = fmt.Fprintf(p.w, "%s: %s at step %d\n", f.Name(), state, info.Step)
		return true, err
	}
}

func (p *plainWriter) event(e *core.Event) error {
	text := ""
	switch {
	case e.Train != nil:
		text = plainStep(e.Train)
	case e.Kind == "pictures":
		text = words.Plural(len(e.Pictures), "image") + " kept"
	default:
		text = words.Event(e)
		if e.Alarm != nil {
			text = "alarm: " + text
		}
	}
	_, err := fmt.Fprintf(p.w, "%s step %d of %d: %s\n", e.Time.Local().Format("15:04:05"), e.Step, p.steps, text)
	return err
}

// plainStep is a step's numbers in words.
func plainStep(t *core.TrainStep) string {
	if t.Skipped {
		return "left out: the loss or its gradient is not a number"
	}
	text := fmt.Sprintf("reward %s", words.Number(t.Reward, 3))
	for _, a := range t.Aspects {
		text += fmt.Sprintf(", %s %s was %s", words.Aspect(a.Aspect), words.Number(a.Reward, 3), words.Number(a.Base, 3))
	}
	return text + fmt.Sprintf(", outside %s dB, %s seconds", words.Number(t.OutsidePSNR, 1), words.Number(t.StepSeconds, 1))
}
