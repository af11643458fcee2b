package tui

import (
	"fmt"
	"image"
	"math"
	"slices"
	"strings"
	"time"

	"focusnfix/core"
	"focusnfix/core/run"
	"focusnfix/core/words"
	"focusnfix/render"
	"focusnfix/tui/chart"
	"focusnfix/tui/feed"
	"focusnfix/tui/find"
	"focusnfix/tui/picture"
	"focusnfix/tui/widget"
)

func (p *dashboardPane) view(w, h int) string {
	switch {
	case p.s.run == nil:
		return widget.Message(w, h, p.s.styles.Bold.Render("No run is open."), "", "Press "+p.s.styles.KeyCap.Render("1")+" and choose one, or start one there.")
	case len(p.specs) == 0 || p.w != w || p.h != h:
		return widget.FitBlock(nil, w, h)
	}
	l := p.layout
	canvas := widget.NewCanvas(w, h)
	canvas.Put(l.header, p.viewHeader(w))
	for i, spec := range p.order() {
		if i >= len(l.charts) {
			break
		}
		at := chartArea(l.charts[i])
		canvas.Put(at, p.curves.Draw(p.specs[spec], p.chartStyle(spec), at.Dx(), at.Dy()))
	}
	if !p.full && !p.grid {
		canvas.Put(l.table, p.viewTable(l.table.Dx(), l.table.Dy()))
		canvas.Put(l.log, p.viewLog(l.log.Dx(), l.log.Dy()))
	}
	if !l.pictures.Empty() {
		rule := strings.Repeat(p.s.styles.RuleText.Render("│")+"\n", l.pictures.Dy())
		canvas.Put(image.Rect(l.pictures.Min.X-1, l.pictures.Min.Y, l.pictures.Min.X, l.pictures.Max.Y), rule[:len(rule)-1])
		canvas.Put(l.pictures, p.viewPictures())
	}
	return canvas.String()
}

// chartArea is a chart's place without its margins.
func chartArea(r image.Rectangle) image.Rectangle {
	return image.Rect(r.Min.X+1, r.Min.Y, r.Max.X-1, r.Max.Y)
}

// chartStyle is how the chart of a spec is drawn.
func (p *dashboardPane) chartStyle(spec int) chart.Style {
	row := tableRows(p.s.run.Store)[p.row]
	return chart.Style{
		Styles: p.s.styles, Profile: p.s.probe.Terminal().Profile, Hairline: p.cross, Chosen: spec == p.chosen, LogY: p.logY[p.specs[spec].Title], Row: row.curve,
	}
}

// viewHeader is the progress and what should be known at once.
func (p *dashboardPane) viewHeader(w int) string {
	st, o := p.s.styles, p.s.run
	if o.Err != nil {
		lines := widget.Wrap(o.Err.Error(), w-2, 2)
		for i := range lines {
			lines[i] = " " + st.BadText.Render(lines[i])
		}
		return widget.FitBlock(lines, w, headerRows)
	}
	store := o.Store
	step, steps := max(store.Step, o.Info.Step), o.Info.Steps
	share := 0.0
	if steps > 0 {
		share = min(float64(step)/float64(steps), 1)
	}
	left := fmt.Sprintf(" %s  step %s ", st.State(o.State).Render("● "+stateText(o)), st.Bold.Render(fmt.Sprintf("%d/%d", step, steps)))
	pace := paceOf(store)
	right := fmt.Sprintf(" %3.0f %%", 100*share)
	if pace > 0 {
		right += fmt.Sprintf("   %s s/step", words.Number(pace, 2))
		if o.State == run.Running {
			right += "   " + words.Clock(time.Duration(pace*float64(steps-step)*float64(time.Second))) + " left"
		}
	}
	if t := store.Train; t != nil && o.State == run.Running {
		if t.DeviceUse == t.DeviceUse {
			right += fmt.Sprintf("   %s %.0f %%", o.Info.Device, 100*t.DeviceUse)
		}
		if t.MemoryMiB == t.MemoryMiB {
			right += "   " + words.Memory(t.MemoryMiB)
		}
	}
	bar := w - picture.Width(left) - picture.Width(right) - 1
	return widget.FitLine(left+p.s.styles.Progress(share, min(bar, 40), p.s.probe.Terminal().Profile)+right, w) + "\n" + widget.FitLine(" "+p.headline(), w)
}

