package cmd

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

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
	checkpoint      int
	pictures, shown int
	asJSON          bool
	trust           trustFlag
}

func newEval() *cobra.Command {
	var e evalFlags
	c := &cobra.Command{
		Use:   "eval RUN",
		Short: "Compare the tuned with the base model on held-out prompts",
		Long: "Draw held-out prompts with the base model until there are enough faulty images, then with a run's newest " +
			"checkpoint, and report what became of the faults and of the rest. Nothing is trained. The table goes to the " +
			"terminal; the numbers as JSON and a sheet of images go to the run's folder. " + runHelp + "\n\n" +
			"--against compares with another run at an equal share of fixed faults: with the one of its checkpoints that " +
			"fixes as many. \"draft\" is the newest run of the same preset without the region term.",
		Example: `  focusnfix eval 3aym
  focusnfix eval 3aym --against draft --pictures 50 -o results`,
		Args: takes("RUN"), ValidArgsFunction: completeRuns(&e.runs, 1),
		RunE: func(c *cobra.Command, args []string) error {
			if e.pictures < 1 || e.shown < 1 {
				return usageError{fmt.Errorf("--pictures %d --show %d: want 1 or more", e.pictures, e.shown)}
			}
			return e.run(c, args[0])
		},
	}
	e.runs.add(c)
	e.trust.add(c)
	f := c.Flags()
	f.StringVar(&e.against, "against", "", "compare with another `RUN`, or with draft")
	f.IntVar(&e.checkpoint, "checkpoint", 0, "evaluate the checkpoint of step `N` (default: the newest)")
	f.IntVar(&e.pictures, "pictures", 100, "draw until `N` base images are faulty")
	f.IntVar(&e.shown, "show", 8, "show `N` images on the sheet")
	f.StringVarP(&e.out, "out", "o", "", "write the JSON file and the sheet to `DIR` (default: the run's folder)")
	f.BoolVar(&e.asJSON, "json", false, "print JSON instead of the table")
	completeFlag(c, "checkpoint", completeCheckpoints(&e.runs))
	completeFlag(c, "against", completeRuns(&e.runs, 0))
	return c
}

func (e *evalFlags) run(c *cobra.Command, name string) error {
	compare, err := e.prepare(name)
	if err == nil {
		err = e.trust.opensRun(c, compare.Run)
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
	fmt.Fprintf(c.OutOrStdout(), "\nnumbers: %s\nsheet:   %s\n         base, heat, mask; of each run its image and the difference from base, times %d\n", saved[0], saved[1], sheetGain)
	return nil
}

// prepare finds the runs and their checkpoints.
func (e *evalFlags) prepare(name string) (c engine.Compare, err error) {
	c.Pictures, c.Shown = e.pictures, e.shown
	if c.Run, err = run.Find(e.runs.dir(), name); err != nil {
		return c, err
	}
	if c.Checkpoint, err = chooseCheckpoint(c.Run, e.checkpoint); err != nil {
		return c, err
	}
	if e.against == "" {
		return c, nil
	}
	other, err := e.findOther(c.Run)
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
	var picture bytes.Buffer
	if err := core.WritePNG(&picture, sheet(result.Rows)); err != nil {
		return nil, err
	}
	name := fmt.Sprintf("evaluation-step-%06d", c.Checkpoint.Step)
	if c.Against != nil {
		name += "-against-" + c.Against.Name()
	}
	dir, write := c.Run.Dir, c.Run.WriteFile
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
