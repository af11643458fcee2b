package cmd

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strconv"
	"time"

	"charm.land/lipgloss/v2"
	"charm.land/lipgloss/v2/table"
	"github.com/spf13/cobra"

	"focusnfix/core"
	"focusnfix/core/run"
)

func newLs() *cobra.Command {
	var runs runsFlag
	var asJSON bool
	c := &cobra.Command{
		Use:   "ls",
		Short: "List the runs and how they are",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			list, err := run.List(runs.dir())
			if err != nil {
				return err
			}
			if asJSON {
				return writeRunsJSON(c.OutOrStdout(), list)
			}
			if len(list) == 0 {
				fmt.Fprintf(c.OutOrStdout(), "no runs in %s\n", core.Clean(runs.dir()))
				return nil
			}
			fmt.Fprintln(c.OutOrStdout(), runsTable(list, time.Now()))
			return nil
		},
	}
	runs.add(c)
	c.Flags().BoolVar(&asJSON, "json", false, "one JSON list, for programs")
	return c
}

// runsTable has one line for each run. What cannot be read says why.
func runsTable(list []run.Run, now time.Time) string {
	t := table.New().Border(lipgloss.HiddenBorder()).BorderTop(false).BorderBottom(false).BorderLeft(false).BorderRight(false).
		BorderHeader(false).Headers("RUN", "STATE", "STEP", "REWARD", "MODEL", "AGE")
	for _, r := range list {
		if r.Err != nil {
			t.Row(r.Name(), "unreadable", "", "", core.Clean(r.Err.Error()), "")
			continue
		}
		reward := ""
		if r.Last.Train != nil && !math.IsNaN(r.Last.Train.Reward) {
			reward = strconv.FormatFloat(r.Last.Train.Reward, 'f', 3, 64)
		}
		t.Row(r.Name(), stateOf(r), fmt.Sprintf("%d/%d", stepOf(r), r.Info.Steps), reward, r.Info.Model, r.Info.Age(now))
	}
	return t.String()
}

// stateOf is the run's state, "new" where no engine has begun.
func stateOf(r run.Run) string {
	if r.State == "" {
		return "new"
	}
	return r.State
}

func stepOf(r run.Run) int { return max(r.Last.Step, r.Info.Step) }

// listedRun is a run as `ls --json` prints it.
type listedRun struct {
	Name    string    `json:"name"`
	Folder  string    `json:"folder"`
	State   string    `json:"state,omitempty"`
	Message string    `json:"message,omitempty"`
	Preset  string    `json:"preset,omitempty"`
	Model   string    `json:"model,omitempty"`
	Created time.Time `json:"created,omitzero"`
	Step    int       `json:"step"`
	Steps   int       `json:"steps"`
	Reward  *float64  `json:"reward,omitempty"`
	Error   string    `json:"error,omitempty"`
}

func writeRunsJSON(w io.Writer, list []run.Run) error {
	listed := []listedRun{}
	for _, r := range list {
		l := listedRun{Name: r.Name(), Folder: core.Clean(r.Dir)}
		if r.Err != nil {
			l.Error = core.Clean(r.Err.Error())
		} else {
			l.State, l.Message, l.Preset, l.Model, l.Created = stateOf(r), r.Info.Message, r.Info.Preset, r.Info.Model, r.Info.Created
			l.Step, l.Steps = stepOf(r), r.Info.Steps
		}
		if r.Last.Train != nil && !math.IsNaN(r.Last.Train.Reward) {
			l.Reward = &r.Last.Train.Reward
		}
		listed = append(listed, l)
	}
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(listed)
}