// headline is the second row: the newest alarm, a reason why nothing happens, or what the run is.
func (p *dashboardPane) headline() string {
	st, o := p.s.styles, p.s.run
	store := o.Store
	switch {
	case p.job != nil:
		return st.AccentText.Render(p.job.line("evaluating held-out prompts", p.s.now()) + "; esc cancels")
	case o.Behind > 0:
		return st.AccentText.Render(fmt.Sprintf("reading the log: %s to go", words.Memory(float64(o.Behind)/(1<<20))))
	case o.State == run.Crashed:
		return st.BadText.Render(crashText(o))
	case o.State == run.Failed:
		return st.BadText.Render("Failed: " + o.Info.Message)
	case o.State == run.Stopped:
		return st.WarnText.Render("Stopped. r resumes it.")
	case o.State == run.Done:
		return st.AccentText.Render("Done. 4 tries prompts, J measures it on held-out prompts, ctrl+e exports the LoRA.")
	case len(store.Alarms) > 0:
		e := store.Alarms[len(store.Alarms)-1]
		return st.WarnText.Render(fmt.Sprintf("▲ step %d: %s", e.Step, words.Alarm(&e)))
	case store.Lost > 0:
		return st.WarnText.Render(words.Plural(store.Lost, "line") + " of the log cannot be read")
	}
	if p.grid {
		return st.FaintText.Render(p.pages())
	}
	text := o.Info.Preset + "   " + o.Info.Model
	switch {
	case o.State == run.Running && store.Train == nil && store.Doing != "":
		text += "   " + st.AccentText.Render(store.Doing)
	case o.State == run.Running && store.Train == nil:
		text += "   " + st.AccentText.Render("loading the model")
	}
	return st.FaintText.Render(text)
}

// crashText says why nothing goes on, where to read more, and what to do.
func crashText(o *feed.Run) string {
	const next = "r resumes from the last checkpoint."
	switch {
	case o.OnlyDraws:
		return "Training crashed; an engine that only draws works on the run. " + next
	case o.LastWords == "" && o.Info.Engine == nil:
		return "No engine works on this run. " + next
	case o.LastWords == "":
		return "The engine is gone without a last word in log.txt. " + next
	}
	return "The engine is gone: " + o.LastWords + " (log.txt). " + next
}

// paceOf is the seconds that a step took lately, all things included, or 0.
func paceOf(s *feed.Store) float64 {
	n := s.Steps.Rows()
	if n < 2 {
		return max(s.Steps.Last("step_seconds"), 0)
	}
	k := max(0, n-20)
	steps := s.Steps.Step[n-1] - s.Steps.Step[k]
	return (s.Steps.Seconds[n-1] - s.Steps.Seconds[k]) / steps
}

// tableColumns are the widths of the table's columns in w cells; what does not fit is 0.
type tableColumns struct{ name, number, base, heldOut, fixed, spark int }

// fitTable leaves out base first, and what the held-out judge says last: that is what training is about.
func fitTable(w int) tableColumns {
	c := tableColumns{name: 23, number: 9, base: 9, heldOut: 9, fixed: 8}
	used := func() int { return c.name + 2*c.number + c.base + c.heldOut + c.fixed }
	if w < used() {
		c.number, c.base, c.heldOut, c.fixed = 8, 8, 9, 7
	}
	if w < used() {
		c.base = 0
	}
	if c.spark = min(w-used()-3, 32); c.spark < 8 {
		c.spark = 0
	}
	return c
}

// viewTable is the numbers: before, now, and by the held-out judges.
func (p *dashboardPane) viewTable(w, h int) string {
	rows := tableRows(p.s.run.Store)
	c := fitTable(w)
	cell := func(width int, text string) string {
		if width == 0 {
			return ""
		}
		return fmt.Sprintf("%*s", width, text)
	}
	head := widget.FitLine(fmt.Sprintf("   mean of %d steps", recentSteps), c.name) + cell(c.base, "base") + cell(c.number, "tuned") +
		cell(c.number, "gain") + cell(c.heldOut, "held-out") + cell(c.fixed, "fixed")
	lines := []string{p.s.styles.FaintText.Render(widget.FitLine(head, w))}
	first := max(0, min(p.row-h+2, len(rows)-h+1))
	for i, r := range rows[first:] {
		lines = append(lines, p.tableLine(r, first+i == p.row, c, w))
	}
	return widget.FitBlock(lines, w, h)
}

