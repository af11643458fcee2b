package cmd

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"focusnfix/core/report"
	"focusnfix/core/run"
)

func newMetrics() *cobra.Command {
	var runs runsFlag
	var asJSON, asCSV bool
	c := &cobra.Command{
		Use:   "metrics RUN",
		Short: "Print a run's numbers",
		Long: "Print the numbers of a run: a table of the last ones, or with --csv or --json those of every step. " +
			"Evaluations of held-out prompts are rows of their own, marked so. " + runHelp,
		Example: `  focusnfix metrics 3aym
  focusnfix metrics 3aym --csv >run.csv`,
		Args: takes("RUN"), ValidArgsFunction: completeRuns(&runs, 1),
		RunE: func(c *cobra.Command, args []string) error {
			if asJSON && asCSV {
				return usageError{fmt.Errorf("--json and --csv: want one of them")}
			}
			f, err := run.Find(runs.dir(), args[0])
			if err != nil {
				return err
			}
			read, err := report.Read(c.Context(), f)
			if err != nil {
				return err
			}
			m := measured{read}
			switch w := c.OutOrStdout(); {
			case asJSON:
				return m.writeJSON(w)
			case asCSV:
				return m.writeCSV(w)
			default:
				m.print(w)
				return nil
			}
		},
	}
	runs.add(c)
	c.Flags().BoolVar(&asJSON, "json", false, "print a JSON list with an object for each step and evaluation")
	c.Flags().BoolVar(&asCSV, "csv", false, "print CSV with a row for each step and evaluation")
	return c
}

// measured is a run's numbers, to be printed.
type measured struct{ *report.Measured }

func (m measured) print(w io.Writer) {
	rows := [][]string{{"METRIC", "LAST STEP", "LAST EVALUATION"}}
	for _, name := range m.Names {
		metric := m.Of[name]
		rows = append(rows, []string{name, metric.Text(m.Newest(report.Step, name)), metric.Text(m.Newest(report.Evaluation, name))})
	}
	printColumns(w, rows, 0)
}

func (m measured) writeCSV(w io.Writer) error {
	out := csv.NewWriter(w)
	rows := [][]string{append([]string{"kind", "step", "time"}, m.Names...)}
	for _, r := range m.Rows {
		row := []string{r.Kind, strconv.Itoa(r.Step), r.Time.UTC().Format(time.RFC3339Nano)}
		for _, name := range m.Names {
			text := ""
			if v := m.Value(r, name); !math.IsNaN(v) {
				text = strconv.FormatFloat(v, 'g', 7, 64)
			}
			row = append(row, text)
		}
		rows = append(rows, row)
	}
	return out.WriteAll(rows)
}

// metricsRow is a row of `metrics --json`. Values are as in events.jsonl: shares in [0,1], not percent.
type metricsRow struct {
	Kind    string             `json:"kind"` // step or evaluation
	Step    int                `json:"step"`
	Time    time.Time          `json:"time"`
	Metrics map[string]float64 `json:"metrics"` // by name: loss, reward/ASPECT; those that are known
}

func (m measured) writeJSON(w io.Writer) error {
	rows := []metricsRow{}
	for _, r := range m.Rows {
		known := map[string]float64{}
		for _, name := range m.Names {
			if v := m.Value(r, name); !math.IsNaN(v) {
				known[name] = v
			}
		}
		rows = append(rows, metricsRow{r.Kind, r.Step, r.Time, known})
	}
	return printJSON(w, rows)
}

// printJSON writes a value for programs.
func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(v)
}
