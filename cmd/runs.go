package cmd

import (
	"os"

	"github.com/spf13/cobra"
)

// runHelp says what a RUN argument may be.
const runHelp = "RUN is the end of a name that ls shows, such as 3aym, any other part of it that is unique, or a folder."

// runsFlag is where runs lie: --runs, FNF_RUNS or ./runs.
type runsFlag string

func (r *runsFlag) add(c *cobra.Command) {
	c.Flags().StringVar((*string)(r), "runs", "", "use `DIR` for runs (default: $FNF_RUNS, or ./runs)")
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
