package cmd

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"focusnfix/core"
	"focusnfix/core/engine"
	"focusnfix/core/run"
	"focusnfix/model/scenes"
)

const gib = 1 << 30

// What a GPU holds beside tensors: the CUDA context and the libraries' workspaces; and the share of its memory
// that is lost between tensors.
const (
	contextBytes  = 7 * gib / 10
	fragmentation = 1.05
)

// planned is what `focusnfix plan --json` prints.
type planned struct {
	Memory      *engine.Need `json:"memory,omitempty"` // of a GPU
	Total       int64        `json:"needed_bytes,omitempty"`
	Settings    []string     `json:"settings,omitempty"` // that --fit chose
	Fits        bool         `json:"fits"`
	Images      int          `json:"images"`           // drawn and differentiated
	References  int          `json:"references"`       // drawn once by the base model
	StepSeconds float64      `json:"step_seconds"`     // of the probe
	Seconds     float64      `json:"seconds"`          // of the run
	DiskBytes   int64        `json:"disk_bytes"`       // of the run's folder
	FaultyShare float64      `json:"faulty_share"`     // of the references that the probe drew
	Drawn       int          `json:"references_drawn"` // by the probe
}

func newPlan() *cobra.Command {
	t := new(trainFlags)
	var fit string
	var asJSON, noProbe, walk bool
	c := &cobra.Command{
		Use:   "plan [PRESET]",
		Short: "Estimate the memory, time and disk space of a run",
		Long: "Estimate what a run will need before it starts. " + presetArg + " Memory of a GPU is found by a walk through one " +
			"step with shapes alone, which needs no GPU but libtorch 2.9 or newer; time and disk space by two training steps in " +
			"a temporary folder.",
		Example: `  focusnfix plan violence
  focusnfix plan sdxl-violence --no-probe --fit 24GiB`,
		Args: takes("[PRESET]"), ValidArgsFunction: completePresets,
		RunE: func(c *cobra.Command, args []string) error {
			if walk {
				return walkShapes(c.InOrStdin(), c.OutOrStdout())
			}
			limit, err := parseMemory(fit)
			if err != nil {
				return usageError{fmt.Errorf("--fit %s: %w", fit, err)}
			}
			w, err := t.plan(c, args, "")
			if err != nil {
				return err
			}
			p, err := makePlan(c.Context(), w.config, limit, !noProbe)
			if err != nil {
				return err
			}
			if asJSON {
				err = json.NewEncoder(c.OutOrStdout()).Encode(p)
			} else {
				err = printPlan(c.OutOrStdout(), p, w.config)
			}
			if err == nil && limit > 0 && !p.Fits {
				err = fmt.Errorf("a run of these settings does not fit into %s", fit)
			}
			return err
		},
	}
	t.add(c)
	f := c.Flags()
	f.StringVar(&fit, "fit", "", "choose batch, K and data type so that a run fits into `SIZE`, 24GiB say")
	f.BoolVar(&noProbe, "no-probe", false, "do not train two steps to measure time and disk space")
	f.BoolVar(&asJSON, "json", false, "print JSON")
	f.BoolVar(&walk, "walk", false, "")
	_ = f.MarkHidden("walk")
	return c
}

// parseMemory reads "24GiB", "24GB" or "24"; "" is 0.
func parseMemory(text string) (int64, error) {
	if text == "" {
		return 0, nil
	}
	number := strings.TrimRight(text, "GgiIbB ")
	n, err := strconv.ParseFloat(number, 64)
	if err != nil || n <= 0 || n > 1<<20 {
		return 0, errors.New("want a size in GiB, 24GiB say")
	}
	return int64(n * gib), nil
}

// needed is the memory of a GPU that a run takes, with what is not our tensors.
func needed(n engine.Need) int64 { return int64(float64(n.Peak())*fragmentation) + contextBytes }

// walkShapes answers one configuration on the input with its Need: the process that measure starts.
func walkShapes(in io.Reader, out io.Writer) error {
	var c core.Config
	if err := json.NewDecoder(in).Decode(&c); err != nil {
		return err
	}
	n, err := engine.Measure(c, nil)
	if err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(n)
}

// errNoWalk says that this libtorch has no stand-in for a GPU.
var errNoWalk = errors.New("this libtorch cannot walk through shapes: 2.9 or newer is needed")

