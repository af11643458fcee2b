package chart

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/charmbracelet/x/ansi"

	"focusnfix/core"
	"focusnfix/render"
	"focusnfix/tui/feed"
	"focusnfix/tui/widget"
)

// sampleStore has so many steps of four aspects.
func sampleStore(steps int) (*feed.Store, Spec) {
	s := feed.NewStore()
	spec := Spec{Title: "gain over base", Decimals: 3}
	for i := range steps {
		t := core.TrainStep{Reward: float64(i)}
		for k := range 4 {
			t.Aspects = append(t.Aspects, core.AspectScore{Aspect: fmt.Sprint("aspect-", k), Base: 0.25, Reward: 0.5 + float64(k)/10, HeldOut: math.NaN()})
		}
		s.Add(&core.Event{Kind: "step", Step: i, Time: time.Unix(int64(i), 0), Train: &t})
	}
	for k := range 4 {
		spec.Lines = append(spec.Lines, Line{Label: fmt.Sprint("aspect-", k), Column: fmt.Sprint("gain/aspect-", k), Color: k})
	}
	return s, spec
}

// A curve that is drawn has its value in the legend, however narrow the chart, and where there is room its name;
// smoothing is said. The curves are those of a run of all aspects: each with that of its held-out judge.
func TestLegendHasEveryCurve(t *testing.T) {
	s, spec := sampleStore(30)
	for k := range 4 {
		spec.Lines = append(spec.Lines, Line{Column: fmt.Sprint("base/aspect-", k), Color: k, Dashed: true})
	}
	spec.Lines[4].Label = "held out"
	c := Curves{Smoothing: 0.6}
	c.Refresh(s, []Spec{spec})
	for _, hairline := range []float64{math.NaN(), 17} {
		style := Style{Styles: widget.NewStyles(true), Profile: render.TrueColor, Hairline: hairline, Chosen: true}
		for w := 56; w < 200; w += 3 {
			rows := strings.Split(ansi.Strip(c.Draw(spec, style, w, 14)), "\n")
			head := strings.Join(rows[:c.legendRows(spec, style, w, 14)], "\n")
			for _, value := range []string{"0.250", "0.350", "0.450", "0.550", "smoothed 0.6"} {
				if !strings.Contains(head, value) {
					t.Errorf("%d columns: no %s in %q", w, value, head)
				}
			}
			if n := strings.Count(head, "0.250"); n != 5 {
				t.Errorf("%d columns: %d values of 0.250, want the first and four of held-out judges: %q", w, n, head)
			}
			for k := range 4 {
				if name := fmt.Sprint("aspect-", k); w >= 100 && !strings.Contains(head, name) {
					t.Errorf("%d columns: no %s in %q", w, name, head)
				}
			}
			for _, row := range rows {
				if n := ansi.StringWidth(row); n != w {
					t.Errorf("%d cells, want %d: %q", n, w, row)
				}
			}
			if len(rows) != 14 {
				t.Errorf("%d rows, want 14", len(rows))
			}
		}
	}
}

// Plot is where Draw draws.
func TestPlotIsWhereItIsDrawn(t *testing.T) {
	s, spec := sampleStore(50)
	var c Curves
	c.Refresh(s, []Spec{spec})
	style := Style{Styles: widget.NewStyles(true), Profile: render.TrueColor, Hairline: 30}
	p := c.Plot(spec, style, 80, 12)
	rows := strings.Split(ansi.Strip(c.Draw(spec, style, 80, 12)), "\n")
	column := -1
	for _, row := range rows {
		for x, r := range []rune(row) {
			if r == '┊' {
				column = x
			}
		}
	}
	if x := p.X(column); math.Abs(x-30) > 1 {
		t.Errorf("the hairline of step 30 is at column %d, which the mouse takes for %v", column, x)
	}
}

// Without colors series differ by how they are drawn, and the legend shows how.
func TestSeriesDifferWithoutColors(t *testing.T) {
	s, spec := sampleStore(100)
	var c Curves
	c.Refresh(s, []Spec{spec})
	style := Style{Styles: widget.NewStyles(true), Profile: render.Mono, Hairline: math.NaN()}
	text := ansi.Strip(c.Draw(spec, style, 100, 20))
	rows := map[string]bool{}
	for _, row := range strings.Split(text, "\n")[1:19] {
		if _, dots, ok := strings.Cut(row, "┤"); ok && strings.ContainsFunc(dots, func(r rune) bool { return r > 0x2800 && r < 0x2900 }) {
			rows[dots] = true
		} else if _, dots, ok := strings.Cut(row, "│"); ok && strings.ContainsFunc(dots, func(r rune) bool { return r > 0x2800 && r < 0x2900 }) {
			rows[dots] = true
		}
	}
	if len(rows) != 4 {
		t.Errorf("%d different rows of dots, want one for each of 4 series:\n%s", len(rows), text)
	}
	for _, mark := range []string{"━ aspect-0", "╍ aspect-1", "┅ aspect-2", "┉ aspect-3"} {
		if !strings.Contains(text, mark) {
			t.Errorf("no %q in the legend", mark)
		}
	}
}