func (p *dashboardPane) tableLine(r tableRow, chosen bool, c tableColumns, w int) string {
	st := p.s.styles
	mark, nameStyle := " ", st.Text
	if chosen {
		mark, nameStyle = st.AccentText.Render("▸"), st.Bold
	}
	swatch := " "
	if r.curve != "" && r.color >= 0 {
		swatch = st.FaintText.Render("·")
		if !p.hidden[r.hides()] {
			swatch = st.Text.Foreground(st.Curve(r.color)).Render("━")
		}
	}
	cell := func(width int, v float64, unit string) string {
		if width == 0 {
			return ""
		}
		text := ""
		if v == v {
			text = r.text(v) + unit
		}
		return fmt.Sprintf("%*s", width, text)
	}
	text := mark + swatch + " " + nameStyle.Render(widget.FitLine(strings.Repeat("  ", r.indent)+r.name, c.name-3))
	text += st.FaintText.Render(cell(c.base, r.base, r.unit())) + st.Bold.Render(cell(c.number, r.now, r.unit()))
	text += gainText(st, &r, c.number) + cell(c.heldOut, r.heldOut, r.unit())
	if c.fixed > 0 {
		fixed := ""
		if r.fixed == r.fixed {
			fixed = fmt.Sprintf("%.0f %%", r.fixed)
		}
		text += fmt.Sprintf("%*s", c.fixed, fixed)
	}
	if c.spark > 0 && r.curve != "" {
		text += "   " + p.s.spark(p.s.run.Store.Steps.Tail(r.curve, 1<<12), c.spark, max(r.color, 0))
	}
	return widget.FitLine(text, w)
}

// spark is a sparkline in a curve's color. It leaves the top of the row free, so that rows stay apart.
func (s *shared) spark(values []float64, w, color int) string {
	line := render.Sparkline(values, min(w, len(values)), s.probe.Terminal().Profile)
	return s.styles.Text.Foreground(s.styles.Curve(color)).Render(strings.ReplaceAll(line, "█", "▇"))
}

// gainText is a row's gain with its sign; one that counts is colored.
func gainText(st widget.Styles, r *tableRow, w int) string {
	text, style := r.text(r.gain), st.FaintText
	switch {
	case math.IsNaN(r.gain):
		text = ""
	case r.gain > 0 && strings.Trim(text, "0.") != "":
		text = "+" + text
	}
	switch r.judge() {
	case 1:
		style = st.GoodText
	case -1:
		style = st.BadText
	}
	return style.Render(fmt.Sprintf("%*s", w, text))
}

// logRows is how many lines of the log are visible.
func (p *dashboardPane) logRows() int { return max(p.layout.log.Dy()-1, 1) }

// scrollLog goes n lines back in the log, or forward with a negative n.
func (p *dashboardPane) scrollLog(n int) {
	p.scroll = max(min(p.scroll+n, len(p.log())-p.logRows()), 0)
}

// log is the events that the filter leaves.
func (p *dashboardPane) log() []core.Event {
	if p.filter == "" {
		return p.s.run.Store.Log
	}
	pattern := find.NewPattern(p.filter)
	return slices.DeleteFunc(slices.Clone(p.s.run.Store.Log), func(e core.Event) bool { return !pattern.Match(words.Event(&e)) })
}

// viewLog is the end of the event log, or what lies p.scroll lines before it.
func (p *dashboardPane) viewLog(w, h int) string {
	log := p.log()
	title := p.s.styles.RuleText.Render(strings.Repeat("─", w))
	if p.scroll > 0 {
		title = widget.Spread(p.s.styles.RuleText.Render(strings.Repeat("─", max(w-20, 0))), p.s.styles.FaintText.Render(fmt.Sprintf("%d later ", p.scroll)), w)
	}
	if p.filter != "" {
		title = widget.Spread(p.s.styles.AccentText.Render("/"+p.filter), p.s.styles.FaintText.Render(fmt.Sprintf("%d of %d lines, %d of %d charts ", len(log), len(p.s.run.Store.Log), len(p.kept()), len(p.specs))), w)
	}
	lines := []string{title}
	end := len(log) - p.scroll
	for i := max(0, end-h+1); i < end; i++ {
		lines = append(lines, p.s.logLine(&log[i], w))
	}
	return widget.FitBlock(lines, w, h)
}
