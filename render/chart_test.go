package render

import (
	"bytes"
	"fmt"
	"image/color"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/charmbracelet/x/ansi"
)

var palette8 = []color.RGBA{
	{230, 159, 0, 255},
	{86, 180, 233, 255},
	{0, 158, 115, 255},
	{240, 228, 66, 255},
	{0, 114, 178, 255},
	{213, 94, 0, 255},
	{204, 121, 167, 255},
	{150, 150, 150, 255},
}

// noisy is a falling loss with noise, a curve of n points at x = 0, 1, ...
func noisy(n int, seed uint64) *Series {
	rng := rand.New(rand.NewPCG(seed, 5))
	s := new(Series)
	for i := range n {
		t := float64(i) / float64(n)
		s.Append(float64(i), math.Exp(-4*t)+0.05*rng.NormFloat64()+0.1*float64(seed))
	}
	return s
}

func of(values ...float64) *Series {
	s := new(Series)
	for i, v := range values {
		s.Append(float64(i), v)
	}
	return s
}

func TestChartGolden(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	grey := color.RGBA{120, 120, 120, 255}
	two := []Line{{Series: noisy(5000, 1), Color: palette8[0]}, {Series: noisy(3000, 3), Color: palette8[1]}}
	for _, c := range []struct {
		name  string
		chart Chart
		lines []Line
	}{
		{"noise", Chart{Cols: 60, Rows: 14, Axis: grey, Guides: true}, two},
		{"noise-ascii", Chart{Cols: 60, Rows: 14, Profile: ASCII}, two},
		{"noise-blocks-256", Chart{Cols: 60, Rows: 14, Profile: ANSI256, Blocks: true, Axis: grey}, two},
		{"window", Chart{Cols: 60, Rows: 10, XMin: 100, XMax: 130, Axis: grey, Rules: []float64{110, 125}}, two},
		{"gaps", Chart{Cols: 48, Rows: 10, Profile: ASCII}, []Line{{Series: of(1, 2, nan, 3, 4, inf, inf, 2, 5, nan, 1), Color: grey}}},
		{"log", Chart{Cols: 48, Rows: 12, LogY: true, Axis: grey}, []Line{{Series: of(1e-6, 1e-5, 0, 1e-3, 0.1, -4, 2, 30, 1000), Color: palette8[2]}}},
		{"constant", Chart{Cols: 40, Rows: 8, Axis: grey}, []Line{{Series: of(3, 3, 3, 3), Color: palette8[3]}}},
		{"one point", Chart{Cols: 40, Rows: 8, Axis: grey}, []Line{{Series: of(7), Color: palette8[3]}}},
		{"empty", Chart{Cols: 40, Rows: 6, Axis: grey}, []Line{{Series: new(Series), Color: palette8[3]}}},
		{"tiny", Chart{Cols: 8, Rows: 2}, two},
		{"dashed", Chart{Cols: 48, Rows: 8, Axis: grey}, []Line{{Series: of(1, 3, 2, 5), Color: palette8[0]}, {Series: of(5, 2, 2, 1), Color: palette8[1], Dashed: true}}},
		{"large numbers", Chart{Cols: 40, Rows: 8, Axis: grey}, []Line{{Series: of(1.2e6, 3.4e6, 2e6), Color: palette8[4]}}},
		{"small numbers", Chart{Cols: 40, Rows: 8, Axis: grey}, []Line{{Series: of(1e-5, 2e-5, 1.5e-5), Color: palette8[4]}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := c.chart.Draw(c.lines...)
			checkPlot(t, c.chart, p)
			golden(t, "chart-"+strings.ReplaceAll(c.name, " ", "-")+".golden", []byte(strings.Join(p.Lines, "\n")+"\n"))
		})
	}
}

func checkPlot(t *testing.T, c Chart, p Plot) {
	t.Helper()
	if len(p.Lines) != c.Rows {
		t.Fatalf("%d lines, want %d", len(p.Lines), c.Rows)
	}
	for _, l := range p.Lines {
		if w := ansi.StringWidth(l); w != c.Cols {
			t.Fatalf("a line of %d cells, want %d: %q", w, c.Cols, l)
		}
	}
}

