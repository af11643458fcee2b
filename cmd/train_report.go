package cmd

import (
	"fmt"
	"io"
	"math"
	"strings"
	"sync"

	"focusnfix/core"
	"focusnfix/core/run"
	"focusnfix/core/words"
)

// trainReport tells a training's events to a person, and to a program if events is set. It is for any number of
// goroutines.
type trainReport struct {
	mutex  sync.Mutex
	out    io.Writer
	events io.Writer
	bar    *progress
	steps  int
	open   bool // the bar's line has no end yet
}

func newTrainReport(out io.Writer, steps int) *trainReport {
	return &trainReport{out: out, bar: newProgress(out, "train"), steps: steps}
}

func (r *trainReport) event(e core.Event) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if r.events != nil {
		_, _ = r.events.Write(append(e.AppendJSON(nil), '\n'))
	}
	switch {
	case e.Train != nil:
		r.bar.showAs(e.Step, r.steps, stepText(e, r.steps))
		r.open = r.bar.terminal && e.Step < r.steps
	case e.Evaluation != nil:
		r.line(evaluationText(e))
	case e.Alarm != nil:
		r.line("warning: " + alarmText(*e.Alarm))
	case e.Control != nil && e.Control.Key == "stop":
		r.line("ending after this step, with a checkpoint; Ctrl-C ends at once")
	case e.State == run.Paused:
		r.line(strings.TrimSuffix("paused: "+e.Message, ": "))
	case e.State == run.Running && e.Message != "" && r.bar.terminal:
		fmt.Fprintf(r.out, "\r%s\x1b[K", core.Clean(e.Message))
		r.open = true
	}
}

// warn says one line.
func (r *trainReport) warn(text string) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.line("warning: " + text)
}

// line is a line of its own, above the bar.
func (r *trainReport) line(text string) {
	if r.open {
		fmt.Fprint(r.out, "\r\x1b[K")
		r.open = false
	}
	fmt.Fprintln(r.out, core.Clean(text))
}

// end leaves the bar's line.
func (r *trainReport) end() {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if r.open {
		fmt.Fprintln(r.out)
		r.open = false
	}
}

func stepText(e core.Event, steps int) string {
	t := e.Train
	if t.Skipped {
		return fmt.Sprintf("%d/%d  skipped: not a number", e.Step, steps)
	}
	reward, outside, seconds := core.StepMetric("reward"), core.StepMetric("outside_psnr"), core.StepMetric("step_seconds")
	return fmt.Sprintf("%d/%d  reward %s  outside %s  %s per step", e.Step, steps,
		reward.Text(t.Reward), outside.Text(t.OutsidePSNR), seconds.Text(t.StepSeconds))
}

func evaluationText(e core.Event) string {
	var b strings.Builder
	score := core.AspectMetric("held_out")
	fmt.Fprintf(&b, "step %d, %d held-out images:", e.Step, e.Evaluation.Pictures)
	for _, a := range e.Evaluation.Aspects {
		base, now := a.BaseHeldOut, a.HeldOut
		if math.IsNaN(now) {
			base, now = a.Base, a.Reward
		}
		fmt.Fprintf(&b, " %s %s -> %s", words.Aspect(a.Aspect), score.Number(base), score.Number(now))
		if !math.IsNaN(a.Fixed) {
			fmt.Fprintf(&b, " (%s%s fixed)", core.AspectMetric("fixed").Text(a.Fixed), words.Of(a.Faulty))
		}
		b.WriteByte(',')
	}
	b.WriteString(" outside " + core.StepMetric("outside_psnr").Text(e.Evaluation.OutsidePSNR))
	return b.String()
}

func alarmText(a core.Alarm) string {
	what := strings.TrimSpace(a.Name + " " + a.Subject)
	return fmt.Sprintf("%s: %.4g, limit %.4g (%s)", what, a.Value, a.Limit, a.Action)
}
