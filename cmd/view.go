package cmd

import (
	"context"
	"io"
	"os"

	"github.com/spf13/cobra"

	"focusnfix/tui/picture"
)

func newView() *cobra.Command {
	var v picture.Printer
	var protocol, cellSize string
	c := &cobra.Command{
		Use:   "view FILE...",
		Short: "Show images in the terminal, with a heatmap, a mask or a difference",
		Long: "Show PNG and JPEG images in the terminal, by the best protocol it has.\n" +
			"Into a pipe it writes half blocks, which every pager shows, or what --protocol says.",
		Args: cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, files []string) error {
			probe, err := picture.NewProbe(os.Stdout, protocol, cellSize, os.Getenv)
			if err != nil {
				return usageError{err}
			}
			return view(c.Context(), c.OutOrStdout(), probe, v, files)
		},
	}
	f := c.Flags()
	f.StringVar(&v.Heat, "heat", "", "lay this heatmap over the image: a PNG, white is faulty")
	f.StringVar(&v.Mask, "mask", "", "outline this mask: a PNG, white is faulty")
	f.StringVar(&v.Diff, "diff", "", "show how the image differs from this one, times 4")
	f.StringVar(&protocol, "protocol", "", "auto, kitty, sixel, iterm2, blocks or off (default FNF_IMAGES, or auto)")
	f.IntVar(&v.Cols, "width", 0, "width in columns (default as wide as the image, at most the terminal)")
	f.StringVar(&cellSize, "cell-size", "", "WxH of a character in pixels (default what the terminal says)")
	return c
}

// view shows the files on w with what the terminal can do.
func view(ctx context.Context, w io.Writer, probe *picture.Probe, v picture.Printer, files []string) error {
	v.Enlarge = v.Cols > 0
	if w == os.Stdout && picture.IsTerminal(os.Stdout) {
		probe.AskTTY(ctx)
		v.Inline = true
		cols, rows := probe.Size()
		if v.Cols <= 0 || v.Cols > cols {
			v.Cols = cols
		}
		v.Rows = max(rows-2, 1) // the name above and the prompt below
	}
	v.Terminal = probe.Terminal()
	return v.Files(w, files)
}