// measureNeed starts this program a second time, with shapes in place of tensors.
func measureNeed(ctx context.Context, c core.Config) (n engine.Need, err error) {
	text, err := json.Marshal(c)
	if err != nil {
		return n, err
	}
	program, err := os.Executable()
	if err != nil {
		return n, err
	}
	child := exec.CommandContext(ctx, program, "plan", "--walk")
	child.Env = append(os.Environ(), "FNF_STAND_IN=shapes", "OMP_NUM_THREADS=1")
	child.Stdin = bytes.NewReader(text)
	var said strings.Builder
	child.Stderr = &said
	out, err := child.Output()
	if err != nil {
		_, reason, _ := strings.Cut(said.String(), "error: ")
		reason, _, _ = strings.Cut(reason, "\n")
		if strings.Contains(reason, "can use 0 GPUs") {
			return n, hintedError{errNoWalk, "python3 -m venv venv && venv/bin/pip install torch && PYTHON=venv/bin/python make shim"}
		}
		return n, fmt.Errorf("walk through shapes: %s", reason)
	}
	return n, json.Unmarshal(out, &n)
}

// makePlan measures. A limit of 0 is none; with one, settings are changed until the run fits.
func makePlan(ctx context.Context, c core.Config, limit int64, probe bool) (p planned, err error) {
	training, _, err := engine.Prompts(c)
	if err != nil {
		return p, err
	}
	p.Images = c.Train.Steps * c.Train.Batch * c.Train.Accumulate
	p.References = min(p.Images, len(training)*c.Train.SeedsPerPrompt)
	n, err := measureNeed(ctx, c)
	switch {
	case err == nil:
		p.Memory, p.Total, p.Fits = &n, needed(n), limit == 0 || needed(n) <= limit
		for !p.Fits {
			next, setting, ok := smaller(c)
			if !ok {
				break
			}
			c = next
			if n, err = measureNeed(ctx, c); err != nil {
				return p, err
			}
			p.Settings = append(p.Settings, setting...)
			p.Memory, p.Total, p.Fits = &n, needed(n), needed(n) <= limit
		}
	case limit > 0 || !errors.Is(err, errNoWalk):
		return p, err
	}
	if probe {
		err = p.probe(ctx, c)
	} else {
		err = nil
	}
	return p, err
}

// smaller changes a configuration so that it takes less memory for nearly the same training, and says how.
func smaller(c core.Config) (next core.Config, settings []string, ok bool) {
	switch {
	case c.Model.DType == "float32":
		c.Model.DType = "auto" // on a GPU float16, of transformers bfloat16
		return c, []string{"model.dtype=auto"}, true
	case c.Train.Batch > 1:
		half := c.Train.Batch / 2
		c.Train.Accumulate = (c.Train.Batch*c.Train.Accumulate + half - 1) / half
		c.Train.Batch = half
		return c, []string{fmt.Sprintf("train.batch=%d", c.Train.Batch), fmt.Sprintf("train.accumulate=%d", c.Train.Accumulate)}, true
	case c.Train.BackpropSteps > 1:
		c.Train.BackpropSteps = 1
		return c, []string{"train.backprop_steps=1"}, true
	}
	return c, nil, false
}

