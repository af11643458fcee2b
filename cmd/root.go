// Package cmd is the command line: one file for each subcommand. It turns flags into a configuration or a request,
// hands that to the package that does the work, and prints what comes back. It starts engines and names files;
// models, training and the screen are elsewhere.
package cmd

import (
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"syscall"

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
		Short: "Repair only the faulty region of a text-to-image model's images",
		Long: "Focus-N-Fix fine-tunes a text-to-image diffusion model with LoRA so that it repairs only the faulty region " +
			"of its images, and shows the work in the terminal.\n\n" +
			"Without a command it opens the screen: runs, presets, and everything that the commands do.",
	}
	addGroups(root)
	add := func(group string, commands ...*cobra.Command) {
		for _, c := range commands {
			c.GroupID = group
		}
		root.AddCommand(commands...)
	}
	add(groupTrain, newStart(), newTrain(), newPlan(), newAttach(), newLs(), newStop(), newEval(), newMetrics(), newCompare(), newReport(), newMasks(), newPresets())
	add(groupImages, newGenerate(), newFix(), newView())
	add(groupModels, newPull(), newCheck(), newConvert(), newExport())
	add(groupMachine, newDoctor())
	add("", newRelay(), newEngine(), newScenes(), newPretrain(), newMan())
	addScreen(root)
	root.InitDefaultCompletionCmd()
	for _, c := range root.Commands() {
		if c.Name() == "completion" {
			c.Short, c.GroupID = "Print a script that lets a shell complete commands", groupMachine
		}
	}
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
	root.SetHelpFunc(writeHelp)
	root.SetFlagErrorFunc(flagError)
	root.SetHelpCommand(&cobra.Command{Use: "no-help", Hidden: true}) // --help does it
	onRun(root, func() { started = true })
	command, err := root.ExecuteContextC(ctx)
	var usage usageError
	switch {
	case err == nil:
		return exitDone
	case !started || errors.As(err, &usage):
		printError(stderr, err, command.CommandPath()+" --help explains its use")
		return exitUsage
	default:
		printError(stderr, err, "")
		if own := (exitError{}); errors.As(err, &own) {
			return own.code
		}
		return exitFailed
	}
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
