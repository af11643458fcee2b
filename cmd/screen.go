package cmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"focusnfix/core/run"
	"focusnfix/model/backbone"
	"focusnfix/model/weights"
	"focusnfix/tui"
	"focusnfix/tui/picture"
)

// imageProtocols are the ways to show an image in a terminal.
var imageProtocols = []string{"auto", "kitty", "sixel", "iterm2", "blocks", "off"}

// What flags about images in the terminal do.
const (
	imagesHelp   = "show images with `PROTOCOL`: auto, kitty, sixel, iterm2, blocks or off"
	cellSizeHelp = "a character is `WxH` pixels (default: ask the terminal)"
)

// screenFlags are those of the commands that show the screen.
type screenFlags struct {
	runs             runsFlag
	images, cellSize string
	plain            bool
	trust            trustFlag
}

func (s *screenFlags) add(c *cobra.Command) {
	s.runs.add(c)
	s.trust.add(c)
	f := c.Flags()
	f.StringVar(&s.images, "images", "", imagesHelp+" (default: the screen's setting, $FNF_IMAGES, or auto)")
	f.StringVar(&s.cellSize, "cell-size", "", cellSizeHelp)
	f.BoolVar(&s.plain, "plain", false, "print lines instead of opening the screen: for screen readers, logs and pipes")
	completeFlag(c, "images", fixedWords(imageProtocols...))
}

// addScreen makes the root command without arguments the screen.
func addScreen(root *cobra.Command) {
	s := new(screenFlags)
	s.add(root)
	root.Args = commandExists
	root.RunE = func(c *cobra.Command, _ []string) error {
		if s.isPlain(c) {
			list, err := run.List(s.runs.dir())
			if err != nil {
				return err
			}
			return tui.PlainList(c.OutOrStdout(), s.runs.dir(), list)
		}
		return s.show(c, "")
	}
}

func newAttach() *cobra.Command {
	s := new(screenFlags)
	var away farFlags
	c := &cobra.Command{
		Use:   "attach [[HOST:]RUN]",
		Short: "Watch a run, here or over ssh: curves, images and numbers",
		Long: "Open the dashboard of a run, or of the newest one. " + runHelp + " A folder may be copied from another machine. " +
			"Leaving the screen does not stop the run.\n\n" +
			"HOST:RUN is a run on another machine, HOST: the newest there. The screen runs here; ssh connects to HOST, where the " +
			"PATH must have focusnfix, and starts its relay. What was seen stays in a cache and opens without a link, too.",
		Example: `  focusnfix attach
  focusnfix attach 3aym
  focusnfix attach 3aym --plain | tee run.log
  focusnfix attach me@gpu:3aym
  focusnfix attach gpu:project/runs/2026-11-27-violence-3aym --read-only`,
		Args: takes("[RUN]"), ValidArgsFunction: completeRuns(&s.runs, 1),
		RunE: func(c *cobra.Command, args []string) error {
			name := ""
			if len(args) > 0 {
				name = args[0]
			}
			if remote, err := away.attach(c, s, name); remote || err != nil {
				return err
			}
			f, err := run.Find(s.runs.dir(), name)
			if err != nil {
				return err
			}
			if s.isPlain(c) {
				return plain(c, f)
			}
			return s.show(c, f.Dir)
		},
	}
	s.add(c)
	away.add(c)
	c.Flags().BoolVar(&away.readOnly, "read-only", false, "send no commands to a run on another machine")
	c.Flags().BoolVar(&away.ask, "ask", false, "connect before the screen opens, so that ssh can ask for a password")
	return c
}

// plain writes a run's events as lines until it ends, or until ctrl+c.
func plain(c *cobra.Command, f run.Folder) error {
	err := tui.Plain(c.Context(), c.OutOrStdout(), f)
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// exportHere writes the LoRA of a run's newest checkpoint into the working folder and returns its path.
func exportHere(_ context.Context, f run.Folder, format string) (string, error) {
	checkpoint, err := chooseCheckpoint(f, 0)
	if err != nil {
		return "", err
	}
	out, err := filepath.Abs(fmt.Sprintf("%s-step-%d-%s.safetensors", f.Name(), checkpoint.Step, format))
	if err != nil {
		return "", err
	}
	return out, export(f, checkpoint, out, weights.Dialect(format), 1)
}

// saveLoRA writes a LoRA file with the names of a format.
func saveLoRA(_ context.Context, from, to, format string) error {
	return backbone.ConvertLoRA(from, to, weights.Dialect(format), "")
}

// isPlain reports whether to print lines: on request, or where there is no terminal.
func (s *screenFlags) isPlain(c *cobra.Command) bool {
	return s.plain || os.Getenv("TERM") == "dumb" || c.OutOrStdout() != os.Stdout || !picture.IsTerminal(os.Stdout) || !picture.IsTerminal(os.Stdin)
}

func (s *screenFlags) show(c *cobra.Command, open string) error {
	runs := s.runs.dir()
	o := s.options(runs, open)
	o.Start = func(ctx context.Context, preset string, set []string) (run.Folder, error) {
		return startRun(ctx, runs, preset, set)
	}
	o.Resume, o.Wake, o.Report = s.trust.before(resumeRun), s.trust.before(wakeRun), reportHere(nil)
	o.SaveLoRA, o.Export = saveLoRA, exportHere
	err := tui.Run(c.Context(), o)
	if err == nil {
		tellRunning(c.OutOrStdout(), runs)
	}
	return err
}

func (s *screenFlags) options(runs, open string) tui.Options {
	return tui.Options{Runs: runs, Open: open, Images: s.images, CellSize: s.cellSize, Version: version}
}

// tellRunning says which runs continue after the screen has closed, and how to come back.
func tellRunning(w io.Writer, dir string) {
	list, err := run.List(dir)
	if err != nil {
		return // the screen has said so
	}
	for _, r := range list {
		switch r.State {
		case run.Running:
			fmt.Fprintf(w, "%s is still running; focusnfix attach %s returns to it\n", r.Name(), shortID(r.Name()))
		case run.Paused:
			fmt.Fprintf(w, "%s is paused; focusnfix attach %s returns to it\n", r.Name(), shortID(r.Name()))
		}
	}
}

// shortID is the end of a run's name, which every command takes for it: 3aym.
func shortID(name string) string { return name[strings.LastIndexByte(name, '-')+1:] }
