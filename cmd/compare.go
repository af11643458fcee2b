package cmd

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"math"
	"slices"

	"github.com/spf13/cobra"

	"focusnfix/core"
	"focusnfix/core/report"
	"focusnfix/core/run"
)

func newCompare() *cobra.Command {
	var runs runsFlag
	asJSON := false
	c := &cobra.Command{
		Use:   "compare RUN RUN...",
		Short: "Compare final numbers and settings of runs",
		Long: "Compare runs with the first one, the baseline: their final numbers with the differences from it, then the settings " +
			"in which they differ. A number is that of the last evaluation of held-out prompts if that has it, else the " +
			"mean of the last 10 steps. " + runHelp,
		Example: `  focusnfix compare 3aym k7f2
  focusnfix compare 3aym k7f2 --json`,
		Args: takes("RUN", "RUN..."), ValidArgsFunction: completeRuns(&runs, 0),
		RunE: func(c *cobra.Command, args []string) error {
			var compared []comparedRun
			for _, name := range args {
				one, err := compare(c.Context(), runs.dir(), name)
				if err != nil {
					return err
				}
				compared = append(compared, one)
			}
			dropEqualSettings(compared)
			if asJSON {
				return printJSON(c.OutOrStdout(), compared)
			}
			printCompared(c.OutOrStdout(), compared)
			return nil
		},
	}
	runs.add(c)
	c.Flags().BoolVar(&asJSON, "json", false, "print a JSON list with an object for each run")
	return c
}

// comparedRun is a run as `compare --json` prints it. Values are as in events.jsonl: shares in [0,1], not percent.
type comparedRun struct {
	Name     string             `json:"name"`
	State    string             `json:"state"`
	Step     int                `json:"step"`
	Steps    int                `json:"steps"`
	Metrics  map[string]float64 `json:"metrics"`  // final numbers that are known, by name: fixed/violence
	Settings map[string]string  `json:"settings"` // those in which the runs differ, by key

	names []string // of metrics, in order
	of    map[string]core.Metric
}

func compare(ctx context.Context, runs, name string) (r comparedRun, err error) {
	f, err := run.Find(runs, name)
	if err != nil {
		return r, err
	}
	info, err := f.Info()
	if err != nil {
		return r, err
	}
	config, err := f.Config()
	if err != nil {
		return r, err
	}
	m, err := report.Read(ctx, f)
	if err != nil {
		return r, err
	}
	r = comparedRun{
		Name: f.Name(), State: cmp.Or(f.State(info), "new"), Step: info.Step, Steps: info.Steps,
		Metrics: map[string]float64{}, Settings: map[string]string{}, names: m.Names, of: m.Of,
	}
	if len(m.Rows) > 0 {
		r.Step = max(r.Step, m.Rows[len(m.Rows)-1].Step)
	}
	for _, metric := range m.Names {
		if v := m.Final(metric); !math.IsNaN(v) {
			r.Metrics[metric] = v
		}
	}
	for _, k := range config.Keys() {
		r.Settings[k.Name] = fmt.Sprint(k.Value)
	}
	return r, nil
}

// dropEqualSettings leaves the settings that are not the same in all runs.
func dropEqualSettings(all []comparedRun) {
	keys := map[string]bool{}
	for _, r := range all {
		for key := range r.Settings {
			keys[key] = true
		}
	}
	for key := range keys {
		same := !slices.ContainsFunc(all, func(r comparedRun) bool {
			value, has := r.Settings[key]
			first, hasFirst := all[0].Settings[key]
			return value != first || has != hasFirst
		})
		for i := range all {
			if same {
				delete(all[i].Settings, key)
			}
		}
	}
}

// printCompared writes the table: a column for each run, with the difference from the first behind the others'.
func printCompared(w io.Writer, all []comparedRun) {
	head, state := []string{""}, []string{"state"}
	var metrics, settings []string
	of := map[string]core.Metric{}
	for i, r := range all {
		head, state = append(head, r.Name), append(state, fmt.Sprintf("%s %d/%d", r.State, r.Step, r.Steps))
		if i > 0 {
			head, state = append(head, ""), append(state, "")
		}
		for _, name := range r.names {
			if !slices.Contains(metrics, name) {
				metrics, of[name] = append(metrics, name), r.of[name]
			}
		}
		for key := range r.Settings {
			if !slices.Contains(settings, key) {
				settings = append(settings, key)
			}
		}
	}
	slices.Sort(settings)
	rows := [][]string{head, state}
	for _, name := range metrics {
		rows = append(rows, metricCells(all, name, of[name]))
	}
	for _, key := range settings {
		row := []string{key}
		for i, r := range all {
			row = append(row, cmp.Or(r.Settings[key], "–"))
			if i > 0 {
				row = append(row, "")
			}
		}
		rows = append(rows, row)
	}
	give := []int{0}
	for i := len(head) - 1; i > 0; i-- {
		give = append(give, i)
	}
	printColumns(w, rows, give...)
}

// metricCells are a metric's values, and behind each but the first the difference from the first.
func metricCells(all []comparedRun, name string, m core.Metric) []string {
	value := func(r comparedRun) float64 {
		if v, known := r.Metrics[name]; known {
			return v
		}
		return math.NaN()
	}
	row, first := []string{name}, value(all[0])
	for i, r := range all {
		v := value(r)
		row = append(row, m.Text(v))
		if i == 0 {
			continue
		}
		change := ""
		if d := v - first; !math.IsNaN(d) {
			change = fmt.Sprintf("%+.*f", m.Digits, m.Shown(d))
		}
		row = append(row, change)
	}
	return row
}
