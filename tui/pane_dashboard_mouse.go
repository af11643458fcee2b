package tui

import (
	"image"
	"math"

	tea "charm.land/bubbletea/v2"

	"focusnfix/tui/feed"
	"focusnfix/tui/widget"
)

// mouse takes the mouse over the dashboard.
func (p *dashboardPane) mouse(m widget.Mouse) tea.Cmd {
	if p.s.run == nil {
		return nil
	}
	if m.Action == widget.Release || m.Action == widget.Motion && m.Button == tea.MouseNone {
		p.drag = -1
	}
	for i, spec := range p.order()[:min(len(p.specs), len(p.layout.charts))] {
		if at := chartArea(p.layout.charts[i]); p.drag >= 0 || m.In(at) {
			p.mouseChart(m, i, spec, at)
			return p.refresh()
		}
	}
	if !p.pinned {
		p.cross = math.NaN()
	}
	p.mouseBelow(m)
	return p.refresh()
}

// mouseBelow is the mouse over what is no chart.
func (p *dashboardPane) mouseBelow(m widget.Mouse) {
	switch {
	case m.In(p.layout.table):
		if m.Left() && m.Y > p.layout.table.Min.Y {
			p.moveRow(m.Y - p.layout.table.Min.Y - 1 - p.row)
			p.toggleRow()
		}
		p.moveRow(m.Lines())
	case m.In(p.layout.log):
		p.scrollLog(-3 * m.Lines())
	case m.In(p.layout.pictures) && m.Left():
		p.flip(1)
	case m.In(p.layout.pictures):
		if n := m.Lines(); n != 0 {
			p.back(n)
		}
	}
}

// mouseChart is the mouse over a chart: hovering shows the hairline, the wheel zooms, dragging pans, a click
// makes a small chart the large one.
func (p *dashboardPane) mouseChart(m widget.Mouse, i, spec int, at image.Rectangle) {
	plot := p.curves.Plot(p.specs[spec], p.chartStyle(spec), at.Dx(), at.Dy())
	x := plot.X(m.X - at.Min.X)
	switch {
	case m.Lines() != 0:
		p.curves.Zoom(p.specs, math.Pow(1.3, float64(-m.Lines())), x)
	case m.Left() && i > 0:
		p.chosen = spec
	case m.Left():
		p.drag = m.X
		if p.pinned {
			p.cross = x
		}
	case m.Action == widget.Motion && p.drag >= 0:
		if plot.Cols > 0 {
			p.curves.Pan(p.specs, float64(p.drag-m.X)/float64(plot.Cols))
		}
		p.drag = m.X
	case m.Action == widget.Motion && !p.pinned:
		p.cross = x
		if p.curves.Axis == feed.ByStep {
			p.cross = math.Round(x)
		}
	}
}