// Any values, any size: no panic, the right number of cells, and nothing drawn for nothing finite.
func FuzzChart(f *testing.F) {
	f.Add(40, 10, 0.0, 0.0, 0.0, 0.0, false, []byte{1, 2, 3, 250, 7})
	f.Add(20, 5, 1.0, 2.0, 1e-300, 1e300, true, []byte{0, 255, 254, 9})
	f.Fuzz(func(t *testing.T, cols, rows int, x0, x1, y0, y1 float64, log bool, values []byte) {
		values = values[:min(len(values), 4000)]
		s := new(Series)
		extreme := []float64{math.NaN(), math.Inf(1), math.Inf(-1), math.MaxFloat64, -math.MaxFloat64, 5e-324, 0, -1}
		for i, v := range values {
			y := float64(v) - 100
			if v >= 248 {
				y = extreme[v-248]
			}
			s.Append(float64(i*int(v%5)), y)
		}
		c := Chart{Cols: 1 + int(uint(cols)%150), Rows: 1 + int(uint(rows)%60), XMin: x0, XMax: x1, YMin: y0, YMax: y1, LogY: log, Rules: []float64{x0}}
		checkPlot(t, c, c.Draw(Line{Series: s, Color: palette8[0]}, Line{Series: s, Color: palette8[1]}))
		c.Profile = ASCII
		checkPlot(t, c, c.Draw(Line{Series: s, Color: palette8[0]}))
	})
}

// A single high point among 100,000 must be seen.
func TestChartKeepsPeaks(t *testing.T) {
	s := new(Series)
	for i := range 100_000 {
		y := 0.0
		if i == 54_321 {
			y = 1
		}
		s.Append(float64(i), y)
	}
	p := Chart{Cols: 80, Rows: 20}.Draw(Line{Series: s, Color: palette8[0]})
	if top := ansi.Strip(p.Lines[0]); !strings.ContainsFunc(top, func(r rune) bool { return r > 0x2800 && r <= 0x28ff }) {
		t.Errorf("the top row is %q", top)
	}
}

