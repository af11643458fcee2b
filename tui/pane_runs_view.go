package tui

import (
	"fmt"
	"image"
	"math"
	"strings"

	"charm.land/lipgloss/v2"
	"github.com/charmbracelet/x/ansi"

	"focusnfix/core/run"
	"focusnfix/core/words"
	"focusnfix/presets"
	"focusnfix/render"
	"focusnfix/tui/feed"
	"focusnfix/tui/picture"
	"focusnfix/tui/widget"
)

// runsLayout is where the parts of the list are, from the pane's top left: each has a title row of its own.
type runsLayout struct {
	runs, presets, chart, details image.Rectangle
}

const wideRuns = 130 // columns from which on the chart stands beside the list

// layoutRuns divides w x h cells among n runs, m presets and, where runs are marked, their chart.
func layoutRuns(w, h, n, m int, marked bool) runsLayout {
	var l runsLayout
	left := w
	if w >= wideRuns {
		left = w * 11 / 20
		split := h
		if marked {
			split = max(h-12, h/2)
			l.chart = image.Rect(left+1, 0, w-1, split)
		}
		l.details = image.Rect(left+1, 0, w-1, h)
		if marked {
			l.details.Min.Y = split
		}
	}
	low := min(m+1, max(h*2/5, 6)) // rows for presets
	if marked && w < wideRuns {
		low = h / 2
		l.chart = image.Rect(0, h-low, left, h)
	}
	up := min(max(n, 1)+1, h-low-1)
	l.runs = image.Rect(0, 0, left, up)
	if l.chart.Empty() || w >= wideRuns {
		l.presets = image.Rect(0, up+1, left, h)
	}
	return l
}

func (p *runsPane) view(w, h int) string {
	if p.isFirst() {
		top := p.firstLines(w)
		return widget.FitBlock(top, w, len(top)) + "\n" + p.viewPresets(w, h-len(top))
	}
	l := p.layout
	c := widget.NewCanvas(w, h)
	c.Put(l.runs, p.viewList(l.runs.Dx(), l.runs.Dy()))
	if r, ok := p.chosen(); ok && r.Info.Message != "" && l.details.Empty() {
		at := image.Rect(4, l.runs.Max.Y, l.runs.Max.X-1, l.runs.Max.Y+1)
		c.Put(at, p.s.styles.State(r.State).Render(ansi.Truncate(r.Info.Message, at.Dx(), "…")))
	}
	if !l.presets.Empty() {
		c.Put(l.presets, p.viewPresets(l.presets.Dx(), l.presets.Dy()))
	}
	if !l.chart.Empty() {
		c.Put(l.chart, p.viewChart(l.chart.Dx(), l.chart.Dy()))
	}
	if !l.details.Empty() {
		c.Put(l.details, p.viewDetails(l.details.Dx(), l.details.Dy()))
	}
	return c.String()
}

// isFirst reports whether there are no runs yet.
func (p *runsPane) isFirst() bool { return p.read && p.err == nil && len(p.all) == 0 }

// firstLines say what to do to somebody who has no runs yet; the presets follow.
func (p *runsPane) firstLines(w int) []string {
	st := p.s.styles
	top := []string{
		"", " " + st.Bold.Render("Focus-N-Fix") + st.FaintText.Render("   repairs the faulty region of a model's images, and only that"), "",
		" No runs yet in " + p.s.options.Runs + ".", "",
		" " + st.KeyCap.Render("enter") + "  starts " + st.Bold.Render(p.preset()) + ".",
	}
	for _, line := range widget.Wrap(presets.Summary(p.preset())+" It trains in the background, also when you leave; the dashboard opens.", w-10, 3) {
		top = append(top, "        "+st.FaintText.Render(line))
	}
	return append(top, "")
}

// runColumns are the widths of the list's columns; what does not fit is 0.
type runColumns struct{ name, state, step, reward, spark, model, age int }

func fitRuns(w int) runColumns {
	c := runColumns{name: 32, state: 11, step: 9, reward: 8, age: 5}
	rest := w - 6 - c.name - c.state - c.step - c.reward - c.age // 4 for the marks, 2 for margins
	if rest < 0 {
		c.name += max(rest, -14)
		return c
	}
	if rest >= 8 {
		c.spark = min(rest, 24)
		rest -= c.spark
	}
	if rest >= 16 {
		c.model = min(rest, 24)
		rest -= c.model
	}
	c.name += min(rest, 12)
	return c
}