// probe trains two steps in a folder that is removed again.
func (p *planned) probe(ctx context.Context, c core.Config) (err error) {
	dir, err := os.MkdirTemp("", "focusnfix-probe-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	steps, every := c.Train.Steps, c.Train.CheckpointEvery
	c.Train.Steps, c.Train.CheckpointEvery, c.Train.ImagesEvery, c.Gate.Action = 2, 2, 1<<20, "warn"
	f, err := run.CreateAt(filepath.Join(dir, "run"), run.Info{Model: c.Model.Path, Version: version}, c)
	if err != nil {
		return err
	}
	var began, first time.Time
	err = engine.Run(ctx, engine.Options{Folder: f, Version: version, OnEvent: func(e core.Event) {
		switch {
		case e.Kind == "state" && began.IsZero():
			began = e.Time
		case e.Kind == "step" && e.Step == 1:
			first = e.Time.Add(-time.Duration(e.Train.StepSeconds * float64(time.Second)))
		case e.Kind == "step":
			p.StepSeconds = e.Train.StepSeconds
		}
	}})
	if err != nil {
		return fmt.Errorf("train two steps: %w", err)
	}
	if err := p.count(f); err != nil {
		return err
	}
	p.Seconds = p.StepSeconds * float64(steps)
	if p.Drawn > 0 && first.After(began) {
		p.Seconds += first.Sub(began).Seconds() / float64(p.Drawn) * float64(p.References)
	}
	references, checkpoints := folderBytes(filepath.Join(f.Dir, run.References)), folderBytes(filepath.Join(f.Dir, "checkpoints"))
	if p.Drawn > 0 {
		p.DiskBytes = references / int64(p.Drawn) * int64(p.References)
	}
	if every > 0 {
		p.DiskBytes += checkpoints / 2 * int64(steps/every+1)
	}
	return nil
}

// count looks at the references that the probe drew.
func (p *planned) count(f run.Folder) error {
	references, err := f.ListReferences()
	if err != nil {
		return err
	}
	faulty := 0
	for _, r := range references {
		if r.Coverage > 0 {
			faulty++
		}
	}
	if p.Drawn = len(references); p.Drawn > 0 {
		p.FaultyShare = float64(faulty) / float64(p.Drawn)
	}
	return nil
}

// folderBytes is the size of all files in a folder.
func folderBytes(dir string) (sum int64) {
	_ = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return nil //nolint:nilerr // a missing folder is empty
		}
		if info, err := d.Info(); err == nil {
			sum += info.Size()
		}
		return nil
	})
	return sum
}

func printPlan(out io.Writer, p planned, c core.Config) error {
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	if p.Memory != nil {
		size := func(n int64) string { return fmt.Sprintf("%.1f GiB", float64(n)/gib) }
		fmt.Fprintf(t, "GPU memory\t%s\twith %s for CUDA itself and %.0f %% lost between tensors\n", size(p.Total), size(contextBytes), 100*(fragmentation-1))
		for _, row := range []struct {
			name  string
			bytes int64
		}{
			{"loading", p.Memory.Loading},
			{"weights", p.Memory.Weights},
			{"references", p.Memory.Phases.References},
			{"sampling", p.Memory.Phases.Sample},
			{"decoding", p.Memory.Phases.Decode},
			{"rewards", p.Memory.Phases.Reward},
			{"gradients", p.Memory.Phases.Backward},
		} {
			fmt.Fprintf(t, "  %s\t%s\t\n", row.name, size(row.bytes))
		}
	}
	fmt.Fprintf(t, "images\t%d\t%d steps of %d; %d references are drawn once\n", p.Images, c.Train.Steps, c.Train.Batch*c.Train.Accumulate, p.References)
	if p.StepSeconds > 0 {
		fmt.Fprintf(t, "time\t%s\t%.1f s a step\n", time.Duration(p.Seconds*float64(time.Second)).Round(time.Second), p.StepSeconds)
		fmt.Fprintf(t, "disk\t%.1f MB\t\n", float64(p.DiskBytes)/1e6)
		fmt.Fprintf(t, "faulty\t%.0f %%\tof %d references\n", 100*p.FaultyShare, p.Drawn)
	}
	if len(p.Settings) > 0 {
		fmt.Fprintf(t, "fits with\t%s\t\n", "--set "+strings.Join(p.Settings, " --set "))
	}
	return t.Flush()
}

// refuseUnfit is the reason why a run cannot fit into the GPU that it will use; nil where it does, or where that
// cannot be told.
func refuseUnfit(ctx context.Context, preset string, c core.Config, total int64) error {
	if total == 0 || c.Model.Device == "cpu" || c.Model.Path == scenes.BuiltinName {
		return nil
	}
	n, err := measureNeed(ctx, c)
	if err != nil || needed(n) <= total {
		return nil //nolint:nilerr // the engine will say what is wrong
	}
	return hintedError{
		fmt.Errorf("a step takes %.1f GiB of GPU memory, and the GPU has %.1f", float64(needed(n))/gib, float64(total)/gib),
		fmt.Sprintf("focusnfix plan %s --no-probe --fit %.0fGiB, with the same settings, chooses others that fit", preset, math.Floor(float64(total)/gib)),
	}
}

// gpuMemory is the memory of the first visible GPU in bytes, as its driver says; 0 without one.
func gpuMemory(ctx context.Context) int64 {
	gpus, err := engine.GPUs(ctx)
	if err != nil || len(gpus) == 0 || math.IsNaN(gpus[0].TotalMiB) {
		return 0
	}
	return int64(gpus[0].TotalMiB) << 20
}
