// Package report tells what a run came to: its numbers step by step ([Measured]), and a page about one or several runs
// in a single HTML file ([Page]) that needs no network and no program to be read.
package report

import (
	"context"
	"errors"
	"math"
	"slices"
	"sort"
	"time"

	"focusnfix/core"
	"focusnfix/core/run"
)

// Kinds of rows.
const (
	Step       = "step"
	Evaluation = "evaluation"
)

// Row is what one step or evaluation measured.
type Row struct {
	Kind   string
	Step   int
	Time   time.Time
	values []float64 // by column; NaN, and what lies behind the end, is not known
}

// Measured is all that a run measured. Steps that a resume or a rollback made again are there once.
type Measured struct {
	Rows   []Row
	Names  []string               // columns, in the order of core's metrics: reward/violence
	Of     map[string]core.Metric // by name
	Alarms []core.Event
	Last   []core.Picture // of the newest step that has images
	LastAt int            // that step
	column map[string]int
}

// Read reads a run's log to its present end.
func Read(ctx context.Context, f run.Folder) (m *Measured, err error) {
	follower, err := f.Follow()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, follower.Close()) }()
	m = &Measured{Of: map[string]core.Metric{}, column: map[string]int{}}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for {
		waited := time.AfterFunc(time.Second, cancel) // a log without a line
		b, err := follower.Next(ctx)
		waited.Stop()
		if err != nil && len(m.Rows) == 0 && ctx.Err() == nil {
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

func (m *Measured) add(e *core.Event) {
	row := Row{Kind: e.Kind, Step: e.Step, Time: e.Time}
	set := func(metric core.Metric, name string, v float64) {
		if math.IsNaN(v) {
			return
		}
		i, known := m.column[name]
		if !known {
			i = len(m.Names)
			m.column[name], m.Of[name] = i, metric
			m.Names = append(m.Names, name)
		}
		for len(row.values) <= i {
			row.values = append(row.values, math.NaN())
		}
		row.values[i] = v
	}
	switch {
	case e.Train != nil:
		after := sort.Search(len(m.Rows), func(i int) bool { return m.Rows[i].Step >= e.Step })
		m.Rows = m.Rows[:after] // training has gone back and makes these again
		e.Train.Numbers(set)
	case e.Evaluation != nil:
		core.AspectNumbers(e.Evaluation.Aspects, set)
		set(core.StepMetric("outside_psnr"), "outside_psnr", e.Evaluation.OutsidePSNR)
	case e.Alarm != nil:
		m.Alarms = append(m.Alarms[max(0, len(m.Alarms)+1-mostAlarms):], *e)
		return
	case e.Kind == "pictures" && len(e.Pictures) > 0:
		m.Last, m.LastAt = e.Pictures, e.Step
		return
	default:
		return
	}
	m.Rows = append(m.Rows, row)
}

// Value is a metric's value in a row, or NaN.
func (m *Measured) Value(r Row, name string) float64 {
	if i, known := m.column[name]; known && i < len(r.values) {
		return r.values[i]
	}
	return math.NaN()
}

// Newest is the newest value of a metric from steps or evaluations, or NaN.
func (m *Measured) Newest(kind, name string) float64 {
	for _, r := range slices.Backward(m.Rows) {
		if v := m.Value(r, name); !math.IsNaN(v) && r.Kind == kind {
			return v
		}
	}
	return math.NaN()
}

// FinalSteps is over how many steps a final number is averaged.
const FinalSteps = 10

// Final is a metric's value in the last evaluation, else its mean over the last steps.
func (m *Measured) Final(name string) float64 {
	if v := m.Newest(Evaluation, name); !math.IsNaN(v) {
		return v
	}
	mean, _ := m.Mean(name)
	return mean
}

// Mean is a metric's mean over the last steps, and half of its 95 % confidence interval (Student's t; steps
// count as independent). Without a value both are NaN, with one the second.
func (m *Measured) Mean(name string) (mean, half float64) {
	var last []float64
	for _, r := range slices.Backward(m.Rows) {
		if v := m.Value(r, name); !math.IsNaN(v) && r.Kind == Step {
			if last = append(last, v); len(last) == FinalSteps {
				break
			}
		}
	}
	n := float64(len(last))
	for _, v := range last {
		mean += v / n
	}
	var squares float64
	for _, v := range last {
		squares += (v - mean) * (v - mean)
	}
	switch len(last) {
	case 0:
		return math.NaN(), math.NaN()
	case 1:
		return mean, math.NaN()
	}
	return mean, student[len(last)-1] * math.Sqrt(squares/(n-1)/n)
}

// student has Student's t for 97.5 % by degrees of freedom, 1 to 9.
var student = [FinalSteps]float64{0, 12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262}

// mostAlarms is how many alarms are kept, the newest ones.
const mostAlarms = 200
