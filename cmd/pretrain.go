package cmd

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"focusnfix/model/scenes/workshop"
	"focusnfix/model/torch"
)

// pretrainFlags are the flags of `focusnfix pretrain`.
type pretrainFlags struct {
	options       workshop.PretrainOptions
	device, dtype string
}

func newPretrain() *cobra.Command {
	var flags pretrainFlags
	pictures := 500
	c := &cobra.Command{
		Use:    "pretrain " + strings.Join(workshop.PretrainStages(), "|") + "|report",
		Short:  "Make the shipped model from its scenes",
		Hidden: true, // a workshop of ours; the weights are in the program
		Long: "Make one stage of the shipped model, or all: the network whose features the autoencoder's loss compares\n" +
			"(sight), the autoencoder (vae), text encoder and UNet (unet), the judges of visible faults (judge) and of\n" +
			"missing or wrong things (alignment). A stage needs those before it.\n" +
			"The folder OUT/model is then a diffusers folder with the judges beside it, and report measures it.",
		Example: "focusnfix pretrain all --out build/pretrain --minutes 25\n" +
			"focusnfix pretrain vae --out build/pretrain --device cpu --threads 2 --resume",
		Args:      cobra.ExactArgs(1),
		ValidArgs: append(workshop.PretrainStages(), "report"),
		RunE:      func(c *cobra.Command, args []string) error { return flags.run(c, args[0], pictures) },
	}
	f := c.Flags()
	f.StringVar(&flags.options.Out, "out", "build/pretrain", "folder for the model, checkpoints, events and sheets")
	f.StringVar(&flags.device, "device", "", deviceHelp)
	f.StringVar(&flags.dtype, "dtype", "", "compute in `TYPE`: float32 or bfloat16 (default: bfloat16 on a GPU, float32 on the CPU)")
	f.Uint64Var(&flags.options.Seed, "seed", 0, "random seed; 0 is the shipped model's")
	f.IntVar(&flags.options.Recipe, "recipe", workshop.ShippedRecipe, fmt.Sprintf("how scenes and lessons are made: %d made the shipped weights, %d is the newest", workshop.ShippedRecipe, workshop.NewestRecipe))
	f.IntVar(&flags.options.Threads, "threads", 0, "threads on the CPU (default: one a processor)")
	f.IntVar(&flags.options.Steps, "steps", 0, "steps of every network (default: each its own)")
	f.IntVar(&flags.options.Batch, "batch", 0, "scenes a step (default: each network its own)")
	f.Float64Var(&flags.options.Minutes, "minutes", 0, "time for the whole call, divided among the networks (default: no limit)")
	f.IntVar(&pictures, "pictures", pictures, "report: images of every figure")
	f.BoolVar(&flags.options.Resume, "resume", false, "resume from the checkpoints in OUT")
	return c
}

// run makes the stage, or the report.
func (f *pretrainFlags) run(c *cobra.Command, stage string, pictures int) error {
	o := f.options
	o.Device = torch.Device(f.device)
	if f.dtype != "" {
		dtype, err := parseDType(f.dtype)
		if err != nil {
			return err
		}
		o.DType = dtype
	}
	if o.Steps < 0 || o.Batch < 0 || o.Threads < 0 || o.Minutes < 0 || pictures < 0 {
		return usageError{errors.New("--steps, --batch, --threads, --minutes and --pictures: want 0 or more")}
	}
	if stage == "report" {
		if err := workshop.PretrainReport(c.Context(), o, pictures); err != nil {
			return err
		}
		fmt.Fprintln(c.OutOrStdout(), filepath.Join(o.Out, "report.md"))
		return nil
	}
	lines := &lessonLines{out: c.ErrOrStderr(), terminal: isTerminal(c.ErrOrStderr())}
	o.Report = lines.report
	return workshop.Pretrain(c.Context(), stage, o)
}

// lessonLines shows how far networks are: one line that is written over on a terminal, else a line a
// quarter of a minute.
type lessonLines struct {
	out      io.Writer
	terminal bool
	network  string
	first    int // that was done when this call began
	started  time.Time
	shown    time.Time
}

func (l *lessonLines) report(network string, done, of int, numbers string) {
	if network != l.network {
		l.network, l.first, l.started, l.shown = network, done, time.Now(), time.Time{}
	}
	last := done >= of
	if !l.terminal && !last && time.Since(l.shown) < 15*time.Second {
		return
	}
	l.shown = time.Now()
	left := remaining(time.Since(l.started), done-l.first, of-l.first)
	switch {
	case !l.terminal:
		fmt.Fprintf(l.out, "%s %d/%d  %s  %s\n", network, done, of, left, numbers)
	case last:
		fmt.Fprintf(l.out, "\r%s %s  %s  %s\x1b[K\n", network, bar(done, of, 24), left, numbers)
	default:
		fmt.Fprintf(l.out, "\r%s %s  %s  %s\x1b[K", network, bar(done, of, 24), left, numbers)
	}
}
