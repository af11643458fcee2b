package tui

import (
	"fmt"
	"math"
	"strings"

	"focusnfix/core/words"
	"focusnfix/render"
	"focusnfix/tui/widget"
)

// chartRows is how many rows of the pane the chart takes.
func (p *comparePane) chartRows() int { return min(max(p.h/2-len(p.marked), 6), 24) }

// tableRows is how many rows of the table are visible.
func (p *comparePane) tableRows() int { return max(p.h-p.chartRows()-len(p.marked)-3, 1) }

// imageSize is the size in cells of each run's image.
func (p *comparePane) imageSize() (cols, rows int) {
	return max((p.w-2)/max(len(p.marked), 1)-1, 1), max(p.tableRows()-2, 1)
}

func (p *comparePane) view(w, h int) string {
	st := p.styles
	if len(p.marked) == 0 {
		return widget.Message(w, h, st.Bold.Render("No runs are marked."), "", "In the list of runs, "+st.KeyCap.Render("m")+" marks a run, "+st.KeyCap.Render("*")+" pins the baseline.")
	}
	m, title := metricOf(p.metric)
	if m.Unit != "" {
		title += ", " + m.Unit
	}
	if p.settings.Smoothing > 0 {
		title += st.FaintText.Render(fmt.Sprintf("   smoothed %.4g", p.settings.Smoothing))
	}
	lines := []string{" " + st.Bold.Render(title) + st.FaintText.Render("   by step")}
	base := p.baseline(p.marked)
	var curves []render.Line
	for i, o := range p.marked {
		curves = append(curves, render.Line{Series: o.other.Shown(), Color: st.Curve(i), Mark: string([]rune(render.Marks)[i%len([]rune(render.Marks))])})
		text := fmt.Sprintf(" %s  %s", o.title, words.Number(o.other.Near(math.Inf(1)), m.Digits))
		if i == base {
			text = " ⚑" + text
		}
		if o.Behind > 0 {
			text += st.FaintText.Render(fmt.Sprintf("  %s to read", words.Memory(float64(o.Behind)/(1<<20))))
		}
		lines = append(lines, " "+st.Text.Foreground(st.Curve(i)).Render("━")+text)
	}
	plot := render.Chart{Cols: w - 2, Rows: p.chartRows(), Profile: p.probe.Terminal().Profile, Axis: st.Rule, Guides: true, Robust: true}
	for _, line := range plot.Draw(curves...).Lines {
		lines = append(lines, " "+line)
	}
	if p.images {
		lines = append(lines, strings.Split(p.viewImages(), "\n")...)
	} else {
		lines = append(lines, p.viewTable(w)...)
	}
	return widget.FitBlock(lines, w, h)
}

// viewTable is the visible rows of the table below a head with the runs.
func (p *comparePane) viewTable(w int) []string {
	st := p.styles
	name := min(max(w/4, 16), 34)
	cell := max((w-name-2)/len(p.marked), 8)
	head := " " + widget.FitLine("final numbers, then settings", name-1) + " "
	for i, o := range p.marked {
		head += st.Text.Foreground(st.Curve(i)).Render(widget.FitLine(shortName(o.title), cell-1)) + " "
	}
	lines := []string{st.FaintText.Render(head)}
	rows := p.table()
	for _, r := range rows[min(p.top, len(rows)):min(p.top+p.tableRows(), len(rows))] {
		line := " " + widget.FitLine(r.head, name-1) + " "
		for i, text := range r.cells {
			style := st.Text
			switch r.judge[i] {
			case 1:
				style = st.GoodText
			case -1:
				style = st.BadText
			}
			line += style.Render(widget.FitLine(text, cell-1)) + " "
		}
		lines = append(lines, line)
	}
	return lines
}

// viewImages is each run's newest image of the chosen prompt and seed.
func (p *comparePane) viewImages() string {
	all := p.samples()
	if len(all) == 0 {
		return " " + p.styles.FaintText.Render("these runs have no images yet")
	}
	s := all[p.sample%len(all)]
	cols, rows := p.imageSize()
	blocks := []string{widget.Blank(1, rows+1)}
	for i, o := range p.marked {
		pic, step, ok := p.shot(o, s)
		head := p.styles.Text.Foreground(p.styles.Curve(i)).Render("━ ") + shortName(o.title)
		body := p.note("no image of this prompt and seed", cols, rows)
		if ok {
			head += p.styles.FaintText.Render(fmt.Sprintf("  step %d", step))
			for _, a := range pic.Aspects[:min(len(pic.Aspects), 1)] {
				head += "  " + number3(a.Reward)
			}
			body = p.picture(fmt.Sprint("compare/", i), cols, rows)
		}
		blocks = append(blocks, widget.FitLine(head, cols)+"\n"+body, widget.Blank(1, rows+1))
	}
	about := fmt.Sprintf(" %s, seed %d   %d of %d", s.prompt, s.seed, p.sample%len(all)+1, len(all))
	return p.styles.Bold.Render(widget.FitLine(about, p.w)) + "\n" + widget.Beside(blocks...)
}
