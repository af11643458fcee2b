package tui

import (
	"fmt"
	"math"
	"slices"
	"strings"

	tea "charm.land/bubbletea/v2"

	"focusnfix/core"
	"focusnfix/core/words"
	"focusnfix/tui/feed"
	"focusnfix/tui/widget"
)

// comparePane compares the marked runs: one metric in a chart, final numbers with the differences from the baseline,
// the settings in which they differ, and their images of one prompt and seed side by side.
type comparePane struct {
	*shared
	w, h    int
	visible bool
	metric  string // that the chart shows
	top     int    // first visible row of the table
	images  bool   // instead of the table
	sample  int    // of the prompts and seeds that runs have images of
}

func newComparePane(s *shared) *comparePane { return &comparePane{shared: s, metric: "reward"} }

func (p *comparePane) title() string { return "Compare" }
func (p *comparePane) typing() bool  { return false }

func (p *comparePane) keys() []binding {
	then := func(f func()) func() tea.Cmd {
		return func() tea.Cmd {
			f()
			return p.refresh()
		}
	}
	scroll := func(n int) func() tea.Cmd { return then(func() { p.top += n }) }
	return []binding{
		on(keyNextChart, then(func() { p.nextMetric(1) })),
		on(keyPrevChart, then(func() { p.nextMetric(-1) })),
		on(keyFind, p.chooseMetric),
		on(keyGrid, then(func() { p.images = !p.images })),
		on(keyNextImage, then(func() { p.sample++ })),
		on(keyPrevImage, then(func() { p.sample-- })),
		here(keyDown, "", "Scroll the table forward", scroll(1)),
		here(keyUp, "", "Scroll the table back", scroll(-1)),
		here(keyPageDown, "", "Scroll the table forward by a page", scroll(10)),
		here(keyPageUp, "", "Scroll the table back by a page", scroll(-10)),
		here(keyHome, "", "Go to the table's first row", scroll(-1<<20)),
		here(keyEnd, "", "Go to the table's last row", scroll(1<<20)),
	}
}

func (p *comparePane) update(msg tea.Msg) tea.Cmd {
	switch msg := msg.(type) {
	case sizeMsg:
		p.w, p.h = msg.w, msg.h
	case visibleMsg:
		p.visible = bool(msg)
	case widget.Mouse:
		p.top += msg.Lines()
	case comparedMsg, inspectedMarkMsg, settingsMsg, encodeMsg, shownMsg:
	default:
		return nil
	}
	return p.refresh()
}

// refresh brings the curves up to date and wants the images.
func (p *comparePane) refresh() tea.Cmd {
	if !p.visible {
		return nil
	}
	if names := p.metrics(); len(names) > 0 && !slices.Contains(names, p.metric) {
		p.metric = names[0]
	}
	for _, o := range p.marked {
		o.other.Update(o.Store.Steps, p.metric, feed.ByStep, p.settings.Smoothing)
	}
	p.top = min(max(p.top, 0), max(len(p.table())-p.tableRows(), 0))
	if !p.images {
		return nil
	}
	if n := len(p.samples()); n > 0 {
		p.sample = (p.sample + n) % n
	}
	return p.wants()
}