func (p *runsPane) viewList(w, h int) string {
	st := p.s.styles
	c := fitRuns(w)
	head := "    " + widget.FitLine("run", c.name) + widget.FitLine("state", c.state) + fmt.Sprintf("%*s%*s", c.step-1, "step", c.reward, "reward") +
		strings.Repeat(" ", c.spark+1) + widget.FitLine("model", c.model) + fmt.Sprintf("%*s", c.age, "age")
	lines := []string{st.FaintText.Render(widget.FitLine(head, w))}
	if filter, ok := p.filterLine(w); ok {
		lines[0] = filter
	}
	rows := h - 1
	for i := p.top; i < min(p.top+rows, len(p.runs)); i++ {
		lines = append(lines, p.runLine(p.runs[i], i == p.at, c, w))
	}
	switch {
	case p.err != nil:
		lines = append(lines, "    "+st.BadText.Render(p.err.Error()))
	case p.read && len(p.runs) == 0:
		lines = append(lines, "    "+st.FaintText.Render("no run is as the filter wants; esc clears it"))
	case !p.read:
		lines = append(lines, "    "+st.FaintText.Render("reading "+p.s.options.Runs))
	}
	return widget.FitBlock(lines, w, h)
}

// runLine is a run in the list. A chosen line has a background, and a mark for screens without colors.
func (p *runsPane) runLine(r feed.ListedRun, chosen bool, c runColumns, w int) string {
	st := p.s.styles
	on := func(s lipgloss.Style) lipgloss.Style {
		if chosen {
			return s.Background(st.Selected)
		}
		return s
	}
	mark, swatch := "  ", on(st.Text).Render("  ")
	if chosen {
		mark = "▸ "
	}
	if color := p.markedAt(r.Dir); color >= 0 {
		swatch = on(st.Text.Foreground(st.Curve(color))).Render("━ ")
	}
	name := runTitle(r)
	if picture.Width(name) >= c.name {
		name = shortName(name)
	}
	if r.Name() == p.s.settings.Baseline {
		name = "⚑ " + name
	}
	line := on(st.AccentText).Render(mark) + swatch + on(st.Text).Render(widget.FitLine(widget.FitLine(name, c.name-1), c.name))
	if r.Err != nil {
		line += on(st.BadText).Render(widget.FitLine("unreadable", c.state)) + on(st.FaintText).Render(widget.FitLine(strings.TrimPrefix(r.Err.Error(), r.Dir+"/"), w-4-c.name-c.state))
		return line
	}
	reward := ""
	if r.Last.Train != nil && !math.IsNaN(r.Last.Train.Reward) {
		reward = words.Number(r.Last.Train.Reward, 3)
	}
	line += on(st.State(r.State)).Render(widget.FitLine("● "+words.State(r.State), c.state))
	line += on(st.Text).Render(fmt.Sprintf("%*s", c.step-1, fmt.Sprintf("%d/%d", max(r.Last.Step, r.Info.Step), r.Info.Steps)))
	line += on(st.Bold).Render(fmt.Sprintf("%*s ", c.reward, reward))
	if c.spark > 0 {
		spark := render.Sparkline(r.Rewards, min(c.spark-2, len(r.Rewards)), p.s.probe.Terminal().Profile)
		line += on(st.Text.Foreground(st.Curve(0))).Render(widget.FitLine(" "+strings.ReplaceAll(spark, "█", "▇"), c.spark))
	}
	line += on(st.FaintText).Render(widget.FitLine(r.Info.Model, c.model) + fmt.Sprintf("%*s", c.age, r.Info.Age(p.s.now())))
	return line + on(st.Text).Render(strings.Repeat(" ", max(w-picture.Width(line), 0)))
}

func (p *runsPane) viewPresets(w, h int) string {
	st := p.s.styles
	lines := []string{st.FaintText.Render(widget.FitLine("    "+widget.FitLine("new run", 24)+"what it repairs", w))}
	rows := h - 1
	at := p.at - len(p.runs)
	for i := p.low; i < min(p.low+rows, len(p.presets)); i++ {
		name := p.presets[i]
		nameStyle, note, mark := st.Text, st.FaintText, "    "
		if i == at {
			nameStyle, note, mark = st.SelectedText, note.Background(st.Selected), "▸ + "
		}
		lines = append(lines, nameStyle.Render(mark+widget.FitLine(name, 24))+note.Render(widget.FitLine(presets.Summary(name), max(w-28, 0))))
	}
	return widget.FitBlock(lines, w, h)
}

