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
		Short: "Show images in the terminal, with a heatmap, mask or difference",
		Long: "Show PNG and JPEG images in the terminal, with the best protocol it supports. Into a pipe, write half blocks, " +
			"which every pager shows, or what --images says.",
		Example: `  focusnfix view chef.png
  focusnfix view chef.png --heat heat.png --width 60`,
		Args: takes("FILE..."),
		RunE: func(c *cobra.Command, files []string) error {
			probe, err := picture.NewProbe(os.Stdout, protocol, cellSize, os.Getenv)
			if err != nil {
				return usageError{err}
			}
			return view(c.Context(), c.OutOrStdout(), probe, v, files)
		},
	}
	f := c.Flags()
	f.StringVar(&v.Heat, "heat", "", "overlay the heatmap in `FILE`, a PNG; white is faulty")
	f.StringVar(&v.Mask, "mask", "", "outline the mask in `FILE`, a PNG; white is faulty")
	f.StringVar(&v.Diff, "diff", "", "show the difference from the image in `FILE`, times 4")
	f.StringVar(&protocol, "images", "", imagesHelp+" (default: $FNF_IMAGES, or auto)")
	f.IntVar(&v.Cols, "width", 0, "show images `COLUMNS` wide (default: their own width, at most the terminal's)")
	f.StringVar(&cellSize, "cell-size", "", cellSizeHelp)
	completeFlag(c, "images", fixedWords(imageProtocols...))
	return c
}

// view shows the files on w with what the terminal can do.
func view(ctx context.Context, w io.Writer, probe *picture.Probe, v picture.Printer, files []string) error {
	v.Enlarge = v.Cols > 0
	if w == os.Stdout && picture.IsTerminal(os.Stdout) {
		v = terminalPrinter(ctx, probe, v)
	}
	v.Terminal = probe.Terminal()
	return v.Files(w, files)
}

// terminalPrinter is v for the terminal that standard output is.
func terminalPrinter(ctx context.Context, probe *picture.Probe, v picture.Printer) picture.Printer {
	probe.AskTTY(ctx)
	v.Inline = true
	cols, rows := probe.Size()
	if v.Cols <= 0 || v.Cols > cols {
		v.Cols = cols
	}
	v.Rows = max(rows-2, 1) // the name above and the prompt below
	v.Terminal = probe.Terminal()
	return v
}
