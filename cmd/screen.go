package cmd

import (
	"context"
	"errors"
	"os"

	"github.com/spf13/cobra"

	"focusnfix/core/run"
	"focusnfix/tui"
	"focusnfix/tui/picture"
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
	f.StringVar(&s.images, "images", "", "auto, kitty, sixel, iterm2, blocks or off (default what S in the screen has set, FNF_IMAGES, or auto)")
	f.StringVar(&s.cellSize, "cell-size", "", "WxH of a character in pixels (default what the terminal says)")
	f.BoolVar(&s.plain, "plain", false, "print lines instead of a screen: for screen readers, logs and pipes")
}

// addScreen makes the root command without arguments the screen.
func addScreen(root *cobra.Command) {
	s := new(screenFlags)
	s.add(root)
	root.Args = cobra.NoArgs
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
	c := &cobra.Command{
		Use:   "attach [RUN]",
		Short: "Watch a run: its curves, pictures and numbers",
		Long: "Show the dashboard of a run, the newest without a name. RUN is a name that ls shows, a part of it that no other\n" +
			"has, or a folder, also one copied from another machine. Leaving the screen does not stop the run.",
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			name := ""
			if len(args) > 0 {
				name = args[0]
			}
			f, err := run.Find(s.runs.dir(), name)
			if err != nil {
				return err
			}
			if s.isPlain(c) {
				err := tui.Plain(c.Context(), c.OutOrStdout(), f)
				if errors.Is(err, context.Canceled) {
					return nil // by ctrl+c
				}
				return err
			}
			return s.show(c, f.Dir)
		},
	}
	s.add(c)
	return c
}

// isPlain says whether lines are wanted, or all that can be had.
func (s *screenFlags) isPlain(c *cobra.Command) bool {
	return s.plain || c.OutOrStdout() != os.Stdout || !picture.IsTerminal(os.Stdout) || !picture.IsTerminal(os.Stdin)
}

func (s *screenFlags) show(c *cobra.Command, open string) error {
	runs := s.runs.dir()
	return tui.Run(c.Context(), tui.Options{
		Runs: runs, Open: open, Images: s.images, CellSize: s.cellSize, Version: version,
		Start: func(ctx context.Context, preset string, set []string) (run.Folder, error) {
			return startRun(ctx, runs, preset, set)
		},
		Resume: s.trust.before(resumeRun), Wake: s.trust.before(wakeRun),
	})
}
