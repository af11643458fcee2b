package tui

import (
	"fmt"
	"image"
	"math"
	"slices"

	tea "charm.land/bubbletea/v2"

	"focusnfix/render"
	"focusnfix/tui/chart"
	"focusnfix/tui/feed"
	"focusnfix/tui/picture"
	"focusnfix/tui/widget"
)

// dashboardPane watches the run: numbers, curves, the log, and one picture before and after.
type dashboardPane struct {
	s      *shared
	w, h   int
	layout dashboardLayout
	curves chart.Curves
	specs  []chart.Spec
	chosen int          // of specs: the large chart
	logY   map[int]bool // of specs
	full   bool         // the chosen chart alone
	hidden map[string]bool
	held   bool    // held-out curves are shown
	cross  float64 // x of the hairline, or NaN
	pinned bool    // the hairline stays when the mouse leaves
	row    int     // of the table
	scroll int     // lines of the log below the last visible one
	drag   int     // column where a drag is now, or -1
	plots  []plot  // as drawn last, for the mouse

	pictureState
}

// plot is a chart as it was drawn and the spec that it shows.
type plot struct {
	render.Plot
	spec int
	at   image.Rectangle
}

func newDashboardPane(s *shared) *dashboardPane {
	return &dashboardPane{
		s: s, logY: map[int]bool{}, hidden: map[string]bool{}, held: true, cross: math.NaN(), drag: -1,
		pictureState: pictureState{newest: true},
	}
}

func (p *dashboardPane) title() string { return "Dashboard" }

func (p *dashboardPane) typing() bool { return false }

func (p *dashboardPane) update(msg tea.Msg) tea.Cmd {
	switch msg := msg.(type) {
	case sizeMsg:
		p.w, p.h = msg.w, msg.h
	case openedMsg:
		p.curves.Lines, p.curves.Window = nil, chart.Window{}
		p.cross, p.pinned, p.full, p.scroll, p.row = math.NaN(), false, false, 0, 0
		p.pictureState = pictureState{newest: true, overlay: p.overlay}
	case eventsMsg, stateMsg, encodeMsg, visibleMsg, settingsMsg:
	case widget.Mouse:
		return p.mouse(msg)
	default:
		return nil
	}
	return p.refresh()
}

// refresh brings everything that is derived up to date and wants the pictures.
func (p *dashboardPane) refresh() tea.Cmd {
	if p.s.run == nil {
		p.specs = nil
		return nil
	}
	store := p.s.run.Store
	p.curves.Smoothing = p.s.settings.Smoothing
	p.specs = chartSpecs(store, p.hidden, p.held)
	p.chosen = min(p.chosen, len(p.specs)-1)
	p.curves.Refresh(store, p.specs)
	p.row = min(p.row, len(tableRows(store))-1)
	p.layout = layoutDashboard(p.w, p.h, p.s.probe.Terminal().Cell, len(tableRows(store))+1, len(p.specs), p.hasPictures(), p.full)
	return p.wantPictures()
}

func (p *dashboardPane) hasPictures() bool {
	return p.s.run != nil && len(p.s.run.Store.PictureSteps) > 0 && p.s.probe.Terminal().Protocol != picture.Off
}

// order is the specs in the order of the layout's charts.
func (p *dashboardPane) order() []int {
	order := []int{p.chosen}
	for i := range p.specs {
		if i != p.chosen {
			order = append(order, i)
		}
	}
	return order
}

func (p *dashboardPane) keys() []binding {
	return append(p.controlKeys(), p.viewKeys()...)
}

// viewKeys change what is shown and nothing else.
func (p *dashboardPane) viewKeys() []binding {
	do := func(f func()) func() tea.Cmd {
		return func() tea.Cmd {
			f()
			return p.refresh()
		}
	}
	move := func(n int) func() tea.Cmd { return do(func() { p.moveRow(n) }) }
	return []binding{
		bind(do(func() { p.choose(1) }), "chart", "next chart becomes the large one", "]"),
		bind(do(func() { p.choose(-1) }), "", "chart before", "["),
		bind(do(func() { p.full = !p.full }), "full", "the large chart over the whole screen", "f"),
		bind(do(p.inspect), "inspect", "a hairline with the values at one place; the arrows move it", "i"),
		bind(do(func() { p.sideways(-1) }), "", "move the hairline, or the window of a zoomed chart, left", "left", "h"),
		bind(do(func() { p.sideways(1) }), "", "the same, right", "right", "l"),
		bind(do(func() { p.zoom(1.5) }), "zoom", "zoom in around the hairline, or the newest step", "+", "="),
		bind(do(func() { p.zoom(1 / 1.5) }), "", "zoom out", "-"),
		bind(do(func() { p.curves.Window = chart.Window{} }), "", "the whole curve", "0", "home"),
		bind(do(p.nextAxis), "axis", "x axis: steps, time since the start, time of day", "a"),
		bind(do(func() { p.logY[p.chosen] = !p.logY[p.chosen] }), "", "logarithmic y axis", "y"),
		bind(func() tea.Cmd { return p.smooth(1) }, "", "smoother curves; the raw curve stays behind them, pale", ">"),
		bind(func() tea.Cmd { return p.smooth(-1) }, "", "less smooth curves", "<"),
		bind(move(1), "", "next row of the table", "down", "j"),
		bind(move(-1), "", "row before", "up", "k"),
		bind(do(p.toggleRow), "curve", "show or hide the row's curve", "space"),
		bind(do(func() { p.held = !p.held }), "", "show or hide the held-out judges' curves (dashed)", "o"),
		bind(do(func() { p.flip(1) }), "picture", "next picture", "n"),
		bind(do(func() { p.flip(-1) }), "", "picture before", "N"),
		bind(do(func() { p.back(-1) }), "", "pictures of an earlier step; they stay then", ","),
		bind(do(func() { p.back(1) }), "", "pictures of a later step", "."),
		bind(do(func() { p.newest = true }), "", "follow the newest pictures", "end"),
		bind(do(func() { p.overlay = (p.overlay + 1) % overlays }), "heat", "over the pictures: heatmap, outline of the mask, nothing", "m"),
		bind(do(func() { p.scroll += 5 }), "", "scroll the log back", "pgup"),
		bind(do(func() { p.scroll = max(p.scroll-5, 0) }), "", "scroll the log forward", "pgdown"),
		bind(do(p.escape), "", "leave full screen, hairline, zoom", "esc"),
		{keys: []string{"mouse"}, help: "wheel zooms a chart, dragging moves it, hovering shows values; click a small chart, a row, a picture"},
	}
}

