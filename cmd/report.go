package cmd

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"focusnfix/core"
	"focusnfix/core/report"
	"focusnfix/core/run"
)

// reportMiB is how much room images take in a page unless told otherwise.
const reportMiB = 20

// newReport is the page about runs.
func newReport() *cobra.Command {
	var runs runsFlag
	out := "report.html"
	megabytes := reportMiB
	c := &cobra.Command{
		Use:   "report [RUN...]",
		Short: "Write a page about runs, to send to others",
		Long: "Write one HTML file about runs, the newest without an argument: images with sliders between base and tuned, curves, " +
			"final numbers with intervals, alarms and configuration; of several runs, differences from the first. It is complete " +
			"in itself and asks nothing of the network. " + runHelp,
		Example: `  focusnfix report 3aym
  focusnfix report 3aym k7f2 -o compared.html`,
		ValidArgsFunction: completeRuns(&runs, 0),
		RunE: func(c *cobra.Command, args []string) error {
			if megabytes < 1 || megabytes > 1000 {
				return usageError{fmt.Errorf("--max-size %d: want 1 to 1000", megabytes)}
			}
			if len(args) == 0 {
				args = []string{""}
			}
			o := report.Options{Version: version, Now: time.Now(), MaxSize: int64(megabytes) << 20}
			for _, name := range args {
				f, err := run.Find(runs.dir(), name)
				if err != nil {
					return err
				}
				o.Runs = append(o.Runs, f)
			}
			if out == "-" {
				return report.Page(c.Context(), c.OutOrStdout(), o)
			}
			size, err := writeReport(c.Context(), out, o)
			if err != nil {
				return err
			}
			fmt.Fprintf(c.OutOrStdout(), "%s, %.1f MB\n", core.Clean(out), float64(size)/1e6)
			return nil
		},
	}
	runs.add(c)
	c.Flags().StringVarP(&out, "out", "o", out, "write to `FILE`; - is standard output")
	c.Flags().IntVar(&megabytes, "max-size", megabytes, "make images smaller until they take `MIB` at most")
	return c
}

// writeReport writes a page to a file, which is whole or as it was before.
func writeReport(ctx context.Context, path string, o report.Options) (size int, err error) {
	var page bytes.Buffer
	if err := report.Page(ctx, &page, o); err != nil {
		return 0, err
	}
	size = page.Len()
	temp := path + ".new"
	if err := os.WriteFile(temp, page.Bytes(), 0o644); err != nil {
		return 0, err
	}
	if err := os.Rename(temp, path); err != nil {
		return 0, cmp.Or(os.Remove(temp), err)
	}
	return size, nil
}

// reportHere writes a page from the screen into the working folder, and returns its path.
func reportHere(fetch func(run.Folder, string, int) (string, error)) func(context.Context, []run.Folder) (string, error) {
	return func(ctx context.Context, runs []run.Folder) (string, error) {
		path := "report-" + shortID(runs[0].Name()) + ".html"
		_, err := writeReport(ctx, path, report.Options{
			Runs: runs, Version: version, Now: time.Now(), MaxSize: reportMiB << 20, Fetch: fetch,
		})
		return path, err
	}
}
