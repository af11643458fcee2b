package report

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"focusnfix/core"
	"focusnfix/core/words"
)

// Size of a chart, in units of its SVG, and where its curves are.
const (
	chartW, chartH                 = 640, 270
	plotL, plotT, plotR, plotB     = 58, 10, 628, 240
	mostPoints                     = 600 // of a curve; longer ones keep the extremes of pieces
	smoothing                      = 0.6 // as the screen's default
	farOut                     int = 3   // a range is cut where it is so many times that of 98 % of the values
)

// chart is a drawn chart.
type chart struct {
	Number int
	Title  string
	Unit   string
	Legend []legendEntry
	Beyond int // values that lie outside of the range shown

	W, H, L, T, R, B int
	X, Y             []tick
	Lines            []line
}

type legendEntry struct{ Class, Name, Last string }

type tick struct {
	At    string
	Label string
}

// line is a curve: the raw values pale, and over them the smoothed ones.
type line struct{ Class, Raw, Smooth, Dots string }

// chartData is a chart's numbers, which the script shows under the pointer.
type chartData struct {
	Title, Unit    string       `json:"-"`
	Digits         int          `json:"digits"`
	X0, X1, Y0, Y1 float64      `json:"-"`
	Range          [4]float64   `json:"range"` // x0, x1, y0, y1
	Series         []seriesData `json:"series"`
	beyond         int
}

type seriesData struct {
	Name   string    `json:"name"`
	Class  string    `json:"class"`
	X      []float64 `json:"x"`
	Y      []float64 `json:"y"`
	smooth []float64
	dots   bool
}

// wanted is a curve that a chart may have.
type wanted struct {
	chart string
	name  string // of the metric's column, or gain/ASPECT
	kind  string
	m     core.Metric
	title string
	own   bool // the chart is none of the metric's: its name says what the title does not
}

// chartsOf are the charts of runs: of one run a chart for each kind of number, with a curve for each; of several a
// chart for each number, with a curve for each run.
func chartsOf(all []gathered) (charts []chartData) {
	var order []wanted
	for _, g := range all {
		for _, w := range g.wanted() {
			if !slices.ContainsFunc(order, func(o wanted) bool { return o.chart == w.chart && o.name == w.name && o.kind == w.kind }) {
				order = append(order, w)
			}
		}
	}
	at := map[string]int{}
	for _, w := range order {
		key, name := w.chart, w.title
		if len(all) > 1 {
			if key = w.title; w.own {
				key = w.chart + ": " + w.title
			}
		}
		for i, g := range all {
			x, y := g.curve(w)
			if len(x) == 0 {
				continue
			}
			n, known := at[key]
			if !known {
				n = len(charts)
				at[key] = n
				charts = append(charts, chartData{Title: key, Unit: w.m.Unit, Digits: w.m.Digits})
			}
			c := &charts[n]
			s := seriesData{Name: name, Class: seriesClass(len(c.Series)), X: x, Y: y, dots: w.kind == Evaluation}
			if len(all) > 1 {
				s.Name, s.Class = g.folder.Name(), seriesClass(i)
			}
			c.Series = append(c.Series, s)
		}
	}
	charts = slices.DeleteFunc(charts, chartData.flat)
	for i := range charts {
		charts[i].prepare()
	}
	return charts
}

// flat reports whether a chart's numbers are one, step after step; the table has it.
func (c chartData) flat() bool {
	first, n := c.Series[0].Y[0], 0
	for _, s := range c.Series {
		n = max(n, len(s.Y))
		if slices.ContainsFunc(s.Y, func(v float64) bool { return v != first }) {
			return false
		}
	}
	return n > 1
}

// wanted are the curves of a run, the gain first: what tuning changed in the same images.
func (g gathered) wanted() (all []wanted) {
	reward := core.AspectMetric("reward")
	for _, name := range g.Names {
		if aspect, found := strings.CutPrefix(name, "reward/"); found {
			all = append(all, wanted{"gain over base", "gain/" + aspect, Step, reward, words.Aspect(aspect), true})
		}
	}
	for _, name := range g.Names {
		if aspect, found := strings.CutPrefix(name, "held_out/"); found {
			all = append(all, wanted{"held-out prompts, held-out judges", name, Evaluation, g.Of[name], words.Aspect(aspect), true})
		}
		if aspect, found := strings.CutPrefix(name, "fixed/"); found {
			all = append(all, wanted{"faults fixed on held-out prompts", name, Evaluation, g.Of[name], words.Aspect(aspect), true})
		}
	}
	for _, name := range g.Names {
		if m := g.Of[name]; m.Chart != "" {
			all = append(all, wanted{m.Chart, name, Step, m, title(m, name), false})
		}
	}
	return all
}

// curve is a metric over steps.
func (g gathered) curve(w wanted) (x, y []float64) {
	aspect, isGain := strings.CutPrefix(w.name, "gain/")
	for _, r := range g.Rows {
		if r.Kind != w.kind {
			continue
		}
		v := g.Value(r, w.name)
		if isGain {
			v = g.Value(r, "reward/"+aspect) - g.Value(r, "base/"+aspect)
		}
		if !math.IsNaN(v) && !math.IsInf(v, 0) {
			x, y = append(x, float64(r.Step)), append(y, w.m.Shown(v))
		}
	}
	return x, y
}