func (p *dashboardPane) choose(n int) {
	if len(p.specs) > 0 {
		p.chosen = (p.chosen + n + len(p.specs)) % len(p.specs)
	}
}

func (p *dashboardPane) escape() {
	switch {
	case p.pinned:
		p.pinned, p.cross = false, math.NaN()
	case p.full:
		p.full = false
	default:
		p.curves.Window = chart.Window{}
	}
}

func (p *dashboardPane) nextAxis() {
	p.curves.Axis = (p.curves.Axis + 1) % feed.Axes
	p.curves.Window, p.cross, p.pinned = chart.Window{}, math.NaN(), false
}

// inspect turns the hairline on, at the newest step, or off.
func (p *dashboardPane) inspect() {
	p.pinned = !p.pinned
	p.cross = math.NaN()
	if p.pinned {
		_, hi := p.shownRange()
		p.cross = hi
	}
}

// shownRange is the part of the x axis that is on the screen.
func (p *dashboardPane) shownRange() (lo, hi float64) {
	if w := p.curves.Window; !w.All() {
		return w.Lo, w.Hi
	}
	return p.curves.Extent(p.specs)
}

// sideways moves the hairline by a column's worth and at least to the next point, or the window.
func (p *dashboardPane) sideways(n int) {
	if !p.pinned {
		p.curves.Pan(p.specs, 0.2*float64(n))
		return
	}
	lo, hi := p.shownRange()
	d := (hi - lo) / float64(max(p.layout.charts[0].Dx()-8, 20))
	if p.curves.Axis == feed.ByStep {
		d = max(math.Round(d), 1)
	}
	p.cross = min(max(p.cross+d*float64(n), lo), hi)
	if p.curves.Axis == feed.ByStep {
		p.cross = math.Round(p.cross)
	}
}

func (p *dashboardPane) zoom(factor float64) {
	at := p.cross
	if at != at {
		_, at = p.shownRange()
	}
	p.curves.Zoom(p.specs, factor, at)
}

// smoothings are the steps of smoothing.
var smoothings = []float64{0, 0.3, 0.6, 0.8, 0.9, 0.95, 0.98, 0.99}

func (p *dashboardPane) smooth(n int) tea.Cmd {
	i := 0
	for i < len(smoothings)-1 && smoothings[i] < p.s.settings.Smoothing-1e-9 {
		i++
	}
	next := p.s.settings
	next.Smoothing = smoothings[max(min(i+n, len(smoothings)-1), 0)]
	text := "smoothing off"
	if next.Smoothing > 0 {
		text = fmt.Sprintf("smoothing %.4g", next.Smoothing)
	}
	return tea.Batch(p.s.change(next), p.s.say("%s", text))
}

func (p *dashboardPane) moveRow(n int) {
	if p.s.run != nil {
		p.row = max(min(p.row+n, len(tableRows(p.s.run.Store))-1), 0)
	}
}

// toggleRow shows or hides the row's reward curve. A row of another quantity makes its chart the large one.
func (p *dashboardPane) toggleRow() {
	if p.s.run == nil {
		return
	}
	row := tableRows(p.s.run.Store)[p.row]
	switch {
	case row.curve == "":
		on := !p.hidden["reward/"+safety[0]] // the group: all as the first is not
		for _, a := range safety {
			p.hidden["reward/"+a] = on
		}
	case row.color < 0:
		p.chosen = max(slices.IndexFunc(p.specs, func(c chart.Spec) bool { return c.Lines[0].Column == row.curve }), 0)
	default:
		p.hidden[row.curve] = !p.hidden[row.curve]
		p.chosen = 0
	}
}
