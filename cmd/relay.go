package cmd

import (
	"encoding/json"
	"os"

	"github.com/spf13/cobra"

	"focusnfix/core/far"
	"focusnfix/core/run"
)

// newRelay is what attach HOST:RUN starts on the other machine.
func newRelay() *cobra.Command {
	var runs runsFlag
	list := false
	r := far.Relay{Version: version, Train: trustFlag(false).before(resumeRun), Wake: trustFlag(false).before(wakeRun)}
	c := &cobra.Command{
		Use:   "relay [RUN]",
		Short: "Answer focusnfix attach HOST:RUN over standard input and output",
		Long: "Send a run's events and images, and take its commands, over standard input and output. focusnfix attach HOST:RUN " +
			"starts it over ssh. As the forced command of a key, focusnfix relay --read-only RUN shows one run and nothing else. " + runHelp,
		Hidden: true,
		Args:   takes("[RUN]"), ValidArgsFunction: completeRuns(&runs, 1),
		RunE: func(c *cobra.Command, args []string) error {
			name := ""
			if len(args) > 0 {
				name = args[0]
			}
			r.Find = func() (run.Folder, error) { return run.Find(runs.dir(), name) }
			if list {
				r.List = func() ([]byte, error) {
					list, err := run.List(runs.dir())
					if err != nil {
						return nil, err
					}
					return json.Marshal(listRuns(list))
				}
			}
			return r.Serve(c.Context(), os.Stdin, c.OutOrStdout())
		},
	}
	runs.add(c)
	c.Flags().BoolVar(&r.ReadOnly, "read-only", false, "refuse commands")
	c.Flags().BoolVar(&list, "list", false, "list runs instead")
	return c
}