// prepare smooths and thins the curves, and finds the ranges.
func (c *chartData) prepare() {
	var values []float64
	c.X0, c.X1 = math.Inf(1), math.Inf(-1)
	for i := range c.Series {
		s := &c.Series[i]
		values = append(values, s.Y...)
		c.X0, c.X1 = min(c.X0, s.X[0]), max(c.X1, s.X[len(s.X)-1])
		s.smooth = smoothed(s.Y)
		s.thin()
	}
	slices.Sort(values)
	n := len(values)
	c.Y0, c.Y1 = values[0], values[n-1]
	if low, high := values[n/100], values[n-1-n/100]; n >= 20 && high > low && c.Y1-c.Y0 > float64(farOut)*(high-low) {
		pad := (high - low) / 5
		c.Y0, c.Y1 = max(c.Y0, low-pad), min(c.Y1, high+pad)
	}
	for _, v := range values {
		if v < c.Y0 || v > c.Y1 {
			c.beyond++
		}
	}
	if c.X1 == c.X0 {
		c.X0, c.X1 = c.X0-1, c.X1+1
	}
	if pad := (c.Y1 - c.Y0) / 20; pad > 0 {
		c.Y0, c.Y1 = c.Y0-pad, c.Y1+pad
	} else {
		c.Y0, c.Y1 = c.Y0-1, c.Y1+1
	}
	c.Range = [4]float64{c.X0, c.X1, c.Y0, c.Y1}
}

// smoothed is the debiased exponential mean.
func smoothed(y []float64) []float64 {
	out := make([]float64, len(y))
	mean, weight := 0.0, 0.0
	for i, v := range y {
		mean = smoothing*mean + (1-smoothing)*v
		weight = smoothing*weight + (1 - smoothing)
		out[i] = mean / weight
	}
	return out
}

// thin keeps the smallest and the largest of each piece of a long curve.
func (s *seriesData) thin() {
	n := len(s.Y)
	if n <= mostPoints {
		return
	}
	var x, y, smooth []float64
	pieces := mostPoints / 2
	for p := range pieces {
		from, to := p*n/pieces, (p+1)*n/pieces
		low, high := from, from
		for i := from; i < to; i++ {
			if s.Y[i] < s.Y[low] {
				low = i
			}
			if s.Y[i] > s.Y[high] {
				high = i
			}
		}
		for _, i := range []int{min(low, high), max(low, high)} {
			x, y, smooth = append(x, s.X[i]), append(y, s.Y[i]), append(smooth, s.smooth[i])
		}
	}
	s.X, s.Y, s.smooth = x, y, smooth
}

// draw draws a chart.
func (c chartData) draw(number int) chart {
	d := chart{
		Number: number, Title: c.Title, Unit: c.Unit, Beyond: c.beyond,
		W: chartW, H: chartH, L: plotL, T: plotT, R: plotR, B: plotB,
	}
	for _, v := range ticks(c.X0, c.X1, 6) {
		d.X = append(d.X, tick{number1(c.atX(v)), label(v, c.X1-c.X0)})
	}
	for _, v := range ticks(c.Y0, c.Y1, 5) {
		d.Y = append(d.Y, tick{number1(c.atY(v)), label(v, c.Y1-c.Y0)})
	}
	for _, s := range c.Series {
		l := line{Class: s.Class}
		if s.dots {
			l.Smooth = c.path(s.X, s.Y)
			for i := range s.X {
				l.Dots += fmt.Sprintf("M%s %sh0", number1(c.atX(s.X[i])), number1(c.atY(s.Y[i])))
			}
		} else {
			l.Raw, l.Smooth = c.path(s.X, s.Y), c.path(s.X, s.smooth)
		}
		d.Lines = append(d.Lines, l)
		last := strconv.FormatFloat(s.smooth[len(s.smooth)-1], 'f', c.Digits, 64)
		if s.dots {
			last = strconv.FormatFloat(s.Y[len(s.Y)-1], 'f', c.Digits, 64)
		}
		d.Legend = append(d.Legend, legendEntry{s.Class, s.Name, last})
	}
	return d
}

func (c chartData) atX(v float64) float64 { return plotL + (v-c.X0)/(c.X1-c.X0)*(plotR-plotL) }

// atY stays near the plot, so that a value far out does not make a number that browsers cannot draw.
func (c chartData) atY(v float64) float64 {
	return min(max(plotB-(v-c.Y0)/(c.Y1-c.Y0)*(plotB-plotT), -1000), 1000)
}

func (c chartData) path(x, y []float64) string {
	var b strings.Builder
	command := "M"
	for i := range x {
		b.WriteString(command)
		command = "L"
		b.WriteString(number1(c.atX(x[i])) + " " + number1(c.atY(y[i])))
	}
	return b.String()
}

// number1 is a coordinate.
func number1(v float64) string { return strconv.FormatFloat(v, 'f', 1, 64) }

// ticks are round numbers in a range, about n of them.
func ticks(lo, hi float64, n int) (at []float64) {
	raw := (hi - lo) / float64(n)
	size := math.Pow(10, math.Floor(math.Log10(raw)))
	step := 10 * size
	for _, f := range []float64{1, 2, 5} {
		if f*size >= raw {
			step = f * size
			break
		}
	}
	for k := math.Ceil(lo / step); k*step <= hi && len(at) < 3*n; k++ {
		at = append(at, k*step)
	}
	return at
}

// label is a tick's number, with as many digits as the range needs.
func label(v, span float64) string {
	switch {
	case span >= 1e6 || span < 1e-4:
		return strconv.FormatFloat(v, 'g', 3, 64)
	case v == math.Trunc(v) && span >= 2:
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
	digits := int(min(max(math.Ceil(1-math.Log10(span)), 0), 6))
	text := strconv.FormatFloat(v, 'f', digits, 64)
	if strings.Trim(text, "-0.") == "" {
		return "0"
	}
	return text
}
