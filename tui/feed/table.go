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
	columns map[string]*column
	rewrote int // grows when rows change that were there before: what was made from them is void
}

// column is the values of a quantity, row by row; it may end before the last row. What is not known is NaN.
type column struct{ values []float64 }

func newTable() *table { return &table{columns: map[string]*column{}} }

// Column is the values of a quantity, row by row; it may end before the last row. What is not known is NaN.
func (t *table) Column(name string) []float64 {
	if c := t.columns[name]; c != nil {
		return c.values
	}
	return nil
}

// column is the column of that name, made if it is not there.
func (t *table) column(name string) *column {
	c := t.columns[name]
	if c == nil {
		c = &column{}
		t.columns[name] = c
	}
	return c
}

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

// set fills in a value of the row that was begun last.
func (t *table) set(name string, v float64) { t.column(name).set(len(t.Step), v) }

// set makes v the value of the last of so many rows, if it is known.
func (c *column) set(rows int, v float64) {
	if v-v != 0 { // not finite
		return
	}
	for len(c.values) < rows-1 {
		c.values = append(c.values, math.NaN())
	}
	c.values = append(c.values[:rows-1], v)
}

// Last is a column's newest value, or NaN.
func (t *table) Last(column string) float64 {
	c := t.Column(column)
	for i := len(c) - 1; i >= 0; i-- {
		if !math.IsNaN(c[i]) {
			return c[i]
		}
	}
	return math.NaN()
}

// Recent is the mean of a column's newest n known values, or NaN.
func (t *table) Recent(column string, n int) float64 {
	c, sum, known := t.Column(column), 0.0, 0
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
	c := t.Column(column)
	return c[max(0, len(c)-n):]
}

func (t *table) truncate(n int) {
	t.rewrote++
	t.Step, t.Seconds = t.Step[:n], t.Seconds[:n]
	for _, c := range t.columns {
		c.values = c.values[:min(n, len(c.values))]
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
	for _, c := range t.columns {
		for len(c.values) < len(t.Step) {
			c.values = append(c.values, math.NaN())
		}
		c.values = shorten(c.values, extremes)
	}
	t.Step, t.Seconds = shorten(t.Step, first), shorten(t.Seconds, first)
}

// extremes are the smallest and the largest of four values, in the order in which they came.
func extremes(g []float64) (a, b float64) {
	if a, b, c, d := g[0], g[1], g[2], g[3]; a <= b && b <= c && c <= d || a >= b && b >= c && c >= d { // none is NaN
		return a, d
	}
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