// The pyramid must draw what a scan of every point draws.
func TestChartEqualsScan(t *testing.T) {
	s := noisy(20_000, 2)
	flat := &Series{x: s.x, y: s.y} // without levels each extent is a scan
	c := Chart{Cols: 100, Rows: 30}
	a, b := c.Draw(Line{Series: s, Color: palette8[0]}), c.Draw(Line{Series: flat, Color: palette8[0]})
	if got, want := strings.Join(a.Lines, "\n"), strings.Join(b.Lines, "\n"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestPlotX(t *testing.T) {
	p := Chart{Cols: 60, Rows: 10, XMin: 0, XMax: 100}.Draw(Line{Series: of(1, 2), Color: palette8[0]})
	for _, c := range []struct {
		col  int
		want float64
	}{{p.Left, 100 * 0.5 / float64(p.Cols)}, {59, 100 - 100*0.5/float64(p.Cols)}, {-5, 0}, {500, 100}} {
		if got := p.X(c.col); math.Abs(got-c.want) > 1e-9 {
			t.Errorf("X(%d) = %v, want %v", c.col, got, c.want)
		}
	}
}

func TestTicks(t *testing.T) {
	labels := func(ts []tick) string {
		var b bytes.Buffer
		for _, t := range ts {
			fmt.Fprint(&b, t.label, " ")
		}
		return strings.TrimSpace(b.String())
	}
	for _, c := range []struct{ got, want string }{
		{labels(ticks(0, 1, 5, nil)), "0 0.2 0.4 0.6 0.8 1.0"},
		{labels(ticks(-1, 1, 4, nil)), "-1.0 -0.5 0 0.5 1.0"},
		{labels(ticks(0, 100_000, 5, nil)), "0 20k 40k 60k 80k 100k"},
		{labels(ticks(1000, 2000, 4, nil)), "1.0k 1.5k 2.0k"},
		{labels(ticks(2.1e6, 2.3e6, 4, nil)), "2100k 2150k 2200k 2250k 2300k"},
		{labels(ticks(1e-5, 3e-5, 2, nil)), "1e-5 2e-5 3e-5"},
		{labels(ticks(0.1, 0.3, 2, nil)), "0.1 0.2 0.3"},
		{labels(ticks(0, 0, 5, nil)), ""},
		{labels(logTicks(-6, 3, 4, nil)), "1e-6 0.001 1 1k"},
		{labels(logTicks(-0.1, 1.2, 4, nil)), "1 2 5 10"},
	} {
		if c.got != c.want {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
}

func TestSparkline(t *testing.T) {
	nan := math.NaN()
	for _, c := range []struct {
		name   string
		values []float64
		cols   int
		p      Profile
		want   string
	}{
		{"rising", []float64{0, 1, 2, 3, 4, 5, 6, 7}, 8, TrueColor, "▁▂▃▄▅▆▇█"},
		{"gap", []float64{0, nan, 7}, 3, TrueColor, "▁ █"},
		{"few", []float64{1, 2}, 4, TrueColor, "  ▁█"},
		{"many", []float64{0, 0, 4, 4, 8, 8}, 3, TrueColor, "▁▅█"},
		{"constant", []float64{2, 2}, 2, TrueColor, "▄▄"},
		{"none", nil, 3, TrueColor, "   "},
		{"ascii", []float64{0, 7}, 2, ASCII, "_#"},
		{"huge", []float64{-math.MaxFloat64, math.MaxFloat64}, 2, TrueColor, "▁█"},
	} {
		if got := Sparkline(c.values, c.cols, c.p); got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}

func BenchmarkChart(b *testing.B) {
	var lines []Line
	for i := range 8 {
		lines = append(lines, Line{Series: noisy(100_000, uint64(i)), Color: palette8[i]})
	}
	for _, size := range [][2]int{{60, 14}, {100, 25}} {
		b.Run(fmt.Sprintf("8x100000/%dx%d", size[0], size[1]), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				Chart{Cols: size[0], Rows: size[1], Axis: palette8[7]}.Draw(lines...)
			}
		})
	}
	b.Run("append", func(b *testing.B) {
		b.ReportAllocs()
		s := new(Series)
		for i := range b.N {
			s.Append(float64(i), 1)
		}
	})
}

// The few first values of a PSNR, when base and tuned image are nearly equal, do not squash the rest.
func TestRobustRange(t *testing.T) {
	s := new(Series)
	for i := range 200 {
		y := 35 + math.Sin(float64(i)/9)
		if i < 2 {
			y = 100
		}
		s.Append(float64(i), y)
	}
	c := Chart{Cols: 80, Rows: 10, Robust: true}
	p := c.Draw(Line{Series: s})
	if p.YMax > 37 || p.Beyond != 1 {
		t.Errorf("range to %v, %d columns beyond; want 36 and a bit, 1", p.YMax, p.Beyond)
	}
	s.Append(200, -1e3)
	if p := c.Draw(Line{Series: s}); p.YMin < 33 || p.Beyond != 2 {
		t.Errorf("range from %v, %d columns beyond", p.YMin, p.Beyond)
	}
	two := new(Series) // a step is no outlier
	for i := range 200 {
		two.Append(float64(i), float64(i/150))
	}
	if p := c.Draw(Line{Series: two}); p.YMax < 1 || p.Beyond != 0 {
		t.Errorf("a step: range to %v, %d columns beyond", p.YMax, p.Beyond)
	}
}

// Rewards below zero are drawn on a logarithmic axis too.
func TestSymmetricLog(t *testing.T) {
	s := of(-1000, -10, -0.1, 0, 0.1, 10, 1000)
	p := Chart{Cols: 60, Rows: 12, LogY: true}.Draw(Line{Series: s})
	if p.YMin > -1000 || p.YMax < 1000 {
		t.Errorf("range %v to %v", p.YMin, p.YMax)
	}
	text := strings.Join(p.Lines, "\n")
	for _, label := range []string{"-1k", " 0", "1k"} {
		if !strings.Contains(text, label) {
			t.Errorf("no label %q in\n%s", label, text)
		}
	}
}

func TestScaleOfAxis(t *testing.T) {
	for _, s := range []scale{{}, {log: true}, {log: true, linear: 0.01}} {
		for _, y := range []float64{1e-3, 0.5, 7, 1e6} {
			if got := s.value(s.at(y)); math.Abs(got-y) > 1e-9*y {
				t.Errorf("%+v: %v comes back as %v", s, y, got)
			}
		}
	}
}
