package cmd

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"focusnfix/core"
)

// takes checks the arguments of a command against their names: "RUN" must be there, "[RUN]" may be, and "FILE..."
// may come more than once.
func takes(names ...string) cobra.PositionalArgs {
	least, most := 0, len(names)
	for _, name := range names {
		if !strings.HasPrefix(name, "[") {
			least++
		}
		if strings.HasSuffix(name, "...") {
			most = 1 << 20
		}
	}
	return func(c *cobra.Command, args []string) error {
		switch {
		case len(args) < least:
			return fmt.Errorf("%s is missing", strings.TrimSuffix(names[len(args)], "..."))
		case len(args) > most && most == 0:
			return fmt.Errorf("unexpected argument %q; %s takes none", args[0], c.CommandPath())
		case len(args) > most:
			return fmt.Errorf("unexpected argument %q after %s", args[most], names[most-1])
		}
		return nil
	}
}

// commandExists is the argument check of the root: whatever is left there is a command that does not exist.
func commandExists(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	var names []string
	for _, sub := range c.Commands() {
		if sub.IsAvailableCommand() {
			names = append(names, sub.Name())
		}
	}
	return fmt.Errorf("no command %q%s", args[0], core.DidYouMean(args[0], names))
}

// flagError adds to an unknown flag the one that was perhaps meant.
func flagError(c *cobra.Command, err error) error {
	unknown, found := strings.CutPrefix(err.Error(), "unknown flag: --")
	if !found {
		return err
	}
	var names []string
	c.Flags().VisitAll(func(f *pflag.Flag) {
		if !f.Hidden {
			names = append(names, f.Name)
		}
	})
	if best := core.Closest(unknown, names); best != "" {
		return fmt.Errorf("%w; did you mean --%s?", err, best)
	}
	return err
}
