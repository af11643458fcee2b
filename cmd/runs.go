package cmd

import (
	"os"

	"github.com/spf13/cobra"
)

// runsFlag is where runs lie: --runs, FNF_RUNS or ./runs.
type runsFlag string

func (r *runsFlag) add(c *cobra.Command) {
	c.Flags().StringVar((*string)(r), "runs", "", "folder of runs (default: $FNF_RUNS, or ./runs)")
}

func (r runsFlag) dir() string {
	if r != "" {
		return string(r)
	}
	if dir := os.Getenv("FNF_RUNS"); dir != "" {
		return dir
	}
	return "runs"
}
