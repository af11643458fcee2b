package feed

import (
	"math"
	"sort"
	"time"
)

// maxRows bounds a table. Beyond it, older rows are thinned: of every four, each column keeps its smallest
// and its largest value. So a run of any length takes the same memory and no peak is lost.
const maxRows = 100_000

// table has one row for each step that was measured and one column for each quantity.
type table struct {
	Step    []float64
	Seconds []float64 // since 1970; never falls
	Columns map[string][]float64
	rewrote int // grows when rows change that were there before: what was made from them is void
}

func newTable() *table { return &table{Columns: map[string][]float64{}} }

func (t *table) Rows() int { return len(t.Step) }

// begin adds a row. A step that is not after the last goes back: the rows from there on are dropped.
func (t *table) begin(step int, at time.Time) {
	s := float64(step)
	if n := len(t.Step); n > 0 && s <= t.Step[n-1] {
		t.truncate(sort.SearchFloat64s(t.Step, s))
	}
	if len(t.Step) >= maxRows {
		t.thin()
	}
	when := float64(at.UnixMicro()) / 1e6
	if n := len(t.Seconds); n > 0 {
		when = max(when, t.Seconds[n-1])
	}
	t.Step, t.Seconds = append(t.Step, s), append(t.Seconds, when)
}

// set fills in a value of the row that was begun last. What is not known is NaN.
func (t *table) set(column string, v float64) {
	c, ok := t.Columns[column]
	if math.IsInf(v, 0) || v != v {
		return
	}
	if !ok {
		c = make([]float64, 0, max(64, cap(t.Step)))
	}
	for len(c) < len(t.Step)-1 {
		c = append(c, math.NaN())
	}
	if len(c) == len(t.Step) {
		c[len(c)-1] = v
	} else {
		c = append(c, v)
	}
	t.Columns[column] = c
}

// Last is a column's newest value, or NaN.
func (t *table) Last(column string) float64 {
	c := t.Columns[column]
	for i := len(c) - 1; i >= 0; i-- {
		if c[i] == c[i] {
			return c[i]
		}
	}
	return math.NaN()
}

// Recent is the mean of a column's newest n known values, or NaN.
func (t *table) Recent(column string, n int) float64 {
	c, sum, known := t.Columns[column], 0.0, 0
	for i := len(c) - 1; i >= 0 && known < n; i-- {
		if !math.IsNaN(c[i]) {
			sum += c[i]
			known++
		}
	}
	return sum / float64(known) // 0/0 is NaN
}

// Tail is a column's newest n values, for a sparkline; fewer where there are fewer rows.
func (t *table) Tail(column string, n int) []float64 {
	c := t.Columns[column]
	return c[max(0, len(c)-n):]
}

func (t *table) truncate(n int) {
	t.rewrote++
	t.Step, t.Seconds = t.Step[:n], t.Seconds[:n]
	for name, c := range t.Columns {
		t.Columns[name] = c[:min(n, len(c))]
	}
}

// thin halves the number of rows.
func (t *table) thin() {
	t.rewrote++
	groups := len(t.Step) / 4
	rest := groups * 4
	shorten := func(c []float64, pair func(g []float64) (a, b float64)) []float64 {
		n := 0
		for i := 0; i+4 <= min(rest, len(c)); i += 4 {
			c[n], c[n+1] = pair(c[i : i+4])
			n += 2
		}
		return append(c[:n], c[min(rest, len(c)):]...)
	}
	first := func(g []float64) (a, b float64) { return g[0], g[2] }
	for name, c := range t.Columns {
		for len(c) < len(t.Step) {
			c = append(c, math.NaN())
		}
		t.Columns[name] = shorten(c, extremes)
	}
	t.Step, t.Seconds = shorten(t.Step, first), shorten(t.Seconds, first)
}

// extremes are the smallest and the largest of four values, in the order in which they came.
func extremes(g []float64) (a, b float64) {
	lo, hi := -1, -1
	for i, v := range g {
		if v != v {
			continue
		}
		if lo < 0 || v < g[lo] {
			lo = i
		}
		if hi < 0 || v > g[hi] {
			hi = i
		}
	}
	switch {
	case lo < 0:
		return math.NaN(), math.NaN()
	case lo <= hi:
		return g[lo], g[hi]
	}
	return g[hi], g[lo]
}