// metrics are the columns that any of the runs has, in the order of the log.
func (p *comparePane) metrics() []string {
	var names []string
	add := func(s *feed.Store, name string) {
		if len(s.Steps.Column(name))+len(s.Evaluations.Column(name)) > 0 && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	for _, o := range p.marked {
		for _, m := range core.StepMetrics[:2] { // loss and reward
			add(o.Store, m.Name)
		}
		for _, a := range o.Store.Aspects {
			for _, m := range core.AspectMetrics {
				add(o.Store, m.Name+"/"+a)
			}
		}
		for _, m := range core.StepMetrics[2:] {
			add(o.Store, m.Name)
		}
	}
	return names
}

// metricOf is the metric of a column: "fault/violence".
func metricOf(column string) (m core.Metric, title string) {
	name, aspect, ofAspect := strings.Cut(column, "/")
	if !ofAspect {
		m = core.StepMetric(name)
		return m, m.Title
	}
	m = core.AspectMetric(name)
	return m, words.Aspect(aspect) + " " + m.Title
}

func (p *comparePane) nextMetric(n int) {
	names := p.metrics()
	if len(names) > 0 {
		p.metric = names[(max(slices.Index(names, p.metric), 0)+n+len(names))%len(names)]
	}
}

// chooseMetric lists the metrics; typing narrows them down.
func (p *comparePane) chooseMetric() tea.Cmd {
	var items []menuItem
	for _, name := range p.metrics() {
		_, title := metricOf(name)
		items = append(items, menuItem{title, name, func() tea.Cmd {
			p.metric = name
			return p.refresh()
		}})
	}
	return p.openDialog(newMenu(p.shared, "Metric", items))
}

// compareRow is a row of the table: a number or a setting of every run.
type compareRow struct {
	head  string
	cells []string
	judge []int // 1 where the run is better than the baseline, -1 where it is worse
}

// table is the final numbers, with the differences from the baseline, and the settings that are not the same.
func (p *comparePane) table() []compareRow {
	var rows []compareRow
	base := p.baseline(p.marked)
	for _, name := range p.metrics() {
		m, title := metricOf(name)
		row := compareRow{head: title}
		first := p.marked[base].Store.Final(name)
		for i, o := range p.marked {
			v := o.Store.Final(name)
			text, judge := words.Number(v, m.Digits), 0
			if m.Unit != "" && !math.IsNaN(v) {
				text += " " + m.Unit
			}
			if d := v - first; i != base && !math.IsNaN(d) {
				text += fmt.Sprintf("  %+.*f", m.Digits, d)
				judge = m.Judge(d / m.Shown(1))
			}
			row.cells, row.judge = append(row.cells, text), append(row.judge, judge)
		}
		rows = append(rows, row)
	}
	return append(rows, p.differences()...)
}

// differences are the settings in which the runs differ.
func (p *comparePane) differences() []compareRow {
	var names []string
	settings := make([]map[string]string, len(p.marked))
	for i, o := range p.marked {
		if !o.HasConfig {
			continue
		}
		settings[i] = values(o.Config)
		for _, k := range o.Config.Keys() { // in their order
			if !slices.Contains(names, k.Name) {
				names = append(names, k.Name)
			}
		}
	}
	var rows []compareRow
	for _, name := range names {
		row, differ := compareRow{head: name}, false
		for _, of := range settings {
			v, has := of[name]
			if !has {
				v = "–"
			}
			differ = differ || v != settings[0][name]
			row.cells, row.judge = append(row.cells, v), append(row.judge, 0)
		}
		if differ {
			rows = append(rows, row)
		}
	}
	return rows
}

// compareSample is a prompt's text and a seed, which mean the same image in every run.
type compareSample struct {
	prompt string
	seed   uint64
}

// samples are the prompts and seeds that runs have images of; those that several have come first.
func (p *comparePane) samples() []compareSample {
	count := map[compareSample]int{}
	var all []compareSample
	for _, o := range p.marked {
		step, _ := o.Store.NewestPictures()
		for _, pic := range o.Store.Pictures[step] {
			s := compareSample{pic.Prompt, pic.Seed}
			if count[s]++; count[s] == 1 {
				all = append(all, s)
			}
		}
	}
	slices.SortStableFunc(all, func(a, b compareSample) int { return count[b] - count[a] })
	return all
}

// shot is the newest image of a run for a sample.
func (p *comparePane) shot(o *markedRun, s compareSample) (pic core.Picture, step int, ok bool) {
	step, _ = o.Store.NewestPictures()
	for _, pic := range o.Store.Pictures[step] {
		if pic.Prompt == s.prompt && pic.Seed == s.seed {
			return pic, step, true
		}
	}
	return core.Picture{}, 0, false
}

// wants asks for the images of the chosen sample.
func (p *comparePane) wants() tea.Cmd {
	all := p.samples()
	if len(all) == 0 {
		return nil
	}
	var cmds []tea.Cmd
	cols, rows := p.imageSize()
	for i, o := range p.marked {
		name := fmt.Sprint("compare/", i)
		pic, _, ok := p.shot(o, all[p.sample%len(all)])
		if !ok {
			p.unwant(name)
			continue
		}
		cmds = append(cmds, p.want(name, feed.Drawing{Folder: o.Folder, Path: pic.Path}, cols, rows))
	}
	return tea.Batch(cmds...)
}
