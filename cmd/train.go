package cmd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"focusnfix/core"
	"focusnfix/core/engine"
	"focusnfix/core/run"
	"focusnfix/presets"
)

// configFile is read where the program is started, over the preset.
const configFile = "config.toml"

// trainFlags are the flags of train and start.
type trainFlags struct {
	preset, dir string
	runs        runsFlag
	steps       int
	sets        []string
	tensorBoard bool
	trust       trustFlag // of train, for --resume
}

// presetArg says what the argument of train and start may be.
const presetArg = "PRESET is a name that focusnfix presets lists, or a TOML file like one; without it, " + presets.Default + "."

func (t *trainFlags) add(c *cobra.Command) {
	f := c.Flags()
	f.StringVarP(&t.preset, "preset", "p", "", "the same as the argument `PRESET`")
	f.IntVar(&t.steps, "steps", 0, "train for `N` steps; the same as --set train.steps=N")
	f.StringArrayVar(&t.sets, "set", nil, "set `KEY=VALUE`; can be repeated")
	f.StringVar(&t.dir, "run", "", "put the run in `DIR`, new or empty (default: a new folder in --runs)")
	f.BoolVar(&t.tensorBoard, "tensorboard", false, "write TensorBoard event files, too")
	t.runs.add(c)
	completeFlag(c, "preset", completePresets)
	completeFlag(c, "set", t.completeSettings)
}

// chosen is the preset: the argument, --preset, or the default.
func (t *trainFlags) chosen(args []string) string {
	if len(args) > 0 {
		return args[0]
	}
	return cmp.Or(t.preset, presets.Default)
}

// settings are --set and what other flags stand for.
func (t *trainFlags) settings(c *cobra.Command) []string {
	sets := slices.Clone(t.sets)
	if c.Flags().Changed("steps") {
		sets = append(sets, fmt.Sprintf("train.steps=%d", t.steps))
	}
	return sets
}

// training is a run to train: its configuration, and the folder it has already if it is resumed.
type training struct {
	config  core.Config // as the run's folder keeps it
	opens   core.Config // the same, with paths that lead from anywhere
	preset  string
	resumed *run.Folder
}

// plan reads the configuration of a new run, or of the one to resume, without making or changing a folder.
func (t *trainFlags) plan(c *cobra.Command, args []string, resume string) (w training, err error) {
	if len(args) > 0 && t.preset != "" {
		return w, usageError{fmt.Errorf("%s and --preset %s: want one preset", args[0], t.preset)}
	}
	if resume == "" {
		w.config, w.preset, err = runConfig(t.chosen(args), t.settings(c))
		w.opens = w.config
		return w, err
	}
	if len(args) > 0 || t.preset != "" || t.dir != "" {
		return w, usageError{errors.New("--resume takes the run's own preset and folder; leave out PRESET, --preset and --run")}
	}
	f, err := run.Find(t.runs.dir(), resume)
	if err != nil {
		return w, err
	}
	info, err := f.Info()
	if err != nil {
		return w, err
	}
	w.resumed = &f
	w.config, err = changedConfig(f, t.settings(c))
	w.opens = engine.Resolve(w.config, info.Start)
	return w, err
}

// folder makes the folder of a new run, or takes over the one to resume and changes its settings.
func (t *trainFlags) folder(c *cobra.Command, w training) (run.Folder, error) {
	if w.resumed != nil {
		err := t.trust.opens(c, *w.resumed, w.opens)
		if err == nil {
			err = retire(c.Context(), *w.resumed)
		}
		if err == nil {
			err = keepSettings(*w.resumed, w.config, t.settings(c))
		}
		return *w.resumed, err
	}
	agree(engine.Names(w.config))
	info := run.Info{Preset: w.preset, Version: version, Model: w.config.Model.Path}
	if t.dir == "" {
		return run.Create(t.runs.dir(), info, w.config)
	}
	f, err := run.CreateAt(t.dir, info, w.config)
	if err != nil {
		err = hintedError{err, "--resume resumes a run"}
	}
	return f, err
}

// runConfig is the configuration of a new run: the preset, config.toml in this folder, settings as
// key=value. The preset's name comes with it.
func runConfig(preset string, sets []string) (c core.Config, name string, err error) {
	if c, name, err = loadConfig(preset, sets); err == nil {
		err = requireFiles(c, preset)
	}
	if err != nil {
		return c, name, err
	}
	return c, name, engine.Check(c)
}

// loadConfig is runConfig for files that need not be there yet.
func loadConfig(preset string, sets []string) (c core.Config, name string, err error) {
	layer := core.Layer{Name: "preset " + preset}
	name = strings.TrimSuffix(filepath.Base(preset), ".toml")
	if strings.HasSuffix(preset, ".toml") {
		layer.Name = preset
		if layer.Text, err = os.ReadFile(preset); err != nil {
			err = usageError{err}
		}
	} else {
		layer.Text, err = readPreset(preset)
	}
	if err != nil {
		return c, name, err
	}
	own, err := ownConfig()
	if err != nil {
		return c, name, err
	}
	if c, err = core.Load(append([]core.Layer{layer}, own...), sets); err != nil {
		return c, name, usageError{err}
	}
	return c, name, nil
}

// ownConfig is config.toml in this folder, if there is one.
func ownConfig() ([]core.Layer, error) {
	text, err := os.ReadFile(configFile)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	return []core.Layer{{Name: configFile, Text: text}}, err
}

