package cmd

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"focusnfix/core/run"
	"focusnfix/model/scenes"
	"focusnfix/presets"
)

// completer answers the tab key of a shell.
type completer = cobra.CompletionFunc

const noFiles = cobra.ShellCompDirectiveNoFileComp

// completeRuns offers the names of up to n runs; 0 is any number.
func completeRuns(runs *runsFlag, n int) completer {
	return func(_ *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if n > 0 && len(args) >= n {
			return nil, noFiles
		}
		return runNames(runs.dir()), noFiles
	}
}

func runNames(dir string) (names []cobra.Completion) {
	list, err := run.List(dir)
	if err != nil {
		return nil
	}
	for _, r := range list {
		if r.Err == nil {
			names = append(names, cobra.CompletionWithDesc(r.Name(), fmt.Sprintf("%s, step %d of %d", stateOf(r), stepOf(r), r.Info.Steps)))
		}
	}
	return names
}

// completePresets offers presets; files of the user's own are completed by the shell where none fits.
func completePresets(_ *cobra.Command, args []string, word string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, noFiles
	}
	var names []cobra.Completion
	for _, name := range presets.Names() {
		if strings.HasPrefix(name, word) {
			names = append(names, cobra.CompletionWithDesc(name, presets.Summary(name)))
		}
	}
	return names, cobra.ShellCompDirectiveDefault
}

// completeSettings offers the keys of the preset that is chosen, as "key=".
func (t *trainFlags) completeSettings(_ *cobra.Command, args []string, word string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if key, _, found := strings.Cut(word, "="); found {
		return t.completeValue(key, args), noFiles
	}
	config, _, err := runConfig(t.chosen(args), nil)
	if err != nil {
		return nil, noFiles
	}
	var keys []cobra.Completion
	for _, k := range config.Keys() {
		doc, _, _ := strings.Cut(k.Doc, "\n")
		keys = append(keys, cobra.CompletionWithDesc(k.Name+"=", doc))
	}
	return keys, noFiles | cobra.ShellCompDirectiveNoSpace
}

// completeValue offers the words that a key may be.
func (t *trainFlags) completeValue(key string, args []string) (values []cobra.Completion) {
	config, _, err := runConfig(t.chosen(args), nil)
	if err != nil {
		return nil
	}
	for _, k := range config.Keys() {
		if k.Name == key {
			for _, option := range k.Options {
				values = append(values, key+"="+option)
			}
		}
	}
	return values
}

// completeCheckpoints offers the steps of the checkpoints of the run that is the first argument.
func completeCheckpoints(runs *runsFlag) completer {
	return func(_ *cobra.Command, args []string, _ string) (steps []cobra.Completion, _ cobra.ShellCompDirective) {
		name := ""
		if len(args) > 0 {
			name = args[0]
		}
		f, err := run.Find(runs.dir(), name)
		if err != nil {
			return nil, noFiles
		}
		all, err := f.Checkpoints()
		if err != nil {
			return nil, noFiles
		}
		for _, c := range all {
			steps = append(steps, fmt.Sprint(c.Step))
		}
		return steps, noFiles
	}
}

// completeModels offers the shipped model, diffusers folders, .safetensors files and the folders on the way to
// them.
func completeModels(_ *cobra.Command, _ []string, word string) (models []cobra.Completion, _ cobra.ShellCompDirective) {
	if name := scenes.BuiltinName; strings.HasPrefix(name, word) {
		models = append(models, cobra.CompletionWithDesc(name, "the shipped model"))
	}
	found, err := filepath.Glob(word + "*")
	if err != nil {
		return models, noFiles
	}
	open := false
	for _, path := range found {
		info, err := os.Stat(path)
		switch {
		case err != nil:
		case !info.IsDir() && strings.HasSuffix(path, ".safetensors"):
			models = append(models, path)
		case info.IsDir() && isModel(path):
			models = append(models, path)
		case info.IsDir():
			models, open = append(models, path+"/"), true
		}
	}
	if open {
		return models, noFiles | cobra.ShellCompDirectiveNoSpace
	}
	return models, noFiles
}

// isModel reports whether a folder is a diffusers one.
func isModel(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, "model_index.json"))
	return err == nil
}

// completeFlag sets what a flag is completed with.
func completeFlag(c *cobra.Command, flag string, f completer) {
	if err := c.RegisterFlagCompletionFunc(flag, f); err != nil {
		panic(err) // the flag was renamed
	}
}

// fixedWords completes a flag with fixed words.
func fixedWords(all ...string) completer { return cobra.FixedCompletions(all, noFiles) }
