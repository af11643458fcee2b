package cmd

import (
	"fmt"
	"io"
	"math"
	"strings"
	"time"

	"github.com/charmbracelet/x/ansi"
	"github.com/spf13/cobra"

	"focusnfix/core"
	"focusnfix/core/run"
)

func newLs() *cobra.Command {
	var runs runsFlag
	var away farFlags
	var asJSON bool
	c := &cobra.Command{
		Use:   "ls [HOST:]",
		Short: "List runs and their status",
		Long: "List the runs in a folder, the newest first. HOST: lists those on another machine, over ssh, where the program's " +
			"PATH has focusnfix; HOST:DIR lists those in a folder there.",
		Example: `  focusnfix ls
  focusnfix ls gpu:
  focusnfix ls me@gpu:project/runs --json`,
		Args: takes("[HOST:]"),
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) > 0 {
				return away.list(c, args[0], asJSON)
			}
			list, err := run.List(runs.dir())
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(c.OutOrStdout(), listRuns(list))
			}
			if len(list) == 0 {
				fmt.Fprintf(c.OutOrStdout(), "no runs in %s\n", core.Clean(runs.dir()))
				return nil
			}
			printRuns(c.OutOrStdout(), listRuns(list), time.Now())
			return nil
		},
	}
	runs.add(c)
	away.add(c)
	c.Flags().BoolVar(&asJSON, "json", false, "print a JSON list")
	return c
}

// printRuns writes a line for each run, or why it cannot be read. In a terminal no line is wider than that:
// the model's name gives way, then the run's.
func printRuns(w io.Writer, list []listedRun, now time.Time) {
	rows := [][]string{{"RUN", "STATE", "STEP", "REWARD", "AGE", "MODEL"}}
	for _, r := range list {
		if r.Error != "" {
			rows = append(rows, []string{r.Name, "unreadable", "", "", "", r.Error})
			continue
		}
		reward := ""
		if r.Reward != nil {
			reward = core.StepMetric("reward").Number(*r.Reward)
		}
		age := run.Info{Created: r.Created}.Age(now)
		rows = append(rows, []string{r.Name, r.State, fmt.Sprintf("%d/%d", r.Step, r.Steps), reward, age, r.Model})
	}
	printColumns(w, rows, 5, 0)
}

// printColumns writes rows in columns. In a terminal that is too narrow, columns are cut short in the order given.
func printColumns(w io.Writer, rows [][]string, give ...int) {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, text := range row {
			widths[i] = max(widths[i], ansi.StringWidth(text))
		}
	}
	over := -1 << 20
	if cols, ok := terminalWidth(w); ok {
		over = 2*(len(widths)-1) - cols
		for _, width := range widths {
			over += width
		}
	}
	for _, i := range give {
		cut := min(max(over, 0), max(widths[i]-8, 0))
		widths[i], over = widths[i]-cut, over-cut
	}
	for _, row := range rows {
		line := ""
		for i, text := range row {
			text = ansi.Truncate(text, widths[i], "…")
			line += text + strings.Repeat(" ", widths[i]-ansi.StringWidth(text)+2)
		}
		fmt.Fprintln(w, strings.TrimRight(line, " "))
	}
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

// listRuns is what is listed of runs.
func listRuns(list []run.Run) []listedRun {
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
	return listed
}
