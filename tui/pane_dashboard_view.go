package tui

import (
	"fmt"
	"image"
	"math"
	"strings"
	"time"

	"charm.land/lipgloss/v2"

	"focusnfix/core/run"
	"focusnfix/render"
)

func (p *dashboardPane) view(w, h int) string {
	switch {
	case p.s.run == nil:
		return message(w, h, p.s.styles.bold.Render("No run is open."), "", "Press "+p.s.styles.keyCap.Render("1")+" and choose one, or start one there.")
	case len(p.specs) == 0 || p.w != w || p.h != h:
		return fitBlock(nil, w, h)
	}
	l := p.layout
	canvas := newCanvas(w, h)
	canvas.put(l.header, p.viewHeader(w))
	p.plots = p.plots[:0]
	row := tableRows(p.s.run.store)[p.row]
	for i, spec := range p.order() {
		if i >= len(l.charts) {
			break
		}
		look := chartLook{styles: p.s.styles, profile: p.s.probe.Terminal().Profile, cross: p.cross, chosen: i == 0, log: p.logY[spec], row: row.curve}
		at := l.charts[i]
		at.Min.X, at.Max.X = at.Min.X+1, at.Max.X-1
		text, drawn := p.curves.draw(p.specs[spec], look, at.Dx(), at.Dy())
		canvas.put(at, text)
		p.plots = append(p.plots, plot{drawn, spec, at})
	}
	if !p.full {
		canvas.put(l.table, p.viewTable(l.table.Dx(), l.table.Dy()))
		canvas.put(l.log, p.viewLog(l.log.Dx(), l.log.Dy()))
	}
	if !l.pictures.Empty() {
		rule := strings.Repeat(p.s.styles.ruleText.Render("│")+"\n", l.pictures.Dy())
		canvas.put(image.Rect(l.pictures.Min.X-1, l.pictures.Min.Y, l.pictures.Min.X, l.pictures.Max.Y), rule[:len(rule)-1])
		canvas.put(l.pictures, p.viewPictures())
	}
	return canvas.String()
}

// viewHeader is the progress and what should be known at once.
func (p *dashboardPane) viewHeader(w int) string {
	st, o := p.s.styles, p.s.run
	if o.err != nil {
		lines := wrap(o.err.Error(), w-2, 2)
		for i := range lines {
			lines[i] = " " + st.badText.Render(lines[i])
		}
		return fitBlock(lines, w, headerRows)
	}
	store := o.store
	step, steps := max(store.step, o.info.Step), o.info.Steps
	share := 0.0
	if steps > 0 {
		share = min(float64(step)/float64(steps), 1)
	}
	left := fmt.Sprintf(" %s  step %s ", st.state(o.state).Render("● "+stateName(o.state)), st.bold.Render(fmt.Sprintf("%d/%d", step, steps)))
	pace := paceOf(store)
	right := fmt.Sprintf(" %3.0f %%", 100*share)
	if pace > 0 {
		right += fmt.Sprintf("   %s s/step", number(pace, 2))
		if o.state == run.Running {
			right += "   " + clock(time.Duration(pace*float64(steps-step)*float64(time.Second))) + " left"
		}
	}
	if t := store.train; t != nil {
		if t.DeviceUse == t.DeviceUse {
			right += fmt.Sprintf("   %s %.0f %%", o.info.Device, 100*t.DeviceUse)
		}
		if t.MemoryMiB == t.MemoryMiB {
			right += "   " + memory(t.MemoryMiB)
		}
	}
	bar := w - lipgloss.Width(left) - lipgloss.Width(right) - 1
	return fitLine(left+p.s.styles.progress(share, min(bar, 40), p.s.probe.Terminal().Profile)+right, w) + "\n" + fitLine(" "+p.headline(), w)
}

// headline is the second row: the newest alarm, a reason why nothing happens, or what the run is.
func (p *dashboardPane) headline() string {
	st, o := p.s.styles, p.s.run
	store := o.store
	switch {
	case o.behind > 0:
		return st.accentText.Render(fmt.Sprintf("reading the log: %s to go", memory(float64(o.behind)/(1<<20))))
	case o.state == run.Crashed:
		text := "The engine is gone. r goes on from the last checkpoint."
		if o.lastWords != "" {
			text = "The engine is gone: " + o.lastWords + "   r goes on from the last checkpoint"
		}
		return st.badText.Render(text)
	case o.state == run.Failed:
		return st.badText.Render("Failed: " + o.info.Message)
	case o.state == run.Stopped:
		return st.warnText.Render("Stopped. r goes on with it.")
	case len(store.alarms) > 0:
		e := store.alarms[len(store.alarms)-1]
		return st.warnText.Render(fmt.Sprintf("▲ step %d: %s", e.Step, alarmText(&e)))
	case store.lost > 0:
		return st.warnText.Render(plural(store.lost, "line") + " of the log cannot be read")
	}
	text := o.info.Preset + "   " + o.info.Model
	switch {
	case o.state == run.Running && store.train == nil && store.doing != "":
		text += "   " + st.accentText.Render(store.doing)
	case o.state == run.Running && store.train == nil:
		text += "   " + st.accentText.Render("loading the model")
	}
	return st.faintText.Render(text)
}

