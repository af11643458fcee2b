package tui

import (
	"testing"
	"time"

	"focusnfix/core/run"
)

func TestJobLine(t *testing.T) {
	for _, c := range []struct {
		job  job
		want string
	}{
		{job{}, "drawing… 3 s"},
		{job{status: run.Status{Busy: "generate", Done: 4, Of: 10}}, "drawing… 3 s, 4 of 10"},
		{job{status: run.Status{Busy: "step", Done: 1, Of: 2}}, "waiting for the training step… 3 s"},
		{job{waking: true}, "starting an engine… 3 s"},
	} {
		if got := c.job.line("drawing", c.job.started.Add(3900*time.Millisecond)); got != c.want {
			t.Errorf("%+v: %q, want %q", c.job.status, got, c.want)
		}
	}
}
