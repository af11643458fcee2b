package tui

import (
	"math"
	"slices"
	"strings"

	"focusnfix/core"
	"focusnfix/core/words"
	"focusnfix/tui/chart"
	"focusnfix/tui/feed"
)

// safety are the aspects that make up safety.
var safety = []string{"violence", "oversexualization"}

// tableRow is a line of the dashboard's table. Its numbers are as shown: shares in percent.
type tableRow struct {
	name           string
	indent         int
	metric         core.Metric
	curve          string  // column of steps that the row shows and its curve is of; "" is none
	color          int     // of the curve
	base, now      float64 // means of the last steps
	gain           float64 // of tuned over base in the same images, so that more is better
	heldOut, fixed float64
}

// text is one of the row's numbers without its unit.
func (r *tableRow) text(v float64) string { return words.Number(v, r.metric.Digits) }

// hides is what is hidden with the row's curves: its aspect, or the total reward.
func (r *tableRow) hides() string {
	if _, aspect, found := strings.Cut(r.curve, "/"); found {
		return aspect
	}
	return r.curve
}

// unit is that of the row's numbers, with a space before.
func (r *tableRow) unit() string {
	if r.metric.Unit == "" {
		return ""
	}
	return " " + r.metric.Unit
}

// judge reports whether the gain is one that counts, 1, or a loss, -1.
func (r *tableRow) judge() int {
	change := r.gain * float64(r.metric.Better)
	if r.metric.Unit == "%" {
		change /= 100
	}
	return r.metric.Judge(change)
}

// recentSteps is how many steps the table's numbers are means of: a batch's own are noise.
const recentSteps = 10

// tableRows are the lines of the dashboard's table: the total, each aspect with safety in one group, and what
// happens outside the masks.
func tableRows(s *feed.Store) []tableRow {
	nan := math.NaN()
	var rows []tableRow
	if len(s.Aspects) != 1 { // else it is the aspect's own
		rows = append(rows, tableRow{name: "total reward", metric: core.StepMetric("reward"), curve: "reward", now: s.Steps.Recent("reward", recentSteps), base: nan, gain: nan, heldOut: nan, fixed: nan})
	}
	grouped := 0
	for _, a := range safety {
		if slices.Contains(s.Aspects, a) {
			grouped++
		}
	}
	done := false
	for _, a := range s.Aspects {
		if slices.Contains(safety, a) {
			if grouped < 2 {
				rows = append(rows, aspectRow(s, a, 0))
			} else if !done {
				rows, done = append(rows, safetyRows(s)...), true
			}
			continue
		}
		rows = append(rows, aspectRow(s, a, 0))
	}
	return append(rows, stepRow(s, "outside_psnr"), stepRow(s, "coverage"))
}

// stepRow is the row of a metric that training has one of, whatever the aspects.
func stepRow(s *feed.Store, metric string) tableRow {
	nan, m := math.NaN(), core.StepMetric(metric)
	return tableRow{
		name: m.Title, metric: m, curve: m.Name, color: -1, base: nan, gain: nan, now: s.Steps.Recent(m.Name, recentSteps),
		heldOut: s.Evaluations.Last(m.Name), fixed: nan,
	}
}

// safetyRows are the group's mean and its members.
func safetyRows(s *feed.Store) []tableRow {
	var members []tableRow
	for _, a := range safety {
		members = append(members, aspectRow(s, a, 1))
	}
	group := tableRow{name: "safety", color: -1, metric: members[0].metric}
	mean := func(of func(tableRow) float64) float64 {
		if members[0].metric.Name != members[1].metric.Name { // of a probability and a score
			return math.NaN()
		}
		return (of(members[0]) + of(members[1])) / 2
	}
	group.base = mean(func(r tableRow) float64 { return r.base })
	group.now = mean(func(r tableRow) float64 { return r.now })
	group.gain = mean(func(r tableRow) float64 { return r.gain })
	group.heldOut = mean(func(r tableRow) float64 { return r.heldOut })
	group.fixed = mean(func(r tableRow) float64 { return r.fixed })
	return append([]tableRow{group}, members...)
}

// aspectRow is the row of an aspect: how probable its fault is, where the judge says so, else its reward.
func aspectRow(s *feed.Store, aspect string, indent int) tableRow {
	r := tableRow{name: words.Aspect(aspect), indent: indent, color: aspectColor(s, aspect), fixed: s.Evaluated("fixed/" + aspect)}
	columns := []string{"reward/", "base/", "gain/", "held_out/"}
	r.metric = core.AspectMetric("reward")
	if s.KnowsFaults(aspect) {
		columns = []string{"fault/", "base_fault/", "fewer/", "held_out_fault/"}
		r.metric = core.AspectMetric("fault")
	}
	r.curve = columns[0] + aspect
	r.now, r.base, r.gain = recent(s, r.curve), recent(s, columns[1]+aspect), recent(s, columns[2]+aspect)
	r.heldOut = s.Evaluated(columns[3] + aspect)
	return r
}