// paceOf is the seconds that a step took lately, all things included, or 0.
func paceOf(s *store) float64 {
	n := s.steps.rows()
	if n < 2 {
		return max(s.steps.last("step-seconds"), 0)
	}
	k := max(0, n-20)
	steps := s.steps.step[n-1] - s.steps.step[k]
	return (s.steps.seconds[n-1] - s.steps.seconds[k]) / steps
}

// tableColumns are the widths of the table's columns in w cells; what does not fit is 0.
type tableColumns struct{ name, number, fixed, spark int }

func fitTable(w int) tableColumns {
	c := tableColumns{name: 23, number: 9, fixed: 8}
	if w < c.name+4*c.number+c.fixed {
		c.fixed = 0
	}
	if w < c.name+4*c.number {
		c.number = 8
	}
	if c.spark = min(w-c.name-4*c.number-c.fixed-3, 32); c.spark < 8 {
		c.spark = 0
	}
	return c
}

// viewTable is the numbers: before, now, and by the held-out judges.
func (p *dashboardPane) viewTable(w, h int) string {
	rows := tableRows(p.s.run.store)
	c := fitTable(w)
	n := c.number
	head := fmt.Sprintf("%-*s%*s%*s%*s%*s", c.name, "", n, "base", n, "now", n, "change", n, "held-out")
	if c.fixed > 0 {
		head += fmt.Sprintf("%*s", c.fixed, "fixed")
	}
	lines := []string{p.s.styles.faintText.Render(fitLine(head, w))}
	first := max(0, min(p.row-h+2, len(rows)-h+1))
	for i, r := range rows[first:] {
		lines = append(lines, p.tableLine(r, first+i == p.row, c, w))
	}
	return fitBlock(lines, w, h)
}

func (p *dashboardPane) tableLine(r tableRow, chosen bool, c tableColumns, w int) string {
	st := p.s.styles
	mark, nameStyle := " ", st.text
	if chosen {
		mark, nameStyle = st.accentText.Render("▸"), st.bold
	}
	swatch := " "
	if r.curve != "" && r.color >= 0 {
		swatch = st.faintText.Render("·")
		if !p.hidden[r.curve] {
			swatch = st.text.Foreground(st.curve(r.color)).Render("━")
		}
	}
	cell := func(v float64, unit string) string {
		text := ""
		if v == v {
			text = number(v, r.decimals) + unit
		}
		return fmt.Sprintf("%*s", c.number, text)
	}
	text := mark + swatch + " " + nameStyle.Render(fitLine(strings.Repeat("  ", r.indent)+r.name, c.name-3))
	text += st.faintText.Render(cell(r.base, "")) + st.bold.Render(cell(r.now, r.unit))
	text += p.changeText(r.change(), r.decimals, c.number) + cell(r.heldOut, "")
	if c.fixed > 0 {
		fixed := ""
		if r.fixed == r.fixed {
			fixed = fmt.Sprintf("%.0f %%", 100*r.fixed)
		}
		text += fmt.Sprintf("%*s", c.fixed, fixed)
	}
	if c.spark > 0 && r.curve != "" {
		text += "   " + p.s.spark(p.s.run.store.steps.tail(r.curve, 1<<12), c.spark, max(r.color, 0))
	}
	return fitLine(text, w)
}

// spark is a sparkline in a curve's colour. It leaves the top of the row free, so that rows stay apart.
func (s *shared) spark(values []float64, w, color int) string {
	line := render.Sparkline(values, min(w, len(values)), s.probe.Terminal().Profile)
	return s.styles.text.Foreground(s.styles.curve(color)).Render(strings.ReplaceAll(line, "█", "▇"))
}

// changeText is a change with its sign, in colour: better is up.
func (p *dashboardPane) changeText(v float64, decimals, w int) string {
	text := number(v, decimals)
	style := p.s.styles.faintText
	switch {
	case math.IsNaN(v):
		text = ""
	case v > 0:
		text, style = "+"+text, p.s.styles.goodText
	case v < 0:
		style = p.s.styles.badText
	}
	return style.Render(fmt.Sprintf("%*s", w, text))
}

// viewLog is the end of the event log, or what lies p.scroll lines before it.
func (p *dashboardPane) viewLog(w, h int) string {
	log := p.s.run.store.log
	p.scroll = max(min(p.scroll, len(log)-h+1), 0)
	title := p.s.styles.ruleText.Render(strings.Repeat("─", w))
	if p.scroll > 0 {
		title = spread(p.s.styles.ruleText.Render(strings.Repeat("─", max(w-20, 0))), p.s.styles.faintText.Render(fmt.Sprintf("%d later ", p.scroll)), w)
	}
	lines := []string{title}
	end := len(log) - p.scroll
	for i := max(0, end-h+1); i < end; i++ {
		lines = append(lines, p.s.logLine(&log[i], w))
	}
	return fitBlock(lines, w, h)
}
