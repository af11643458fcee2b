package cmd

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"focusnfix/core/engine"
	"focusnfix/core/run"
	"focusnfix/core/train"
	"focusnfix/model/weights"
)

func newExport() *cobra.Command {
	var runs runsFlag
	var format, out string
	var step int
	var strength float64
	c := &cobra.Command{
		Use:   "export RUN -o FILE",
		Short: "Write a run's LoRA weights for other programs",
		Long: "Write the LoRA weights of a run's newest checkpoint to a file: with the names of diffusers and peft, or with " +
			"those of kohya, which web interfaces and ComfyUI read; of Stable Diffusion 3.x and Z-Image also with those of ComfyUI. The header says what they were trained from, and the file is " +
			"read back and compared. " + runHelp,
		Example: `  focusnfix export 3aym -o fix.safetensors
  focusnfix export 3aym --format kohya --checkpoint 40 -o fix.safetensors`,
		Args: takes("RUN"), ValidArgsFunction: completeRuns(&runs, 1),
		RunE: func(c *cobra.Command, args []string) error {
			dialect := weights.Dialect(format)
			if !slices.Contains([]weights.Dialect{weights.PEFT, weights.Kohya, weights.ComfyUI}, dialect) {
				return usageError{fmt.Errorf("--format %s: want peft, kohya or comfyui", format)}
			}
			if !strings.HasSuffix(out, ".safetensors") {
				return usageError{fmt.Errorf("-o %q: want a name that ends in .safetensors", out)}
			}
			if !(strength > 0 && strength <= maxStrength) {
				return usageError{fmt.Errorf("--strength %g: want more than 0, at most %g", strength, float64(maxStrength))}
			}
			f, err := run.Find(runs.dir(), args[0])
			if err != nil {
				return err
			}
			checkpoint, err := chooseCheckpoint(f, step)
			if err != nil {
				return err
			}
			if err := export(f, checkpoint, out, dialect, strength); err != nil {
				return err
			}
			fmt.Fprintf(c.OutOrStdout(), "%s: %s of %s\n", out, checkpointName(checkpoint), f.Name())
			return nil
		},
	}
	runs.add(c)
	f := c.Flags()
	f.StringVar(&format, "format", string(weights.PEFT), "use the tensor names of `FORMAT`: peft, kohya, or of transformers comfyui")
	f.StringVarP(&out, "out", "o", "", "write `FILE`.safetensors")
	f.IntVar(&step, "checkpoint", 0, "export the checkpoint of step `N` (default: the newest)")
	f.Float64Var(&strength, "strength", 1, strengthHelp)
	completeFlag(c, "format", fixedWords("peft", "kohya", "comfyui"))
	completeFlag(c, "checkpoint", completeCheckpoints(&runs))
	return c
}

func export(f run.Folder, c run.Checkpoint, out string, dialect weights.Dialect, strength float64) error {
	info, err := f.Info()
	if err != nil {
		return err
	}
	config, err := f.Config()
	if err != nil {
		return err
	}
	made, err := os.Stat(train.LoRAFile(c.Dir))
	if err != nil {
		return err
	}
	return engine.Export(c.Dir, out, dialect, engine.Origin{
		Program: "focusnfix " + version, Run: f.Name(), Preset: info.Preset, ModelHash: info.ModelHash,
		Step: c.Step, Strength: strength, Started: info.Created, Finished: made.ModTime(), Config: config,
	})
}

func checkpointName(c run.Checkpoint) string { return fmt.Sprintf("step %d", c.Step) }

// chooseCheckpoint is a run's checkpoint of a step, or its newest for 0.
func chooseCheckpoint(f run.Folder, step int) (run.Checkpoint, error) {
	all, err := f.Checkpoints()
	if err != nil {
		return run.Checkpoint{}, err
	}
	if len(all) == 0 {
		return run.Checkpoint{}, hintedError{
			errors.New(f.Name() + ": no checkpoint yet"),
			"train.checkpoint_every says how often one is saved; focusnfix stop saves one now",
		}
	}
	if step == 0 {
		return all[len(all)-1], nil
	}
	var steps []string
	for _, c := range all {
		if c.Step == step {
			return c, nil
		}
		steps = append(steps, fmt.Sprint(c.Step))
	}
	return run.Checkpoint{}, fmt.Errorf("%s: no checkpoint of step %d, want one of %s", f.Name(), step, strings.Join(steps, ", "))
}
