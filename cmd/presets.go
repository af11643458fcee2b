package cmd

import (
	"fmt"

	"github.com/spf13/cobra"

	"focusnfix/presets"
)

func newPresets() *cobra.Command {
	return &cobra.Command{
		Use:   "presets [NAME]",
		Short: "List the presets, or print one",
		Long: "List what comes with the program to train on, or print the TOML of one. A preset states what differs\n" +
			"from the defaults; copy it, change it, and give the file's name to train and start.",
		Example: `  focusnfix presets
  focusnfix presets artifacts >mine.toml`,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: cobra.FixedCompletions(presets.Names(), cobra.ShellCompDirectiveNoFileComp),
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 1 {
				text, err := presets.Read(args[0])
				if err != nil {
					return usageError{err}
				}
				_, err = c.OutOrStdout().Write(text)
				return err
			}
			for _, name := range presets.Names() {
				fmt.Fprintf(c.OutOrStdout(), "%-24s %s\n", name, presets.Summary(name))
			}
			return nil
		},
	}
}
