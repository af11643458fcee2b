package tui

import (
	"fmt"
	"image"
	"io"
	"slices"
	"strings"

	tea "charm.land/bubbletea/v2"

	"focusnfix/core"
	"focusnfix/tui/chart"
	"focusnfix/tui/find"
)

// The grid of charts: rows x columns as the user has set, in the user's order, on as many pages as they need.

// Bounds of the grid.
const (
	maxGridRows = 8
	maxGridCols = 6
	orderSep    = "|" // between titles in the setting
)

// ordered are the charts as the user has arranged them; those that have no place come after, in their own order.
func ordered(specs []chart.Spec, order string) []chart.Spec {
	titles := strings.Split(order, orderSep)
	place := func(s chart.Spec) int {
		if i := slices.Index(titles, s.Title); i >= 0 {
			return i
		}
		return len(titles)
	}
	slices.SortStableFunc(specs, func(a, b chart.Spec) int { return place(a) - place(b) })
	return specs
}

// matches reports whether a chart is one that is looked for, by its title or a curve of it.
func matches(p find.Pattern, spec chart.Spec) bool {
	return p.Match(spec.Title) || slices.ContainsFunc(spec.Lines, func(l chart.Line) bool { return p.Match(l.Label) || p.Match(l.Column) })
}

// kept are the charts that the filter leaves, by their place in specs; all where it leaves none.
func (p *dashboardPane) kept() []int {
	pattern := find.NewPattern(p.filter)
	var all, kept []int
	for i, spec := range p.specs {
		all = append(all, i)
		if matches(pattern, spec) {
			kept = append(kept, i)
		}
	}
	if len(kept) == 0 {
		return all
	}
	return kept
}

// gridSize is the user's rows and columns, as far as there is room for them.
func (p *dashboardPane) gridSize() (rows, cols int) {
	rows = max(min(p.s.settings.GridRows, (p.h-headerRows)/minChart), 1)
	cols = max(min(p.s.settings.GridCols, p.w/24), 1)
	return rows, cols
}

// layoutGrid puts the page of charts that has the chosen one below the header.
func (p *dashboardPane) layoutGrid() dashboardLayout {
	rows, cols := p.gridSize()
	l := dashboardLayout{header: image.Rect(0, 0, p.w, headerRows)}
	h := p.h - headerRows
	for i := range min(rows*cols, len(p.page())) {
		x, y := i%cols, i/cols
		l.charts = append(l.charts, image.Rect(x*p.w/cols, headerRows+y*h/rows, (x+1)*p.w/cols, headerRows+(y+1)*h/rows))
	}
	return l
}

// page is the charts of the grid's page that has the chosen one.
func (p *dashboardPane) page() []int {
	rows, cols := p.gridSize()
	kept := p.kept()
	first := max(slices.Index(kept, p.chosen), 0) / (rows * cols) * rows * cols
	return kept[first:min(first+rows*cols, len(kept))]
}

// turn goes n pages on in the grid.
func (p *dashboardPane) turn(n int) {
	rows, cols := p.gridSize()
	kept := p.kept()
	at := max(slices.Index(kept, p.chosen), 0)
	p.chosen = kept[max(min(at+n*rows*cols, len(kept)-1), 0)]
}

// pages says which page of the grid is shown.
func (p *dashboardPane) pages() string {
	rows, cols := p.gridSize()
	kept := p.kept()
	n := (len(kept) + rows*cols - 1) / (rows * cols)
	text := fmt.Sprintf("%d of %d charts, %dx%d", len(kept), len(p.specs), rows, cols)
	if n > 1 {
		text += fmt.Sprintf(", page %d of %d", max(slices.Index(kept, p.chosen), 0)/(rows*cols)+1, n)
	}
	return text
}

// resizeGrid changes the grid's rows and columns, and shows it.
func (p *dashboardPane) resizeGrid(rows, cols int) func() tea.Cmd {
	return func() tea.Cmd {
		p.grid, p.full = true, false
		next := p.s.settings
		next.GridRows = max(min(next.GridRows+rows, maxGridRows), 1)
		next.GridCols = max(min(next.GridCols+cols, maxGridCols), 1)
		return tea.Batch(p.s.change(next), p.refresh(), p.s.say("charts in %d x %d", next.GridRows, next.GridCols))
	}
}

// moveChart moves the chosen chart by n places, for this run and others.
func (p *dashboardPane) moveChart(n int) func() tea.Cmd {
	return func() tea.Cmd {
		to := p.chosen + n
		if len(p.specs) == 0 || to < 0 || to >= len(p.specs) {
			return nil
		}
		p.specs[p.chosen], p.specs[to] = p.specs[to], p.specs[p.chosen]
		p.chosen = to
		var titles []string
		for _, spec := range p.specs {
			titles = append(titles, spec.Title)
		}
		next := p.s.settings
		next.Charts = strings.Join(titles, orderSep)
		return tea.Batch(p.s.change(next), p.refresh())
	}
}

// find asks for a pattern that charts and lines of the log are to have.
func (p *dashboardPane) find() tea.Cmd {
	return p.s.askValue("Find charts and lines of the log", p.filter, func(text string) (tea.Cmd, error) {
		p.filter, p.scroll = text, 0
		if kept := p.kept(); !slices.Contains(kept, p.chosen) {
			p.chosen = kept[0]
		}
		return p.refresh(), nil
	}, "Text, a glob (*psnr) or a regular expression; nothing shows all.")
}

// save lists the files that the chosen chart can be saved as.
func (p *dashboardPane) save() tea.Cmd {
	if p.s.run == nil || len(p.specs) == 0 {
		return nil
	}
	item := func(ending, what string, write func(io.Writer) error) menuItem {
		return menuItem{ending, what, func() tea.Cmd { return p.saveChart(ending, write) }}
	}
	f := p.curves.Figure(p.specs[p.chosen], p.chartStyle(p.chosen), image.Pt(960, 540))
	return p.s.openDialog(newMenu(p.s, "Save the chart "+f.Title, []menuItem{
		item("png", "an image of what is seen", func(w io.Writer) error { return core.WritePNG(w, f.Image()) }),
		item("svg", "the same for papers and pages", f.WriteSVG),
		item("csv", "the points that are seen, as numbers", f.WriteCSV),
	}))
}

// saveChart writes a file that was not there, and says where.
func (p *dashboardPane) saveChart(ending string, write func(io.Writer) error) tea.Cmd {
	name := unfit.ReplaceAllString(p.s.run.Folder.Name()+"-"+p.specs[p.chosen].Title, "-")
	return func() tea.Msg {
		return saved(writeNew(strings.Trim(name, "-"), ending, write))
	}
}
