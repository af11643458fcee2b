// Package cmd holds one file per subcommand: it turns flags into configuration and nothing else.
package cmd

import (
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"charm.land/fang/v2"
	"charm.land/lipgloss/v2"
	"github.com/spf13/cobra"

	"focusnfix/core"
)

// Exit codes of the program.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
)

// version is set by the Makefile at link time.
var version = "unknown"

// Main runs the program and ends it: 0 done, 1 failed, 2 usage.
func Main() {
	waitPassively()
	signals := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) { // as nohup has it
		signals = append(signals, syscall.SIGHUP)
	}
	ctx, stop := signal.NotifyContext(context.Background(), signals...)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the program at once
	code := execute(ctx, newRoot(), os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// waitPassively lets OpenMP's threads sleep while they wait, before libtorch is loaded. By default they
// spin, and on a machine where other programs run they then wait for each other: with two busy cores
// doctor measured 10 GFLOP/s instead of 83.
func waitPassively() {
	if _, set := os.LookupEnv("OMP_WAIT_POLICY"); !set {
		_ = os.Setenv("OMP_WAIT_POLICY", "passive")
	}
}

// newRoot assembles the command tree.
func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "focusnfix",
		Short: "Repair the faulty region of a text-to-image model's pictures, and only that",
		Long: "Focus-N-Fix fine-tunes a text-to-image diffusion model with LoRA so that it repairs only the\n" +
			"faulty region of its pictures, and shows the work in the terminal.",
	}
	root.AddCommand(newGenerate(), newView(), newPull(), newConvert(), newCheck(), newDoctor(), newScenes(), newPretrain(),
		newPresets(), newTrain(), newStart(), newEngine(), newAttach(), newLs(), newStop(), newEval(), newExport())
	addScreen(root)
	return root
}

// execute runs one command line and returns the exit code. An error that comes before a command's
// own code runs (an unknown command or flag, a surplus argument) is one of usage; a command reports
// others with usageError.
func execute(ctx context.Context, root *cobra.Command, args []string, stdout, stderr io.Writer) int {
	started := false
	root.SilenceErrors, root.SilenceUsage = true, true
	root.Version = version
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	root.SetHelpFunc(styledHelp)
	onRun(root, func() { started = true })
	err := root.ExecuteContext(ctx)
	var usage usageError
	switch {
	case err == nil:
		return exitDone
	case !started || errors.As(err, &usage):
		printError(stderr, err, "focusnfix --help shows the commands, focusnfix COMMAND --help their flags")
		return exitUsage
	default:
		printError(stderr, err, "")
		return exitFailed
	}
}

// styledHelp prints help through fang. Nothing else does: fang asks the terminal for its background
// before it prints an error, which takes seconds where the terminal does not answer.
func styledHelp(c *cobra.Command, _ []string) {
	path := strings.Fields(c.CommandPath())
	root := c.Root()
	root.SetArgs(append(path[1:], "--help"))
	_ = fang.Execute(c.Context(), root, fang.WithVersion(version), fang.WithoutManpage())
}

// onRun calls f when a command of the tree begins its own work.
func onRun(command *cobra.Command, f func()) {
	if run := command.RunE; run != nil {
		command.RunE = func(c *cobra.Command, args []string) error {
			f()
			return run(c, args)
		}
	}
	for _, sub := range command.Commands() {
		onRun(sub, f)
	}
}

// usageError is a mistake in the command line that only the command itself can see.
type usageError struct{ error }

// Unwrap returns the reason.
func (e usageError) Unwrap() error { return e.error }

// hintedError is an error that knows what to do next.
type hintedError struct {
	error
	hint string
}

// Hint says in one line what the user can do about the error.
func (e hintedError) Hint() string { return e.hint }

// Unwrap returns the reason.
func (e hintedError) Unwrap() error { return e.error }

// printError writes one line with the reason and one with a hint: the error's own, or else the
// one given, or none. Names of files and keys in it may be anybody's, so it is cleaned here.
func printError(w io.Writer, err error, hint string) {
	var hinted interface{ Hint() string }
	if errors.As(err, &hinted) {
		hint = hinted.Hint()
	}
	text := lipgloss.NewStyle().Foreground(lipgloss.Red).Bold(true).Render("error:") + " " + core.CleanLines(err.Error()) + "\n"
	if hint != "" {
		text += lipgloss.NewStyle().Faint(true).Render("hint:") + "  " + core.Clean(hint) + "\n"
	}
	_, _ = lipgloss.Fprint(w, text) // nobody is left to tell
}
