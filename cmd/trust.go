package cmd

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"focusnfix/core"
	"focusnfix/core/engine"
	"focusnfix/core/run"
)

// trustFlag is the agreement to what a run's configuration names outside of the program: the folder may be
// a stranger's. What a command line has named before is not asked about; the rest is, once.
type trustFlag bool

func (t *trustFlag) add(c *cobra.Command) {
	c.Flags().BoolVar((*bool)(t), "trust", false, "open the model, prompts and TorchScript files that the run names, without asking")
}

// opens asks, at a terminal, before a run is worked on; c is nil where nobody can be asked. Paths in the
// configuration are absolute.
func (t trustFlag) opens(c *cobra.Command, f run.Folder, config core.Config) error {
	trust, err := engine.UserTrust()
	if err != nil {
		return err
	}
	unknown, err := trust.Unknown(engine.Names(config))
	if err != nil || len(unknown) == 0 {
		return err
	}
	if bool(t) || c != nil && ask(c, f, unknown) {
		return trust.Add(unknown)
	}
	var names []string
	for _, n := range unknown {
		names = append(names, describe(n))
	}
	return hintedError{
		fmt.Errorf("%s opens what you have not named before: %s", f.Name(), strings.Join(names, "; ")),
		"if the run is yours, or you trust who sent it, add --trust once",
	}
}

// opensRun is opens with the run's own configuration.
func (t trustFlag) opensRun(c *cobra.Command, f run.Folder) error {
	config, err := resolvedConfig(f)
	if err != nil {
		return err
	}
	return t.opens(c, f, config)
}

// before does something with a run on the screen, if the user has agreed to what the run names.
func (t trustFlag) before(do func(context.Context, run.Folder) error) func(context.Context, run.Folder) error {
	return func(ctx context.Context, f run.Folder) error {
		if err := t.opensRun(nil, f); err != nil {
			return err
		}
		return do(ctx, f)
	}
}

// resolvedConfig is a run's configuration with paths that lead from anywhere.
func resolvedConfig(f run.Folder) (core.Config, error) {
	info, err := f.Info()
	if err != nil {
		return core.Config{}, err
	}
	config, err := f.Config()
	return engine.Resolve(config, info.Start), err
}

func describe(n engine.Named) string {
	text := n.Key + " = " + core.Clean(n.Path)
	if n.Code {
		text += " (TorchScript: a program, which will run)"
	}
	return text
}

// ask asks a person at a terminal; where there is none the answer is no.
func ask(c *cobra.Command, f run.Folder, unknown []engine.Named) bool {
	if c.InOrStdin() != os.Stdin || !isTerminal(os.Stdin) || !isTerminal(c.ErrOrStderr()) {
		return false
	}
	fmt.Fprintf(c.ErrOrStderr(), "%s opens what you have not named before:\n", f.Name())
	for _, n := range unknown {
		fmt.Fprintln(c.ErrOrStderr(), "  "+describe(n))
	}
	fmt.Fprint(c.ErrOrStderr(), "Open it? This is asked once. [y/N] ")
	answer, err := bufio.NewReader(c.InOrStdin()).ReadString('\n')
	return err == nil && strings.HasPrefix(strings.ToLower(strings.TrimSpace(answer)), "y")
}

// agree remembers what a command line names. Where that cannot be kept, the run is asked about later.
func agree(names []engine.Named) {
	if trust, err := engine.UserTrust(); err == nil {
		_ = trust.Add(names)
	}
}
