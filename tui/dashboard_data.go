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

// tableRow is a line of the dashboard's table.
type tableRow struct {
	name           string
	indent         int
	curve          string  // column of steps that the row shows and its curve is of; "" is none
	color          int     // of the curve
	base, now      float64 // means of the last steps
	gain           float64 // of tuned over base in the same images
	heldOut, fixed float64
	decimals       int
	unit           string
}

// recentSteps is how many steps the table's numbers are means of: a batch's own are noise.
const recentSteps = 10

// tableRows are the lines of the dashboard's table: the total, each aspect with safety in one group, and what
// happens outside the masks.
func tableRows(s *feed.Store) []tableRow {
	nan := math.NaN()
	var rows []tableRow
	if len(s.Aspects) != 1 { // else it is the aspect's own
		rows = append(rows, tableRow{name: "total reward", curve: "reward", now: s.Steps.Recent("reward", recentSteps), base: nan, gain: nan, heldOut: nan, fixed: nan, decimals: 3})
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
		name: m.Title, curve: m.Name, color: -1, base: nan, gain: nan, now: s.Steps.Recent(m.Name, recentSteps),
		heldOut: s.Evaluations.Last(m.Name), fixed: nan, decimals: m.Digits, unit: " " + m.Unit,
	}
}

// safetyRows are the group's mean and its members.
func safetyRows(s *feed.Store) []tableRow {
	group := tableRow{name: "safety", color: -1, decimals: 3}
	var members []tableRow
	for _, a := range safety {
		members = append(members, aspectRow(s, a, 1))
	}
	mean := func(of func(tableRow) float64) float64 { return (of(members[0]) + of(members[1])) / 2 }
	group.base = mean(func(r tableRow) float64 { return r.base })
	group.now = mean(func(r tableRow) float64 { return r.now })
	group.gain = mean(func(r tableRow) float64 { return r.gain })
	group.heldOut = mean(func(r tableRow) float64 { return r.heldOut })
	group.fixed = mean(func(r tableRow) float64 { return r.fixed })
	return append([]tableRow{group}, members...)
}

func aspectRow(s *feed.Store, aspect string, indent int) tableRow {
	return tableRow{
		name: words.Aspect(aspect), indent: indent, curve: "reward/" + aspect, color: aspectColor(s, aspect),
		base: recent(s, "base/"+aspect), now: recent(s, "reward/"+aspect), gain: recent(s, "gain/"+aspect),
		heldOut: s.Evaluated("held_out/" + aspect), fixed: s.Evaluated("fixed/" + aspect), decimals: 3,
	}
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

// gainChart is what tuning changed in the same images: the curves of aspects that are not hidden, and those of
// held-out judges.
func gainChart(s *feed.Store, hidden map[string]bool, heldOut bool) chart.Spec {
	spec := chart.Spec{Title: "gain over base", Decimals: 3}
	for _, a := range s.Aspects {
		if !hidden["reward/"+a] {
			spec.Lines = append(spec.Lines, chart.Line{Label: words.Aspect(a), Column: "gain/" + a, Color: aspectColor(s, a)})
		}
	}
	if heldOut {
		spec.Lines = append(spec.Lines, heldOutLines(s, hidden, "held_out_gain/")...)
	}
	return spec
}

// heldOutLines are the dashed curves of held-out judges, in the colors of their aspects. Only the first is named.
func heldOutLines(s *feed.Store, hidden map[string]bool, metric string) []chart.Line {
	var lines []chart.Line
	for _, a := range s.Aspects {
		if hidden["reward/"+a] {
			continue
		}
		line := chart.Line{Column: metric + a, Color: aspectColor(s, a), Dashed: true, Evaluations: len(s.Steps.Column(metric+a)) == 0}
		if len(lines) == 0 {
			line.Label = "held out"
		}
		lines = append(lines, line)
	}
	return lines
}

// rewardChart is the chart of rewards: the curves whose column is not in hidden, and the held-out judges'.
func rewardChart(s *feed.Store, hidden map[string]bool, heldOut bool) chart.Spec {
	spec := chart.Spec{Title: "reward", Decimals: 3}
	if !hidden["reward"] && len(s.Aspects) != 1 {
		spec.Lines = append(spec.Lines, chart.Line{Label: "total", Column: "reward"})
	}
	for _, a := range s.Aspects {
		column := "reward/" + a
		if hidden[column] {
			continue
		}
		spec.Lines = append(spec.Lines, chart.Line{Label: words.Aspect(a), Column: column, Color: aspectColor(s, a)})
	}
	if heldOut {
		spec.Lines = append(spec.Lines, heldOutLines(s, hidden, "held_out/")...)
	}
	return spec
}

// chartSpecs returns the dashboard's charts: gains, rewards, PSNR, then those of the other metrics in their order.
func chartSpecs(s *feed.Store, hidden map[string]bool, heldOut bool) []chart.Spec {
	reward := rewardChart(s, hidden, heldOut)
	specs := []chart.Spec{gainChart(s, hidden, heldOut), reward, {Title: "PSNR, dB", Decimals: core.StepMetric("outside_psnr").Digits}}
	for _, m := range core.StepMetrics {
		if m.Chart == "" || m.Chart == reward.Title {
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
	for _, spec := range specs[2:] {
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
