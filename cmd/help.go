package cmd

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"charm.land/lipgloss/v2"
	uv "github.com/charmbracelet/ultraviolet"
	"github.com/charmbracelet/x/ansi"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Widths of help, in cells. Beyond the widest, lines are hard to read.
const (
	narrowestHelp = 40
	widestHelp    = 100
	plainHelp     = 80 // where nothing says how wide the output is
	helpColumn    = 26 // names up to this wide have their description beside them
)

// Groups of commands on the first page of help.
const (
	groupTrain   = "train"
	groupImages  = "images"
	groupModels  = "models"
	groupMachine = "machine"
)

func addGroups(root *cobra.Command) {
	root.AddGroup(
		&cobra.Group{ID: groupTrain, Title: "Train and watch"},
		&cobra.Group{ID: groupImages, Title: "Draw and show images"},
		&cobra.Group{ID: groupModels, Title: "Models and LoRA files"},
		&cobra.Group{ID: groupMachine, Title: "This machine"},
	)
}

// helpWidth returns how wide help may be: COLUMNS, or the terminal's width.
func helpWidth(w io.Writer) int {
	width := plainHelp
	if n, err := strconv.Atoi(os.Getenv("COLUMNS")); err == nil {
		width = n
	} else if n, ok := terminalWidth(w); ok {
		width = n
	}
	return min(max(width, narrowestHelp), widestHelp)
}

// terminalWidth returns the width of the terminal that w is, in cells.
func terminalWidth(w io.Writer) (width int, ok bool) {
	file, isFile := w.(*os.File)
	if !isFile {
		return 0, false
	}
	width, _, err := uv.NewSizeNotifier(file).GetSize()
	return width, err == nil && width > 0
}

// writeHelp prints a command's help: what it does, usage, examples, commands and flags.
func writeHelp(c *cobra.Command, _ []string) {
	h := helpPage{width: helpWidth(c.OutOrStdout())}
	h.paragraph(helpText(c))
	h.heading("Usage")
	for _, line := range usageLines(c) {
		h.line("  " + line)
	}
	if c.Example != "" {
		h.heading("Examples")
		for line := range strings.Lines(c.Example) {
			h.command(strings.TrimSpace(line))
		}
	}
	h.commands(c)
	h.flags(c)
	if c.HasAvailableSubCommands() {
		h.line("\nfocusnfix COMMAND --help explains a command and its flags.")
	}
	_, _ = lipgloss.Fprint(c.OutOrStdout(), h.text.String()) // nobody is left to tell
}

// helpText is what a command does, in paragraphs.
func helpText(c *cobra.Command) string {
	if c.Long != "" {
		return c.Long
	}
	return c.Short + "."
}

func usageLines(c *cobra.Command) []string {
	lines := []string{c.UseLine()}
	if c.HasAvailableSubCommands() {
		lines = append(lines, c.CommandPath()+" COMMAND")
	}
	return lines
}

// helpPage is a page under construction.
type helpPage struct {
	text  strings.Builder
	width int
}

func (h *helpPage) line(text string) { h.text.WriteString(text + "\n") }

func (h *helpPage) heading(text string) {
	h.line("\n" + lipgloss.NewStyle().Bold(true).Render(text))
}

// paragraph writes prose whose single line breaks are those of the source code.
func (h *helpPage) paragraph(text string) {
	for i, p := range strings.Split(text, "\n\n") {
		if i > 0 {
			h.line("")
		}
		h.line(ansi.Wordwrap(strings.ReplaceAll(p, "\n", " "), h.width, " "))
	}
}

// command writes an example; one that is too long continues below, as a shell would read it.
func (h *helpPage) command(text string) {
	const indent, more = "  ", "      "
	line := indent
	for i, word := range splitQuoted(text) {
		if i > 0 && ansi.StringWidth(line)+1+ansi.StringWidth(word)+2 > h.width {
			h.line(line + ` \`)
			line = more + word
			continue
		}
		if i > 0 {
			line += " "
		}
		line += word
	}
	h.line(line)
}

// splitQuoted splits at spaces outside double quotes, and not between a flag and its value.
func splitQuoted(text string) (words []string) {
	quoted, flag := false, false
	for _, word := range strings.FieldsFunc(text, func(r rune) bool {
		if r == '"' {
			quoted = !quoted
		}
		return r == ' ' && !quoted
	}) {
		isFlag := strings.HasPrefix(word, "-")
		if flag && !isFlag {
			words[len(words)-1] += " " + word
		} else {
			words = append(words, word)
		}
		flag = isFlag
	}
	return words
}

// entry writes a name and what it means: beside it in a column, or below a long one.
func (h *helpPage) entry(name, meaning string, column int) {
	lead := "  " + name
	lines := strings.Split(ansi.Wordwrap(meaning, h.width-column, " "), "\n")
	if ansi.StringWidth(lead)+2 > column {
		h.line(lead)
		lead = ""
	}
	for _, l := range lines {
		h.line(lead + strings.Repeat(" ", column-ansi.StringWidth(lead)) + l)
		lead = ""
	}
}

// column returns where the meanings of names begin.
func column(names []string) int {
	widest := 0
	for _, n := range names {
		if w := ansi.StringWidth(n); w <= helpColumn {
			widest = max(widest, w)
		}
	}
	return widest + 4
}

// commands writes the subcommands, group by group.
func (h *helpPage) commands(c *cobra.Command) {
	var names []string
	for _, sub := range c.Commands() {
		names = append(names, sub.Name())
	}
	at := column(names)
	for _, g := range append(c.Groups(), &cobra.Group{Title: "More"}) {
		headed := false
		for _, sub := range c.Commands() {
			if sub.GroupID != g.ID || !sub.IsAvailableCommand() {
				continue
			}
			if !headed {
				h.heading(g.Title)
				headed = true
			}
			h.entry(sub.Name(), sub.Short, at)
		}
	}
}

// flags writes a command's flags with their defaults.
func (h *helpPage) flags(c *cobra.Command) {
	var names, meanings []string
	c.Flags().VisitAll(func(f *pflag.Flag) {
		if !f.Hidden {
			name, meaning := flagText(f)
			names, meanings = append(names, name), append(meanings, meaning)
		}
	})
	if len(names) == 0 {
		return
	}
	h.heading("Flags")
	at := column(names)
	for i := range names {
		h.entry(names[i], meanings[i], at)
	}
}

// flagText is a flag as it is written, "-n, --count N", and what it does.
func flagText(f *pflag.Flag) (name, meaning string) {
	value, meaning := pflag.UnquoteUsage(f)
	name = "    --" + f.Name
	if f.Shorthand != "" {
		name = "-" + f.Shorthand + ", --" + f.Name
	}
	if value != "" {
		name += " " + value
	}
	switch f.Name {
	case "help":
		meaning = "show this help"
	case "version":
		meaning = "show the version"
	}
	switch f.DefValue {
	case "", "0", "false", "[]":
		return name, meaning
	}
	return name, fmt.Sprintf("%s (default %s)", meaning, f.DefValue)
}
