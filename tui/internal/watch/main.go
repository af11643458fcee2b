// Watch is the screen over sample runs: for trying it, and for the terminal tests (termtest/screen.sh), without a
// model. Its engines are processes of their own that pretend to train.
//
//	watch [-pace 200ms] [-write] DIR     -write first writes runs of every state, -write-only does no more
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"

	"focusnfix/core/run"
	"focusnfix/tui"
	"focusnfix/tui/internal/sample"
)

var aspects = []string{"violence", "oversexualization", "artifacts", "misalignment"}

func main() {
	pace := flag.Duration("pace", 200*time.Millisecond, "time of a step")
	write := flag.Bool("write", false, "write sample runs first")
	only := flag.Bool("write-only", false, "write sample runs and end")
	engine := flag.String("engine", "", "be the engine of this run folder")
	open := flag.String("open", "", "open this run")
	flag.Parse()
	var err error
	switch {
	case *only:
		err = writeRuns(flag.Arg(0))
	case *engine != "":
		err = sample.Serve(context.Background(), run.Folder{Dir: *engine}, sample.Options{Aspects: aspects, Steps: 60, Every: 5, Alarm: true}, *pace)
	default:
		err = screen(flag.Arg(0), *open, *pace, *write)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func screen(dir, open string, pace time.Duration, write bool) error {
	if write {
		if err := writeRuns(dir); err != nil {
			return err
		}
	}
	return tui.Run(context.Background(), tui.Options{
		Runs: dir, Open: open, Version: "test",
		Start: func(_ context.Context, preset string, _ []string) (run.Folder, error) {
			r, err := sample.Create(dir, sample.Options{Preset: preset, Aspects: aspects, Steps: 60, Every: 5})
			if err != nil {
				return run.Folder{}, err
			}
			if err := r.End("", 0); err != nil {
				return run.Folder{}, err
			}
			return r.Folder, spawn(r.Folder, pace)
		},
		Resume: func(_ context.Context, f run.Folder) error { return spawn(f, pace) },
		Wake:   func(_ context.Context, f run.Folder) error { return spawn(f, pace) },
	})
}

// spawn starts an engine that outlives the screen.
func spawn(f run.Folder, pace time.Duration) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	c := exec.Command(self, "-engine", f.Dir, "-pace", pace.String())
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := c.Start(); err != nil {
		return err
	}
	return c.Process.Release()
}

// writeRuns writes one run of each state.
func writeRuns(dir string) error {
	now := time.Now()
	for i, o := range []sample.Options{
		{Preset: "artifacts", Steps: 60, Done: 60, State: run.Done, Created: now.Add(-50 * time.Hour)},
		{Preset: "misalignment", Steps: 80, Done: 34, State: run.Running, Created: now.Add(-5 * time.Hour)},
		{Preset: "violence", Steps: 60, Done: 12, State: run.Failed, Created: now.Add(-3 * time.Hour)},
		{Preset: "all-aspects", Steps: 60, Done: 41, State: run.Stopped, Created: now.Add(-20 * time.Minute), Alarm: true},
	} {
		o.Aspects, o.Every, o.Seed = aspects, 5, uint64(i)
		if _, err := sample.Write(dir, o); err != nil {
			return err
		}
	}
	return nil
}
