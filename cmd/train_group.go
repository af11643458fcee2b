package cmd

import (
	"errors"

	"github.com/spf13/cobra"

	"focusnfix/core"
	"focusnfix/core/engine"
	"focusnfix/core/run"
	"focusnfix/model/torch"
)

// join joins the processes that torchrun, srun or a Kubernetes job started to train together; nil is this
// one alone.
func (t *trainFlags) join(c *cobra.Command, resume string) (*torch.Group, error) {
	config, err := t.config(c, resume)
	if err != nil {
		return nil, err
	}
	return engine.JoinGroup(config)
}

// follow trains with the first of the processes, which alone has the run's folder.
func (t *trainFlags) follow(c *cobra.Command, resume string, g *torch.Group) error {
	config, err := t.config(c, resume)
	if err != nil {
		return err
	}
	if resume != "" {
		f, err := t.find(c, resume)
		if err == nil {
			err = t.trust.opens(nil, f, config)
		}
		if err != nil {
			return err
		}
	}
	return engine.Follow(config, g, engine.Options{Warn: warnTo(c.ErrOrStderr())})
}

// config is what a run is to be trained with, without making or changing one.
func (t *trainFlags) config(c *cobra.Command, resume string) (core.Config, error) {
	if resume == "" {
		config, _, err := runConfig(t.preset, t.settings(c))
		return config, err
	}
	f, err := t.find(c, resume)
	if err != nil {
		return core.Config{}, err
	}
	return t.resumed(c, f)
}

// find finds the run to go on with.
func (t *trainFlags) find(c *cobra.Command, resume string) (run.Folder, error) {
	if c.Flags().Changed("preset") || t.dir != "" {
		return run.Folder{}, usageError{errors.New("--resume goes on with the run's own preset and folder; leave out --preset and --run")}
	}
	return run.Find(t.runs.dir(), resume)
}
