package engine

import (
	"path/filepath"
	"slices"
	"strings"

	"focusnfix/core"
	"focusnfix/model/reward"
	"focusnfix/model/sd"
	"focusnfix/presets"
)

// Named is a file or folder that a configuration names and that does not come with the program.
type Named struct {
	Key  string // "reward.violence.model"
	Path string
	Code bool // a TorchScript file: a program, which runs when it is loaded
}

// Names lists what a configuration names outside of the program.
func Names(c core.Config) (all []Named) {
	Rename(c, func(n Named) string {
		all = append(all, n)
		return n.Path
	})
	return all
}

// Resolve is a configuration whose relative paths lead from a folder: that in which the run was started.
func Resolve(c core.Config, start string) core.Config {
	if start == "" {
		return c
	}
	return Rename(c, func(n Named) string {
		if filepath.IsAbs(n.Path) {
			return n.Path
		}
		return filepath.Join(start, n.Path)
	})
}

// Rename is a configuration in which each file or folder has the path that change gives it.
func Rename(c core.Config, change func(Named) string) core.Config {
	if c.Model.Path != "" && !strings.HasPrefix(c.Model.Path, "builtin:") {
		c.Model.Path = change(Named{Key: "model.path", Path: c.Model.Path})
	}
	if c.Model.Config != "" {
		c.Model.Config = change(Named{Key: "model.config", Path: c.Model.Config})
	}
	if p := c.Sample.Preview; p != "" && p != sd.OwnDecoder {
		c.Sample.Preview = change(Named{Key: "sample.preview", Path: p})
	}
	if c.Train.Prompts != "" && !slices.Contains(presets.PromptLists(), c.Train.Prompts) {
		c.Train.Prompts = change(Named{Key: "train.prompts", Path: c.Train.Prompts})
	}
	c.Reward = slices.Clone(c.Reward)
	for i := range c.Reward {
		r := &c.Reward[i]
		r.Model = reward.MapPaths(r.Model, func(path string, code bool) string {
			return change(Named{"reward." + r.Aspect + ".model", path, code})
		})
		r.HeldOut = reward.MapPaths(r.HeldOut, func(path string, code bool) string {
			return change(Named{"reward." + r.Aspect + ".held_out", path, code})
		})
	}
	return c
}
