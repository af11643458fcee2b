package cmd

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"sort"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"focusnfix/core"
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
			m, err := readMeasured(c.Context(), f)
			if err != nil {
				return err
			}
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

// measuredRow is what one step or evaluation measured.
type measuredRow struct {
	kind   string // step or evaluation
	step   int
	time   time.Time
	values map[string]float64 // by name, as core has them: reward/violence; those known
}

// measured is all that a run measured. Steps that a resume or a rollback made again are there once.
type measured struct {
	rows  []measuredRow
	names []string               // columns, in the order of core's metrics
	of    map[string]core.Metric // by name
}

// readMeasured reads a run's log to its present end.
func readMeasured(ctx context.Context, f run.Folder) (m *measured, err error) {
	follower, err := f.Follow()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, follower.Close()) }()
	m = &measured{of: map[string]core.Metric{}}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for {
		waited := time.AfterFunc(time.Second, cancel) // a log without a line
		b, err := follower.Next(ctx)
		waited.Stop()
		if err != nil && len(m.rows) == 0 && ctx.Err() == nil {
			return nil, err
		}
		for i := range b.Events {
			m.add(&b.Events[i])
		}
		if err != nil || b.Behind == 0 {
			return m, nil
		}
	}
}

func (m *measured) add(e *core.Event) {
	row := measuredRow{kind: e.Kind, step: e.Step, time: e.Time, values: map[string]float64{}}
	set := func(metric core.Metric, name string, v float64) {
		if math.IsNaN(v) {
			return
		}
		if _, known := m.of[name]; !known {
			m.of[name] = metric
			m.names = append(m.names, name)
		}
		row.values[name] = v
	}
	switch {
	case e.Train != nil:
		after := sort.Search(len(m.rows), func(i int) bool { return m.rows[i].step >= e.Step })
		m.rows = m.rows[:after] // training has gone back and makes these again
		e.Train.Numbers(set)
	case e.Evaluation != nil:
		core.AspectNumbers(e.Evaluation.Aspects, set)
		set(core.StepMetric("outside_psnr"), "outside_psnr", e.Evaluation.OutsidePSNR)
	default:
		return
	}
	m.rows = append(m.rows, row)
}

// last is the newest value of a metric from steps or evaluations, or NaN.
func (m *measured) last(kind, name string) float64 {
	for _, r := range slices.Backward(m.rows) {
		if v, known := r.values[name]; known && r.kind == kind {
			return v
		}
	}
	return math.NaN()
}

func (m *measured) print(w io.Writer) {
	rows := [][]string{{"METRIC", "LAST STEP", "LAST EVALUATION"}}
	for _, name := range m.names {
		metric := m.of[name]
		rows = append(rows, []string{name, metric.Text(m.last("step", name)), metric.Text(m.last("evaluation", name))})
	}
	printColumns(w, rows, 0)
}

func (m *measured) writeCSV(w io.Writer) error {
	out := csv.NewWriter(w)
	rows := [][]string{append([]string{"kind", "step", "time"}, m.names...)}
	for _, r := range m.rows {
		row := []string{r.kind, strconv.Itoa(r.step), r.time.UTC().Format(time.RFC3339Nano)}
		for _, name := range m.names {
			text := ""
			if v, known := r.values[name]; known {
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

func (m *measured) writeJSON(w io.Writer) error {
	rows := []metricsRow{}
	for _, r := range m.rows {
		rows = append(rows, metricsRow{r.kind, r.step, r.time, r.values})
	}
	return printJSON(w, rows)
}

// printJSON writes a value for programs.
func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(v)
}