// viewChart is the rewards of the marked runs.
func (p *runsPane) viewChart(w, h int) string {
	plot := render.Chart{Cols: w, Rows: h - 1 - len(p.s.marked), Profile: p.s.probe.Terminal().Profile, Axis: p.s.styles.Rule, Guides: true}
	var lines []render.Line
	rows := []string{p.s.styles.Bold.Render(" total reward by step")}
	for i, o := range p.s.marked {
		lines = append(lines, render.Line{Series: o.line.Shown(), Color: p.s.styles.Curve(i)})
		text := fmt.Sprintf(" %s  %s", o.Folder.Name(), words.Number(o.Store.Steps.Last("reward"), 3))
		if o.Behind > 0 {
			text += p.s.styles.FaintText.Render(fmt.Sprintf("  %s to read", words.Memory(float64(o.Behind)/(1<<20))))
		}
		rows = append(rows, " "+p.s.styles.Text.Foreground(p.s.styles.Curve(i)).Render("━")+text)
	}
	if plot.Rows > 2 {
		rows = append(rows, plot.Draw(lines...).Lines...)
	}
	return widget.FitBlock(rows, w, h)
}

// viewDetails is what there is to know of the chosen line.
func (p *runsPane) viewDetails(w, h int) string {
	st := p.s.styles
	r, ok := p.chosen()
	if !ok {
		name := p.preset()
		lines := []string{"", " " + st.Bold.Render(name), ""}
		text, _ := presets.Read(name) // a name of the list
		for line := range strings.SplitSeq(strings.TrimSpace(string(text)), "\n") {
			style := st.Text
			if strings.HasPrefix(line, "#") {
				style = st.FaintText
			}
			lines = append(lines, style.Render(widget.FitLine(" "+line, w)))
		}
		return widget.FitBlock(lines, w, h)
	}
	lines := []string{"", " " + st.Bold.Render(runTitle(r)), ""}
	if r.Label.Title != "" {
		lines[2] = " " + st.FaintText.Render(r.Name())
	}
	row := func(name, value string) {
		if value != "" {
			lines = append(lines, widget.FitLine(" "+st.FaintText.Render(widget.FitLine(name, 10))+value, w))
		}
	}
	if r.Err != nil {
		for _, line := range widget.Wrap(r.Err.Error(), w-2, 6) {
			lines = append(lines, " "+st.BadText.Render(line))
		}
		return widget.FitBlock(lines, w, h)
	}
	row("state", st.State(r.State).Render(words.State(r.State))+" "+r.Info.Message)
	row("preset", r.Info.Preset)
	row("model", r.Info.Model)
	row("device", r.Info.Device)
	row("begun", r.Info.Created.Local().Format("2 Jan 2006 15:04"))
	row("folder", r.Dir)
	row("tags", strings.Join(r.Label.Tags, " "))
	for i, line := range widget.Wrap(r.Label.Note, w-12, 4) {
		row(map[bool]string{true: "note"}[i == 0], line)
	}
	if r.State == run.Crashed {
		lines = append(lines, "", " "+st.WarnText.Render("Its engine is gone; r goes on from the last checkpoint."))
	}
	if t := r.Last.Train; t != nil {
		lines = append(lines, "", st.FaintText.Render(widget.FitLine(fmt.Sprintf(" %-22s%9s%9s", "", "base", "now"), w)))
		for _, a := range t.Aspects {
			lines = append(lines, widget.FitLine(fmt.Sprintf(" %s%9s%s", widget.FitLine(words.Aspect(a.Aspect), 22), words.Number(a.Base, 3), st.Bold.Render(fmt.Sprintf("%9s", words.Number(a.Reward, 3)))), w))
		}
	}
	return widget.FitBlock(lines, w, h)
}

// lineAt is the line of the list at a place, or -1.
func (p *runsPane) lineAt(at image.Point) int {
	l := p.layout
	switch {
	case at.In(l.runs) && at.Y > l.runs.Min.Y:
		if i := p.top + at.Y - l.runs.Min.Y - 1; i < len(p.runs) {
			return i
		}
	case at.In(l.presets) && at.Y > l.presets.Min.Y:
		if i := p.low + at.Y - l.presets.Min.Y - 1; i < len(p.presets) {
			return len(p.runs) + i
		}
	}
	return -1
}