// recent is a column's mean over the last steps of training, or where that has none, its last evaluation.
func recent(s *feed.Store, column string) float64 {
	if v := s.Steps.Recent(column, recentSteps); !math.IsNaN(v) {
		return v
	}
	return s.Evaluations.Last(column)
}

// aspectColor is the number of an aspect's color; the total has the first.
func aspectColor(s *feed.Store, aspect string) int {
	if len(s.Aspects) == 1 {
		return 0
	}
	return 1 + slices.Index(s.Aspects, aspect)
}

// ofAspects is a chart with a curve for each aspect that is not hidden, and dashed ones of the held-out judges; metric
// and heldOut are the beginnings of their columns. heldOut "" is none.
func ofAspects(spec chart.Spec, s *feed.Store, hidden map[string]bool, metric, heldOut string) chart.Spec {
	for _, a := range s.Aspects {
		if !hidden[a] {
			spec.Lines = append(spec.Lines, chart.Line{Label: words.Aspect(a), Column: metric + a, Color: aspectColor(s, a)})
		}
	}
	if heldOut == "" {
		return spec
	}
	named := false
	for _, a := range s.Aspects {
		if hidden[a] {
			continue
		}
		line := chart.Line{Column: heldOut + a, Color: aspectColor(s, a), Dashed: true, Evaluations: len(s.Steps.Column(heldOut+a)) == 0}
		if !named { // one name for all
			line.Label, named = "held out", true
		}
		spec.Lines = append(spec.Lines, line)
	}
	return spec
}

// aspectCharts are the charts of what judges say: what tuning changed in the same images, how probable faults are where
// every judge says so, and the rewards.
func aspectCharts(s *feed.Store, hidden map[string]bool, heldOut bool) []chart.Spec {
	with := func(column string) string {
		if heldOut {
			return column
		}
		return ""
	}
	reward := chart.Spec{Title: "reward", Decimals: 3}
	if !hidden["reward"] && len(s.Aspects) != 1 {
		reward.Lines = append(reward.Lines, chart.Line{Label: "total", Column: "reward"})
	}
	reward = ofAspects(reward, s, hidden, "reward/", with("held_out/"))
	if len(s.Aspects) == 0 || slices.ContainsFunc(s.Aspects, func(a string) bool { return !s.KnowsFaults(a) }) {
		return []chart.Spec{ofAspects(chart.Spec{Title: "gain over base", Decimals: 3}, s, hidden, "gain/", with("held_out_gain/")), reward}
	}
	fault := core.AspectMetric("fault")
	return []chart.Spec{
		ofAspects(chart.Spec{Title: "fewer faults than base, %", Decimals: fault.Digits}, s, hidden, "fewer/", with("held_out_fewer/")),
		ofAspects(chart.Spec{Title: fault.Chart + ", %", Decimals: fault.Digits}, s, hidden, "fault/", with("held_out_fault/")),
		reward,
	}
}

// chartSpecs returns the dashboard's charts: those of aspects, PSNR, then those of the other metrics in their order.
// hidden has the aspects whose curves are not shown, and "reward" for the total.
func chartSpecs(s *feed.Store, hidden map[string]bool, heldOut bool) []chart.Spec {
	specs := aspectCharts(s, hidden, heldOut)
	others := len(specs)
	specs = append(specs, chart.Spec{Title: "PSNR, dB", Decimals: core.StepMetric("outside_psnr").Digits})
	for _, m := range core.StepMetrics {
		if m.Chart == "" || m.Chart == "reward" {
			continue
		}
		title := m.Chart
		if m.Unit != "" {
			title += ", " + m.Unit
		}
		i := slices.IndexFunc(specs, func(c chart.Spec) bool { return c.Title == title })
		if i < 0 {
			i = len(specs)
			specs = append(specs, chart.Spec{Title: title, Decimals: m.Digits})
		}
		line := chart.Line{Label: strings.TrimSpace(strings.Replace(m.Title, m.Chart, "", 1)), Column: m.Name}
		if m.Better != 0 { // what there is to look at comes first
			specs[i].Lines = slices.Insert(specs[i].Lines, 0, line)
		} else {
			specs[i].Lines = append(specs[i].Lines, line)
		}
	}
	color := 0
	for _, spec := range specs[others:] {
		for i := range spec.Lines {
			spec.Lines[i].Color = color
			color++
		}
		if len(spec.Lines) == 1 {
			spec.Lines[0].Label = "" // the title says it
		}
	}
	return specs
}
