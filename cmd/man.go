package cmd

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// newMan writes the manual; `make man` calls it.
func newMan() *cobra.Command {
	return &cobra.Command{
		Use:    "man DIR",
		Short:  "Write a manual page for each command",
		Args:   takes("DIR"),
		Hidden: true,
		RunE: func(c *cobra.Command, args []string) error {
			if err := os.MkdirAll(args[0], 0o755); err != nil {
				return err
			}
			return writeManuals(c.Root(), args[0])
		},
	}
}

// writeManuals writes focusnfix.1, focusnfix-train.1 and so on.
func writeManuals(c *cobra.Command, dir string) error {
	name := strings.ReplaceAll(c.CommandPath(), " ", "-")
	if err := os.WriteFile(filepath.Join(dir, name+".1"), []byte(manual(c, name)), 0o644); err != nil {
		return err
	}
	for _, sub := range c.Commands() {
		if !sub.IsAvailableCommand() {
			continue
		}
		if err := writeManuals(sub, dir); err != nil {
			return err
		}
	}
	return nil
}

// manual is a command's page in the man macros of roff(7).
func manual(c *cobra.Command, name string) string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line(".TH %s 1 \"\" \"focusnfix %s\" \"Focus-N-Fix\"", strings.ToUpper(roff(name)), roff(c.Root().Version))
	line(".SH NAME\n%s \\- %s", roff(name), roff(c.Short))
	line(".SH SYNOPSIS\n.nf")
	for _, usage := range usageLines(c) {
		line("%s", roff(usage))
	}
	line(".fi\n.SH DESCRIPTION")
	for i, p := range strings.Split(helpText(c), "\n\n") {
		if i > 0 {
			line(".PP")
		}
		line("%s", roff(strings.ReplaceAll(p, "\n", " ")))
	}
	if c.HasAvailableSubCommands() {
		line(".SH COMMANDS")
		for _, sub := range c.Commands() {
			if sub.IsAvailableCommand() {
				line(".TP\n.BR %s (1)\n%s", roff(name+"-"+sub.Name()), roff(sub.Short))
			}
		}
	}
	line(".SH OPTIONS")
	c.Flags().VisitAll(func(f *pflag.Flag) {
		if !f.Hidden {
			option, meaning := flagText(f)
			line(".TP\n.B %s\n%s", roff(strings.TrimSpace(option)), roff(meaning))
		}
	})
	if c.Example != "" {
		line(".SH EXAMPLES\n.nf")
		for example := range strings.Lines(c.Example) {
			line("%s", roff(strings.TrimSpace(example)))
		}
		line(".fi")
	}
	line(".SH EXIT STATUS\n0 if all went well, 1 after an error, 2 after a mistake in the command line.")
	return b.String()
}

// roff escapes what roff would take for its own: backslashes, and a dot or quote that begins a line.
func roff(text string) string {
	text = strings.ReplaceAll(strings.ReplaceAll(text, `\`, `\e`), "-", `\-`)
	if strings.HasPrefix(text, ".") || strings.HasPrefix(text, "'") {
		return `\&` + text
	}
	return text
}
