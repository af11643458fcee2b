package feed

import (
	"math"
	"sort"
	"strconv"
	"time"

	"focusnfix/core/words"
	"focusnfix/render"
)

// Axis is what curves are drawn against.
type Axis uint8

// The axes.
const (
	ByStep   Axis = iota // optimizer updates
	relative             // seconds since the run's first step
	wall                 // time of day
	Axes
)

func (a Axis) String() string { return [...]string{"step", "time since start", "time of day"}[a] }

// Label writes a value of the axis. There are only whole steps.
func (a Axis) Label() func(float64) string {
	switch a {
	case ByStep:
		return stepLabel
	case relative:
		return func(v float64) string { return words.Clock(time.Duration(v * float64(time.Second))) }
	case wall:
		return func(v float64) string { return time.Unix(int64(v), 0).Format("15:04") }
	}
	return nil
}

// stepLabel is 150, 12k, 1.5M, or nothing between two steps.
func stepLabel(v float64) string {
	switch {
	case v != math.Trunc(v):
		return ""
	case math.Abs(v) >= 1e6:
		return strconv.FormatFloat(v/1e6, 'f', -1, 64) + "M"
	case math.Abs(v) >= 1e4:
		return strconv.FormatFloat(v/1e3, 'f', -1, 64) + "k"
	}
	return strconv.FormatFloat(v, 'f', 0, 64)
}

// Describe writes a value of the axis for the legend.
func (a Axis) Describe(v float64) string {
	switch a {
	case relative:
		return words.Clock(time.Duration(v * float64(time.Second)))
	case wall:
		return time.Unix(int64(v), 0).Format("15:04:05")
	}
	return "step " + words.Number(v, 0)
}

// Line is a column of a table as it is drawn: against an axis, raw and smoothed.
type Line struct {
	Raw, smooth render.Series
	ema         ema
	axis        Axis
	rows        int // of the table that are in
	rewrote     int // the table's
	table       *table
	Smoothing   float64
	version     int
}

// Version grows when the line changes.
func (l *Line) Version() int { return l.version }

// void reports whether the line must be made anew to be that of the table, the axis and the smoothing.
func (l *Line) void(t *table, a Axis, smoothing float64) bool {
	return l.table != t || l.rewrote != t.rewrote || l.axis != a || l.Smoothing != smoothing || l.ema.unit != smoothingUnit(t)
}

// Pending is how many rows Update would take in at most.
func (l *Line) Pending(t *table, a Axis, smoothing float64) int {
	if l.void(t, a, smoothing) {
		return t.Rows()
	}
	return t.Rows() - l.rows
}

// Update takes in what the table has gained.
func (l *Line) Update(t *table, column string, a Axis, smoothing float64) {
	if l.void(t, a, smoothing) {
		l.Raw.Reset()
		l.smooth.Reset()
		average := ema{weight: smoothing, unit: smoothingUnit(t)}
		*l = Line{Raw: l.Raw, smooth: l.smooth, version: l.version + 1, axis: a, rewrote: t.rewrote, table: t, Smoothing: smoothing, ema: average}
	}
	c := t.Column(column)
	for i := l.rows; i < len(c); i++ {
		x := t.Step[i]
		switch a {
		case relative:
			x = t.Seconds[i] - t.Seconds[0]
		case wall:
			x = t.Seconds[i]
		}
		l.Raw.Append(x, c[i])
		if smoothing > 0 {
			l.smooth.Append(x, l.ema.next(t.Step[i], c[i]))
		}
	}
	if l.rows < len(c) {
		l.version++
	}
	l.rows = len(c)
}

// Shown is the series that counts: the smoothed one if there is one.
func (l *Line) Shown() *render.Series {
	if l.Smoothing > 0 {
		return &l.smooth
	}
	return &l.Raw
}

// Near is the shown value nearest to x, or NaN.
func (l *Line) Near(x float64) float64 {
	s := l.Shown()
	n := s.Len()
	if n == 0 {
		return math.NaN()
	}
	i := sort.Search(n, func(i int) bool { at, _ := s.At(i); return at >= x })
	if i == n {
		_, y := s.At(n - 1)
		return y
	}
	at, y := s.At(i)
	if i > 0 {
		if before, v := s.At(i - 1); x-before < at-x {
			return v
		}
	}
	return y
}

// smoothingUnit is how many steps count as one for smoothing: 1 up to a thousand steps, then more, so
// that a long curve is smoothed as much to the eye. It doubles, so that curves are seldom made anew.
func smoothingUnit(t *table) float64 {
	unit := 1.0
	if n := t.Rows(); n > 0 {
		for span := t.Step[n-1] - t.Step[0]; span > 1000*unit; {
			unit *= 2
		}
	}
	return unit
}

// ema is an exponential moving average whose start is not drawn towards zero (debiased, as Adam's moments)
// and that forgets by steps, not by points, so that it does not depend on how many points there are.
type ema struct {
	weight, unit float64 // of what was before, for each unit of steps
	sum, mass    float64
	last         float64
	begun        bool

	stride, kept float64 // steps between two points, and what is kept over them: mostly the same
}

// next is the average after one more value; a value that is none gives a gap and changes nothing.
func (e *ema) next(step, v float64) float64 {
	if v != v {
		return v
	}
	keep := e.weight
	if e.begun {
		if stride := step - e.last; stride != e.stride || e.kept == 0 {
			e.stride, e.kept = stride, math.Pow(e.weight, max(stride/e.unit, 0))
		}
		keep = e.kept
	}
	e.begun, e.last = true, step
	e.sum = keep*e.sum + (1-keep)*v
	e.mass = keep*e.mass + (1 - keep)
	if e.mass == 0 {
		return v
	}
	return e.sum / e.mass
}
