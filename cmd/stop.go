package cmd

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"focusnfix/core/run"
)

func newStop() *cobra.Command {
	var runs runsFlag
	var wait time.Duration
	c := &cobra.Command{
		Use:   "stop RUN",
		Short: "Stop a run in the background, with a checkpoint",
		Long: "Stop a run in the background. Its engine finishes the step, saves a checkpoint and exits; " +
			"focusnfix train --resume RUN resumes it. " + runHelp,
		Example: "  focusnfix stop 3aym",
		Args:    takes("RUN"), ValidArgsFunction: completeRuns(&runs, 1),
		RunE: func(c *cobra.Command, args []string) error {
			f, err := run.Find(runs.dir(), args[0])
			if err != nil {
				return err
			}
			return stopRun(c, f, wait)
		},
	}
	runs.add(c)
	c.Flags().DurationVar(&wait, "wait", time.Minute, "wait up to `DURATION` for the engine to exit; 0 returns at once")
	return c
}

func stopRun(c *cobra.Command, f run.Folder, wait time.Duration) error {
	engine, err := f.Dial()
	if errors.Is(err, run.ErrNoEngine) {
		return hintedError{err, "nothing to stop; focusnfix train --resume " + f.Dir + " resumes it"}
	}
	if err != nil {
		return err
	}
	defer engine.Close()
	if err := engine.Stop(c.Context()); err != nil {
		return hintedError{err, killHint(engine)}
	}
	if wait == 0 {
		fmt.Fprintf(c.OutOrStdout(), "%s: stopping\n", f.Name())
		return nil
	}
	ctx, cancel := context.WithTimeout(c.Context(), wait)
	defer cancel()
	state, step, err := ended(ctx, f)
	if errors.Is(err, context.DeadlineExceeded) {
		return hintedError{fmt.Errorf("%s: still running after %s", f.Name(), wait), killHint(engine)}
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(c.OutOrStdout(), "%s: %s at step %d\n", f.Name(), state, step)
	return nil
}

// killHint says how to end an engine that does not: one that has answered for the run, and no other process.
func killHint(engine *run.Client) string {
	if pid := engine.PID(); pid > 0 {
		return fmt.Sprintf("kill %d ends the process; at most the steps since the last checkpoint are lost", pid)
	}
	return "it did not answer as the engine of this run; nothing was sent to it"
}

// ended waits until no engine works on a run any more; the last one has written its state then.
func ended(ctx context.Context, f run.Folder) (state string, step int, err error) {
	for {
		engine, err := f.Dial()
		if errors.Is(err, run.ErrNoEngine) {
			info, err := f.Info()
			return f.State(info), info.Step, err
		}
		if err != nil {
			return "", 0, err
		}
		engine.Close()
		select {
		case <-ctx.Done():
			return "", 0, ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}
