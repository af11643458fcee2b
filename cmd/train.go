package cmd

import (
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

func (t *trainFlags) add(c *cobra.Command) {
	f := c.Flags()
	f.StringVarP(&t.preset, "preset", "p", presets.Default, "a preset's name, or a TOML file like one")
	f.IntVar(&t.steps, "steps", 0, "updates of the weights, as --set train.steps=N")
	f.StringArrayVar(&t.sets, "set", nil, "a setting as key=value; may be repeated")
	f.StringVar(&t.dir, "run", "", "the run's folder, new or empty (default: a new one in --runs)")
	f.BoolVar(&t.tensorBoard, "tensorboard", false, "write event files for TensorBoard too")
	t.runs.add(c)
}

// settings are --set and what other flags stand for.
func (t *trainFlags) settings(c *cobra.Command) []string {
	sets := slices.Clone(t.sets)
	if c.Flags().Changed("steps") {
		sets = append(sets, fmt.Sprintf("train.steps=%d", t.steps))
	}
	return sets
}

// create makes the folder of a new run.
func (t *trainFlags) create(c *cobra.Command) (run.Folder, error) {
	config, name, err := runConfig(t.preset, t.settings(c))
	if err != nil {
		return run.Folder{}, err
	}
	agree(engine.Names(config))
	info := run.Info{Preset: name, Version: version, Model: config.Model.Path}
	if t.dir == "" {
		return run.Create(t.runs.dir(), info, config)
	}
	f, err := run.CreateAt(t.dir, info, config)
	if err != nil {
		err = hintedError{err, "--resume goes on with a run"}
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
		layer.Text, err = os.ReadFile(preset)
	} else {
		layer.Text, err = presets.Read(preset)
	}
	if err != nil {
		return c, name, usageError{err}
	}
	layers := []core.Layer{layer}
	switch text, err := os.ReadFile(configFile); {
	case err == nil:
		layers = append(layers, core.Layer{Name: configFile, Text: text})
	case !errors.Is(err, os.ErrNotExist):
		return c, name, err
	}
	if c, err = core.Load(layers, sets); err != nil {
		return c, name, usageError{err}
	}
	return c, name, nil
}

func newTrain() *cobra.Command {
	t := new(trainFlags)
	var resume string
	var asJSON bool
	c := &cobra.Command{
		Use:   "train",
		Short: "Train a model to repair a fault, here and now",
		Long: "Train in the foreground. Ctrl-C writes a checkpoint and ends; a second one ends at once. Everything is kept\n" +
			"in the run's folder: attach, ls, stop and the screen work on it meanwhile.",
		Example: `  focusnfix train -p violence
  focusnfix train -p mine.toml --steps 100 --set region.weight=20
  focusnfix train --resume 2026-11-23-violence-k3f9`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			group, err := t.join(c, resume)
			if err != nil {
				return err
			}
			if group != nil {
				defer group.Close()
			}
			if group != nil && group.Rank > 0 {
				return t.follow(c, resume, group)
			}
			f, err := t.folder(c, resume)
			if err != nil {
				return err
			}
			return trainHere(c, f, engine.Options{Group: group, TensorBoard: t.tensorBoard}, asJSON)
		},
	}
	t.add(c)
	t.trust.add(c)
	c.Flags().StringVar(&resume, "resume", "", "go on with a run: its name, a part of it that no other has, or its folder")
	c.Flags().BoolVar(&asJSON, "json", false, "events on the standard output, one JSON object a line")
	return c
}

// folder is that of a new run, or of one to go on with, whose settings are changed as flags say.
func (t *trainFlags) folder(c *cobra.Command, resume string) (run.Folder, error) {
	if resume == "" {
		return t.create(c)
	}
	f, err := t.find(c, resume)
	if err != nil {
		return f, err
	}
	config, err := t.resumed(c, f)
	if err == nil {
		err = t.trust.opens(c, f, config)
	}
	if err == nil {
		err = retire(c.Context(), f)
	}
	if err != nil {
		return f, err
	}
	return f, changeConfig(f, t.settings(c))
}

// retire ends an engine that only answers for a run, so that its training can go on elsewhere.
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
		return errors.Join(err, fmt.Errorf("%s: another engine works on this run; focusnfix stop ends it", f.Name()))
	}
	if err := client.Stop(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	_, _, err = ended(ctx, f)
	return err
}

// resumed is the configuration that a run is to go on with, with paths that lead from anywhere.
func (t *trainFlags) resumed(c *cobra.Command, f run.Folder) (core.Config, error) {
	info, err := f.Info()
	if err != nil {
		return core.Config{}, err
	}
	config, err := changedConfig(f, t.settings(c))
	return engine.Resolve(config, info.Start), err
}

// changeConfig changes settings of a run that nobody works on.
func changeConfig(f run.Folder, sets []string) error {
	if len(sets) == 0 {
		return nil
	}
	config, err := changedConfig(f, sets)
	if err != nil {
		return err
	}
	info, err := f.Info()
	if err != nil {
		return err
	}
	if slices.ContainsFunc(sets, func(set string) bool { return strings.HasPrefix(strings.TrimSpace(set), "train.prompts=") }) {
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
	if err := config.Validate(); err != nil {
		return config, usageError{err}
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
func trainHere(c *cobra.Command, f run.Folder, o engine.Options, asJSON bool) error {
	config, err := f.Config()
	if err != nil {
		return err
	}
	report := newReport(c.ErrOrStderr(), config.Train.Steps)
	if asJSON {
		report.events = c.OutOrStdout()
	}
	fmt.Fprintln(c.ErrOrStderr(), core.Clean(f.Dir))
	o.Folder, o.Version, o.OnEvent, o.Warn = f, version, report.event, report.warn
	err = engine.Run(c.Context(), o)
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
		fmt.Fprintf(c.ErrOrStderr(), "hint:  focusnfix train --resume %s goes on\n", core.Clean(f.Dir))
	}
	return nil
}
