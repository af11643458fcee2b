package tui

import (
	"math"

	tea "charm.land/bubbletea/v2"
)

// mouse takes the mouse over the dashboard.
func (p *dashboardPane) mouse(m mouseMsg) tea.Cmd {
	if p.s.run == nil {
		return nil
	}
	if m.action == release || m.action == motion && m.button == tea.MouseNone {
		p.drag = -1
	}
	for i, plot := range p.plots {
		if p.drag >= 0 || m.in(plot.at) {
			p.mouseChart(m, i, plot)
			return p.refresh()
		}
	}
	if !p.keep {
		p.cross = math.NaN()
	}
	p.mouseBelow(m)
	return p.refresh()
}

// mouseBelow is the mouse over what is no chart.
func (p *dashboardPane) mouseBelow(m mouseMsg) {
	switch {
	case m.in(p.layout.table):
		if m.left() && m.y > p.layout.table.Min.Y {
			p.moveRow(m.y - p.layout.table.Min.Y - 1 - p.row)
			p.toggleRow()
		}
		p.moveRow(m.lines())
	case m.in(p.layout.log):
		p.scroll = max(p.scroll-3*m.lines(), 0)
	case m.in(p.layout.pictures) && m.left():
		p.flip(1)
	case m.in(p.layout.pictures):
		if n := m.lines(); n != 0 {
			p.back(n)
		}
	}
}

// mouseChart is the mouse over a chart: hovering shows the hairline, the wheel zooms, dragging pans, a click
// makes a small chart the large one.
func (p *dashboardPane) mouseChart(m mouseMsg, i int, at plot) {
	x := at.X(m.x - at.at.Min.X)
	switch {
	case m.lines() != 0:
		p.curves.zoom(p.specs, math.Pow(1.3, float64(-m.lines())), x)
	case m.left() && i > 0:
		p.chosen = at.spec
	case m.left():
		p.drag = m.x
		if p.keep {
			p.cross = x
		}
	case m.action == motion && p.drag >= 0:
		if at.Cols > 0 {
			p.curves.pan(p.specs, float64(p.drag-m.x)/float64(at.Cols))
		}
		p.drag = m.x
	case m.action == motion && !p.keep:
		p.cross = x
		if p.curves.axis == byStep {
			p.cross = math.Round(x)
		}
	}
}
