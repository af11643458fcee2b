package cmd

import (
	"bytes"
	"cmp"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"focusnfix/core/report"
	"focusnfix/core/run"
)

// newReport is the page about runs.
func newReport() *cobra.Command {
	var runs runsFlag
	out := "report.html"
	megabytes := 20
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
			var page bytes.Buffer
			if err := report.Page(c.Context(), &page, o); err != nil {
				return err
			}
			if out == "-" {
				_, err := page.WriteTo(c.OutOrStdout())
				return err
			}
			size := page.Len()
			temp := out + ".new"
			if err := os.WriteFile(temp, page.Bytes(), 0o644); err != nil {
				return err
			}
			if err := os.Rename(temp, out); err != nil {
				return cmp.Or(os.Remove(temp), err)
			}
			fmt.Fprintf(c.OutOrStdout(), "%s, %.1f MB\n", out, float64(size)/1e6)
			return nil
		},
	}
	runs.add(c)
	c.Flags().StringVarP(&out, "out", "o", out, "write to `FILE`; - is standard output")
	c.Flags().IntVar(&megabytes, "max-size", megabytes, "make images smaller until they take `MIB` at most")
	return c
}
