package tui

import (
	"fmt"
	"math"
	"slices"

	tea "charm.land/bubbletea/v2"

	"focusnfix/tui/chart"
	"focusnfix/tui/feed"
	"focusnfix/tui/picture"
	"focusnfix/tui/widget"
)

// dashboardPane watches the run: numbers, curves, the log, and one image before and after.
type dashboardPane struct {
	s      *shared
	w, h   int
	layout dashboardLayout
	curves chart.Curves
	specs  []chart.Spec
	chosen int             // of specs: the large chart
	logY   map[string]bool // by title of the chart
	full   bool            // the chosen chart alone
	grid   bool            // many charts alone; see layoutGrid
	filter string          // pattern for charts and lines of the log
	hidden map[string]bool
	held   bool    // held-out curves are shown
	cross  float64 // x of the hairline, or NaN
	pinned bool    // the hairline stays when the mouse leaves
	row    int     // of the table
	scroll int     // lines of the log below the last visible one
	logged int     // lines that the log had
	drag   int     // column where a drag is now, or -1
	job    *job    // an evaluation that is under way, or nil

	pictureState
}

func newDashboardPane(s *shared) *dashboardPane {
	return &dashboardPane{
		s: s, logY: map[string]bool{}, hidden: map[string]bool{}, held: true, cross: math.NaN(), drag: -1,
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
		p.curves.Reset()
		p.cross, p.pinned, p.full, p.scroll, p.row = math.NaN(), false, false, 0, 0
		p.filter = ""
		if p.job != nil {
			p.job.cancel()
		}
		p.job = nil
		p.pictureState = pictureState{newest: true, overlay: p.overlay}
	case eventsMsg, stateMsg, encodeMsg, visibleMsg, settingsMsg:
	case widget.Mouse:
		return p.mouse(msg)
	default:
		return p.measured(msg)
	}
	return p.refresh()
}

// refresh brings everything that is derived up to date and wants the images.
func (p *dashboardPane) refresh() tea.Cmd {
	if p.s.run == nil {
		p.specs = nil
		return nil
	}
	store := p.s.run.Store
	p.curves.Smoothing = p.s.settings.Smoothing
	p.specs = ordered(chartSpecs(store, p.hidden, p.held), p.s.settings.Charts)
	p.chosen = min(p.chosen, len(p.specs)-1)
	p.curves.Refresh(store, p.specs)
	p.row = min(p.row, len(tableRows(store))-1)
	log := p.log()
	if p.scroll > 0 { // what is being read stays where it is
		p.scrollLog(len(log) - p.logged)
	}
	p.logged = len(log)
	if p.grid {
		p.layout = p.layoutGrid()
		return nil
	}
	p.layout = layoutDashboard(p.w, p.h, p.s.probe.Terminal().Cell, len(tableRows(store))+1, len(p.specs), p.hasPictures(), p.full)
	return p.wantPictures()
}

func (p *dashboardPane) hasPictures() bool {
	return p.s.run != nil && len(p.s.run.Store.PictureSteps) > 0 && p.s.probe.Terminal().Protocol != picture.Off
}

