package cmd

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"focusnfix/core"
	"focusnfix/core/engine"
	"focusnfix/core/eval"
	"focusnfix/core/run"
)

// evalFlags are the flags of `focusnfix eval`.
type evalFlags struct {
	runs            runsFlag
	against, out    string
	prompts         string
	checkpoint      int
	pictures, shown int
	strength        float64
	every, asJSON   bool
	trust           trustFlag
}

func newEval() *cobra.Command {
	var e evalFlags
	c := &cobra.Command{
		Use:   "eval RUN...",
		Short: "Compare tuned models with the base model on held-out prompts",
		Long: "Draw held-out prompts with the base model until there are enough faulty images, then with a run's newest " +
			"checkpoint, and report what became of the faults and of the rest, with 95 % confidence intervals. Nothing is " +
			"trained. The table goes to the terminal; the numbers as JSON and a labeled sheet of images go to the first run's " +
			"folder. Several runs, usually seeds of one training, are compared on the same images and summed up. " + runHelp + "\n\n" +
			"--against compares with another run at an equal share of fixed faults, interpolated between its checkpoints. " +
			"\"draft\" is the newest run of the same preset without the region term.",
		Example: `  focusnfix eval 3aym
  focusnfix eval 3aym k2xv p71c
  focusnfix eval 3aym --against draft --pictures 50 -o results
  focusnfix eval 3aym --prompts hpdv2-test.txt --every`,
		Args: takes("RUN..."), ValidArgsFunction: completeRuns(&e.runs, 0),
		RunE: func(c *cobra.Command, args []string) error {
			if e.every && c.Flags().Changed("pictures") {
				return usageError{errors.New("--every and --pictures: want one of them")}
			}
			if e.pictures < 1 || e.shown < 1 {
				return usageError{fmt.Errorf("--pictures %d --show %d: want 1 or more", e.pictures, e.shown)}
			}
			if !(e.strength > 0 && e.strength <= maxStrength) {
				return usageError{fmt.Errorf("--strength %g: want more than 0, at most %g", e.strength, float64(maxStrength))}
			}
			return e.run(c, args)
		},
	}
	e.runs.add(c)
	e.trust.add(c)
	f := c.Flags()
	f.StringVar(&e.against, "against", "", "compare with another `RUN`, or with draft")
	f.IntVar(&e.checkpoint, "checkpoint", 0, "evaluate the checkpoint of step `N` (default: the newest)")
	f.Float64Var(&e.strength, "strength", 1, strengthHelp)
	f.IntVar(&e.pictures, "pictures", 100, "draw until `N` base images are faulty")
	f.BoolVar(&e.every, "every", false, "draw every prompt once, and count all images, faulty or not: the table of a benchmark")
	f.StringVar(&e.prompts, "prompts", "", "draw the prompts of `FILE`, one per line, or a list's held-out ones (default: the run's)")
	f.IntVar(&e.shown, "show", 8, "show `N` images on the sheet")
	f.StringVarP(&e.out, "out", "o", "", "write the JSON file and the sheet to `DIR` (default: the first run's folder)")
	f.BoolVar(&e.asJSON, "json", false, "print JSON instead of the table")
	completeFlag(c, "checkpoint", completeCheckpoints(&e.runs))
	completeFlag(c, "against", completeRuns(&e.runs, 0))
	return c
}

// maxStrength is the largest strength of LoRA weights that a flag may ask for.
const maxStrength = 4

const strengthHelp = "scale the run's LoRA weights by `S`: 1 is as trained, less fixes and changes less"

