package cmd

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"focusnfix/core"
	"focusnfix/core/far"
	"focusnfix/presets"
)

func newPresets() *cobra.Command {
	return &cobra.Command{
		Use:   "presets [PRESET]",
		Short: "List presets, or print one",
		Long: "List the presets, or print the TOML of one. A preset says what differs from the defaults; copy it, change it, " +
			"and give the file to start or train.",
		Example: `  focusnfix presets
  focusnfix presets artifacts >mine.toml`,
		Args: takes("[PRESET]"), ValidArgsFunction: completePresets,
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 1 {
				text, err := readPreset(args[0])
				if err != nil {
					return err
				}
				_, err = c.OutOrStdout().Write(text)
				return err
			}
			var rows [][]string
			for _, name := range presets.Names() {
				rows = append(rows, []string{name, presets.Summary(name)})
			}
			printColumns(c.OutOrStdout(), rows, 1)
			return nil
		},
	}
}

// readPreset returns the TOML of a preset that comes with the program.
func readPreset(name string) ([]byte, error) {
	if t, remote, err := far.Parse(name); err == nil && remote {
		return nil, usageError{fmt.Errorf("runs start where they run: ssh %s focusnfix start %s; focusnfix attach %s: then shows the new one",
			t.Host, cmp.Or(t.Run, presets.Default), t.Host)}
	}
	if !slices.Contains(presets.Names(), name) {
		return nil, usageError{fmt.Errorf("no preset %q%s; focusnfix presets lists them", name, core.DidYouMean(name, presets.Names()))}
	}
	return presets.Read(name)
}