// order is the specs in the order of the layout's charts.
func (p *dashboardPane) order() []int {
	if p.grid {
		return p.page()
	}
	order := []int{p.chosen}
	for _, i := range p.kept() {
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
		on(keyNextChart, do(func() { p.choose(1) })),
		on(keyPrevChart, do(func() { p.choose(-1) })),
		here(keyEnter, "full", "Show the large chart alone, or everything", do(func() { p.full, p.grid = !p.full, false })),
		on(keyInspect, do(p.inspect)),
		here(keyLeft, "", "Move the hairline, or the window of a zoomed chart, left", do(func() { p.sideways(-1) })),
		here(keyRight, "", "Move the hairline, or the window of a zoomed chart, right", do(func() { p.sideways(1) })),
		here(keyLarger, "zoom", "Zoom in around the hairline, or the newest step", do(func() { p.zoom(1.5) })),
		here(keySmaller, "", "Zoom out", do(func() { p.zoom(1 / 1.5) })),
		on(keyWhole, do(func() { p.curves.Window = chart.Window{} })),
		on(keyAxis, do(p.nextAxis)),
		on(keyLogY, do(p.switchLogY)),
		on(keyFind, p.find),
		on(keyGrid, do(func() { p.grid, p.full = !p.grid, false })),
		on(keyMoreCols, p.resizeGrid(0, 1)),
		on(keyFewerCols, p.resizeGrid(0, -1)),
		on(keyMoreRows, p.resizeGrid(1, 0)),
		on(keyFewerRows, p.resizeGrid(-1, 0)),
		here(keyShiftLeft, "", "Move the chosen chart to an earlier place", p.moveChart(-1)),
		here(keyShiftRight, "", "Move the chosen chart to a later place", p.moveChart(1)),
		on(keySave, p.save),
		on(keySmoother, func() tea.Cmd { return p.smooth(1) }),
		on(keyRougher, func() tea.Cmd { return p.smooth(-1) }),
		here(keyDown, "", "Go to the next row of the table", move(1)),
		here(keyUp, "", "Go to the previous row of the table", move(-1)),
		on(keyCurve, do(p.toggleRow)),
		on(keyHeldOut, do(func() { p.held = !p.held })),
		on(keyNextImage, do(func() { p.flip(1) })),
		on(keyPrevImage, do(func() { p.flip(-1) })),
		on(keyEarlier, do(func() { p.back(-1) })),
		on(keyLater, do(func() { p.back(1) })),
		here(keyEnd, "", "Follow the newest images", do(func() { p.newest = true })),
		on(keyHeat, do(func() { p.overlay = p.overlay.Next() })),
		here(keyPageUp, "", "Scroll the log back, or go to the previous page of charts", do(func() { p.pageBy(-1) })),
		here(keyPageDown, "", "Scroll the log forward, or go to the next page of charts", do(func() { p.pageBy(1) })),
		here(keyEsc, "", "Cancel an evaluation; leave hairline, full screen, grid, filter, zoom", do(p.escape)),
		note("mouse", "", "Wheel zooms a chart, dragging moves it, hovering shows values; click a small chart, a row, an image"),
	}
}

// choose goes to another of the charts that the filter leaves.
func (p *dashboardPane) choose(n int) {
	if kept := p.kept(); len(kept) > 0 {
		p.chosen = kept[(max(slices.Index(kept, p.chosen), 0)+n+len(kept))%len(kept)]
	}
}

// pageBy goes to another page of charts, or scrolls the log.
func (p *dashboardPane) pageBy(n int) {
	if p.grid {
		p.turn(n)
		return
	}
	p.scrollLog(-n * p.logRows())
}

func (p *dashboardPane) switchLogY() {
	if len(p.specs) > 0 {
		title := p.specs[p.chosen].Title
		p.logY[title] = !p.logY[title]
	}
}

func (p *dashboardPane) escape() {
	switch {
	case p.job != nil:
		p.job.cancel()
	case p.pinned:
		p.pinned, p.cross = false, math.NaN()
	case p.full, p.grid:
		p.full, p.grid = false, false
	case p.filter != "":
		p.filter = ""
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
		on := !p.hidden[safety[0]] // the group: all as the first is not
		for _, a := range safety {
			p.hidden[a] = on
		}
	case row.color < 0:
		p.chosen = max(slices.IndexFunc(p.specs, func(c chart.Spec) bool { return len(c.Lines) > 0 && c.Lines[0].Column == row.curve }), 0)
	default:
		p.hidden[row.hides()] = !p.hidden[row.hides()]
		gains := aspectCharts(p.s.run.Store, p.hidden, false)[0].Title // of the chart that shows what aspects gain
		p.chosen = max(slices.IndexFunc(p.specs, func(c chart.Spec) bool { return c.Title == gains }), 0)
	}
}