func (e *evalFlags) run(c *cobra.Command, names []string) error {
	compare, err := e.prepare(names)
	if err == nil { // of the others nothing but LoRA weights is opened
		err = e.trust.opensRun(c, compare.Runs[0].Run)
	}
	if err != nil {
		return err
	}
	bars := map[string]*progress{}
	compare.Warn = warnTo(c.ErrOrStderr())
	compare.Progress = func(what string, done, of int) {
		if bars[what] == nil {
			bars[what] = newProgress(c.ErrOrStderr(), what)
		}
		bars[what].show(done, of)
	}
	result, err := compare.Do(c.Context())
	if err != nil {
		return err
	}
	result.Prompts = e.prompts
	text, err := json.MarshalIndent(result, "", "  ")
	if err != nil {
		return err
	}
	saved, err := e.save(compare, result, text)
	if err != nil {
		return err
	}
	if e.asJSON {
		_, err = fmt.Fprintln(c.OutOrStdout(), string(text))
		return err
	}
	printComparison(c.OutOrStdout(), result)
	fmt.Fprintf(c.OutOrStdout(), "\nnumbers: %s\nsheet:   %s\n", saved[0], saved[1])
	return nil
}

// prepare finds the runs and their checkpoints.
func (e *evalFlags) prepare(names []string) (c engine.Compare, err error) {
	c.Pictures, c.Every, c.Shown, c.Strength = e.pictures, e.every, e.shown, e.strength
	if e.prompts != "" {
		if c.Prompts, err = engine.ReadPrompts(e.prompts); err != nil {
			return c, fmt.Errorf("--prompts: %w", err)
		}
	}
	for _, name := range names {
		f, err := run.Find(e.runs.dir(), name)
		if err != nil {
			return c, err
		}
		checkpoint, err := chooseCheckpoint(f, e.checkpoint)
		if err != nil {
			return c, err
		}
		c.Runs = append(c.Runs, engine.Tuned{Run: f, Checkpoint: checkpoint})
	}
	if e.against == "" {
		return c, nil
	}
	other, err := e.findOther(c.Runs[0].Run)
	if err != nil {
		return c, err
	}
	_, err = chooseCheckpoint(other, 0)
	c.Against = &other
	return c, err
}

func (e *evalFlags) findOther(f run.Folder) (run.Folder, error) {
	if e.against != "draft" {
		return run.Find(e.runs.dir(), e.against)
	}
	info, err := f.Info()
	if err != nil {
		return run.Folder{}, err
	}
	other, err := engine.FindDraft(e.runs.dir(), info.Preset)
	if err != nil {
		return other, hintedError{err, fmt.Sprintf("focusnfix train -p %s --set region.weight=0 makes one", info.Preset)}
	}
	return other, nil
}

// save writes the numbers and the sheet, and gives their files' names.
func (e *evalFlags) save(c engine.Compare, result *eval.Comparison, text []byte) (saved []string, err error) {
	first := c.Runs[0]
	var picture bytes.Buffer
	if err := core.WritePNG(&picture, sheet(result)); err != nil {
		return nil, err
	}
	name := fmt.Sprintf("evaluation-step-%06d", first.Checkpoint.Step)
	if c.Strength != 1 && c.Strength != 0 {
		name += fmt.Sprintf("-strength-%g", c.Strength)
	}
	if e.prompts != "" {
		name += "-on-" + strings.TrimSuffix(filepath.Base(e.prompts), filepath.Ext(e.prompts))
	}
	for _, t := range c.Runs[1:] {
		name += "-with-" + t.Run.Name()
	}
	if c.Against != nil {
		name += "-against-" + c.Against.Name()
	}
	dir, write := first.Run.Dir, first.Run.WriteFile
	if e.out != "" {
		dir = e.out
		write = func(name string, data []byte) error { return os.WriteFile(filepath.Join(dir, name), data, 0o644) }
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return nil, err
		}
	}
	for _, file := range []struct {
		ending string
		data   []byte
	}{{".json", append(text, '\n')}, {".png", picture.Bytes()}} {
		if err := write(name+file.ending, file.data); err != nil {
			return saved, err
		}
		saved = append(saved, filepath.Join(dir, name+file.ending))
	}
	return saved, nil
}
