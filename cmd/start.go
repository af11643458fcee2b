package cmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"focusnfix/core/engine"
	"focusnfix/core/run"
)

func newStart() *cobra.Command {
	t := new(trainFlags)
	c := &cobra.Command{
		Use:   "start [PRESET]",
		Short: "Train in the background and print the run's name",
		Long: "Start a run that continues when the terminal closes. " + presetArg + " The command returns when the model is " +
			"loaded and training has begun, or with the reason why it has not.",
		Example: `  focusnfix start violence
  focusnfix start mine.toml --steps 200 --set lora.rank=8`,
		Args: takes("[PRESET]"), ValidArgsFunction: completePresets,
		RunE: func(c *cobra.Command, args []string) error {
			w, err := t.plan(c, args, "")
			if err != nil {
				return err
			}
			if err := refuseUnfit(c.Context(), t.chosen(args), w.config, gpuMemory(c.Context())); err != nil {
				return err
			}
			f, err := t.folder(c, w)
			if err != nil {
				return err
			}
			var more []string
			if t.tensorBoard {
				more = append(more, "--tensorboard")
			}
			if err := launch(c.Context(), f, more...); err != nil {
				return err
			}
			fmt.Fprintln(c.OutOrStdout(), f.Name())
			return nil
		},
	}
	t.add(c)
	return c
}

// newEngine is what start runs in the background.
func newEngine() *cobra.Command {
	var dir string
	o := engine.Options{Version: version}
	c := &cobra.Command{
		Use:    "engine",
		Short:  "Work on a run in this process",
		Hidden: true,
		Args:   takes(),
		RunE: func(c *cobra.Command, _ []string) error {
			o.Folder, o.Warn = run.Folder{Dir: dir}, warnTo(c.ErrOrStderr())
			if err := trustFlag(false).opensRun(nil, o.Folder); err != nil {
				return err
			}
			tell := newNotifier(o.Folder, o.Warn)
			defer tell.end()
			o.OnEvent = tell.event
			return engine.Run(c.Context(), o)
		},
	}
	f := c.Flags()
	f.StringVar(&dir, "run", "", "folder of the run, `DIR`")
	f.BoolVar(&o.Idle, "idle", false, "answer prompts, repairs and evaluations without training")
	f.DurationVar(&o.IdleTime, "idle-time", 0, "exit after `DURATION` without a request (default 10m)")
	f.BoolVar(&o.TensorBoard, "tensorboard", false, "write TensorBoard event files, too")
	return c
}

// startRun makes a run of a preset with settings as key=value, and an engine that trains it in the
// background. The folder is there even where the engine fails.
func startRun(ctx context.Context, runs, preset string, sets []string) (run.Folder, error) {
	config, name, err := runConfig(preset, sets)
	if err != nil {
		return run.Folder{}, err
	}
	agree(engine.Names(config))
	f, err := run.Create(runs, run.Info{Preset: name, Version: version, Model: config.Model.Path}, config)
	if err != nil {
		return f, err
	}
	return f, launch(ctx, f)
}

// resumeRun continues with a run's training: its engine does if there is one, else a new one in the
// background.
func resumeRun(ctx context.Context, f run.Folder) error {
	client, err := f.Dial()
	if errors.Is(err, run.ErrNoEngine) {
		return launch(ctx, f)
	}
	if err != nil {
		return err
	}
	defer client.Close()
	return client.Resume(ctx)
}

// wakeRun sees to an engine that answers for a run, without training.
func wakeRun(ctx context.Context, f run.Folder) error {
	client, err := f.Dial()
	if errors.Is(err, run.ErrNoEngine) {
		return launch(ctx, f, "--idle")
	}
	if err == nil {
		client.Close()
	}
	return err
}

// launch starts this program as the engine of a run, in a session of its own, and waits until it has
// loaded the model. What it says goes to the run's log.txt.
func launch(ctx context.Context, f run.Folder, more ...string) (err error) {
	dir, err := filepath.Abs(f.Dir)
	if err != nil {
		return err
	}
	program, err := os.Executable()
	if err != nil {
		return err
	}
	log, err := f.AppendFile(logFile)
	if err != nil {
		return fmt.Errorf("start engine: %w", err)
	}
	defer func() { err = errors.Join(err, log.Close()) }()
	child := exec.Command(program, append([]string{"engine", "--run", dir}, more...)...)
	child.Stdout, child.Stderr = log, log
	child.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := child.Start(); err != nil {
		return fmt.Errorf("start engine: %w", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- child.Wait() }()
	for {
		select {
		case err := <-ended:
			return engineFailed(f, err)
		case <-ctx.Done():
			return ctx.Err() // the engine continues loading
		case <-time.After(20 * time.Millisecond):
		}
		if loaded(ctx, f, child.Process.Pid) {
			return nil
		}
	}
}

// loaded reports whether the process of that number answers for a run and has its model.
func loaded(ctx context.Context, f run.Folder, pid int) bool {
	info, err := f.Info()
	if err != nil || info.Engine == nil || info.Engine.PID != pid {
		return false
	}
	client, err := f.Dial()
	if err != nil {
		return false
	}
	defer client.Close()
	status, err := client.Status(ctx)
	return err == nil && status.Busy != "load"
}

// logFile is what an engine in the background writes to, in the run's folder.
const logFile = "log.txt"

// maxReason is how much of its end may hold the reason of an engine's failure, in bytes.
const maxReason = 64 << 10

// engineFailed is the reason of an engine that ended before it had begun: the last error in its log. One
// that had nothing left to do is none.
func engineFailed(f run.Folder, err error) error {
	if err == nil {
		return nil
	}
	reason, hint := err.Error(), "all it said is in "+filepath.Join(f.Dir, logFile)
	if text, failed := endOf(f, logFile, maxReason); failed == nil {
		for line := range strings.Lines(string(text)) {
			if after, found := strings.CutPrefix(line, "error: "); found {
				reason = strings.TrimSuffix(after, "\n")
			}
		}
	}
	return hintedError{errors.New(reason), hint}
}

// endOf reads the last bytes of a file of a run.
func endOf(f run.Folder, name string, most int64) (text []byte, err error) {
	file, err := f.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	return io.ReadAll(io.NewSectionReader(file, max(0, info.Size()-most), most))
}