func newTrain() *cobra.Command {
	t := new(trainFlags)
	var resume string
	var asJSON bool
	c := &cobra.Command{
		Use:   "train [PRESET]",
		Short: "Train in the foreground",
		Long: "Train in the foreground. " + presetArg + " Ctrl-C saves a checkpoint and exits; a second Ctrl-C exits at once. " +
			"Everything is kept in the run's folder: attach, ls, stop and the screen work on it meanwhile.",
		Example: `  focusnfix train violence
  focusnfix train mine.toml --steps 100 --set region.weight=20
  focusnfix train --resume 3aym`,
		Args: takes("[PRESET]"), ValidArgsFunction: completePresets,
		RunE: func(c *cobra.Command, args []string) error {
			w, err := t.plan(c, args, resume)
			if err != nil {
				return err
			}
			group, err := engine.JoinGroup(w.opens)
			if err != nil {
				return err
			}
			if group != nil {
				defer group.Close()
			}
			if group != nil && group.Rank > 0 { // only the first process has the run's folder
				if w.resumed != nil {
					if err := t.trust.opens(nil, *w.resumed, w.opens); err != nil {
						return err
					}
				}
				return engine.Follow(w.opens, group, engine.Options{Warn: warnTo(c.ErrOrStderr())})
			}
			f, err := t.folder(c, w)
			if err != nil {
				return err
			}
			return trainHere(c, f, w.config.Train.Steps, engine.Options{Group: group, TensorBoard: t.tensorBoard}, asJSON)
		},
	}
	t.add(c)
	t.trust.add(c)
	c.Flags().StringVar(&resume, "resume", "", "resume `RUN`, with the settings that --set changes")
	c.Flags().BoolVar(&asJSON, "json", false, "print events, one JSON object a line")
	completeFlag(c, "resume", completeRuns(&t.runs, 0))
	return c
}

// retire ends an engine that only answers for a run, so that its training can be resumed elsewhere.
func retire(ctx context.Context, f run.Folder) error {
	client, err := f.Dial()
	if errors.Is(err, run.ErrNoEngine) {
		return nil
	}
	if err != nil {
		return err
	}
	defer client.Close()
	status, err := client.Status(ctx)
	if err != nil || status.State == run.Running || status.State == run.Paused {
		return errors.Join(err, fmt.Errorf("%s: another engine works on this run; focusnfix stop %s stops it", f.Name(), shortID(f.Name())))
	}
	if err := client.Stop(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	_, _, err = ended(ctx, f)
	return err
}

// keepSettings writes a run's configuration after settings of it were changed, while nobody works on it.
func keepSettings(f run.Folder, config core.Config, sets []string) error {
	if len(sets) == 0 {
		return nil
	}
	if slices.ContainsFunc(sets, func(set string) bool { return strings.HasPrefix(strings.TrimSpace(set), "train.prompts=") }) {
		info, err := f.Info()
		if err != nil {
			return err
		}
		info.PromptsHash = "" // whatever the list is, it is wanted
		if err := f.SetInfo(info); err != nil {
			return err
		}
	}
	return f.SetConfig(config)
}

// changedConfig is a run's configuration with settings changed. What they name lies where the command is
// given, and is agreed to.
func changedConfig(f run.Folder, sets []string) (core.Config, error) {
	config, err := f.Config()
	if err != nil {
		return config, err
	}
	before := engine.Names(config)
	for _, set := range sets {
		name, value, found := strings.Cut(set, "=")
		if !found {
			return config, usageError{fmt.Errorf("--set %s: no value, want key=value", set)}
		}
		if err := config.Set(strings.TrimSpace(name), value); err != nil {
			return config, usageError{fmt.Errorf("--set %w", err)}
		}
	}
	if len(sets) > 0 { // else the folder's own has been validated
		if err := config.Validate(); err != nil {
			return config, usageError{err}
		}
	}
	return engine.Rename(config, func(n engine.Named) string {
		if !slices.Contains(before, n) {
			if path, err := filepath.Abs(n.Path); err == nil {
				n.Path = path
			}
			agree([]engine.Named{n})
		}
		return n.Path
	}), nil
}

// trainHere is the engine of a run in this process.
func trainHere(c *cobra.Command, f run.Folder, steps int, o engine.Options, asJSON bool) error {
	report := newTrainReport(c.ErrOrStderr(), steps)
	if asJSON {
		report.events = c.OutOrStdout()
	}
	fmt.Fprintln(c.ErrOrStderr(), core.Clean(f.Dir))
	tell := newNotifier(f, report.warn)
	o.Folder, o.Version, o.Warn = f, version, report.warn
	o.OnEvent = func(e core.Event) {
		report.event(e)
		tell.event(e)
	}
	err := engine.Run(c.Context(), o)
	tell.end()
	report.end()
	if err != nil {
		return err
	}
	info, err := f.Info()
	if err != nil {
		return err
	}
	fmt.Fprintf(c.ErrOrStderr(), "%s: %s at step %d of %d\n", f.Name(), info.State, info.Step, info.Steps)
	if info.State == run.Stopped {
		fmt.Fprintf(c.ErrOrStderr(), "hint:  focusnfix train --resume %s resumes it\n", core.Clean(f.Dir))
	}
	return nil
}
