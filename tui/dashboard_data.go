package tui

import (
	"math"
	"slices"

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
	curve          string // column of steps that the row shows and its curve is of; "" is none
	color          int    // of the curve
	base, now      float64
	heldOut, fixed float64
	decimals       int
	unit           string
}

func (r tableRow) change() float64 { return r.now - r.base }

// tableRows are the lines of the dashboard's table: the total, each aspect with safety in one group, and what
// happens outside the masks.
func tableRows(s *feed.Store) []tableRow {
	nan := math.NaN()
	var rows []tableRow
	if len(s.Aspects) != 1 { // else it is the aspect's own
		rows = append(rows, tableRow{name: "total reward", curve: "reward", now: s.Steps.Last("reward"), base: nan, heldOut: nan, fixed: nan, decimals: 3})
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
	return append(rows,
		tableRow{name: "outside PSNR", curve: "outside-psnr", color: -1, base: nan, now: s.Steps.Last("outside-psnr"), heldOut: s.Evaluations.Last("outside-psnr"), fixed: nan, decimals: 1, unit: " dB"},
		tableRow{name: "mask coverage", curve: "coverage", color: -1, base: nan, now: 100 * s.Steps.Last("coverage"), heldOut: nan, fixed: nan, decimals: 1, unit: " %"})
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
	group.heldOut = mean(func(r tableRow) float64 { return r.heldOut })
	group.fixed = mean(func(r tableRow) float64 { return r.fixed })
	return append([]tableRow{group}, members...)
}

func aspectRow(s *feed.Store, aspect string, indent int) tableRow {
	return tableRow{
		name: words.Aspect(aspect), indent: indent, curve: "reward/" + aspect, color: aspectColor(s, aspect),
		base: s.Newest("base/" + aspect), now: s.Newest("reward/" + aspect),
		heldOut: s.Evaluated("held-out/" + aspect), fixed: s.Evaluated("fixed/" + aspect), decimals: 3,
	}
}

// aspectColor is the number of an aspect's color; the total has the first.
func aspectColor(s *feed.Store, aspect string) int {
	if len(s.Aspects) == 1 {
		return 0
	}
	return 1 + slices.Index(s.Aspects, aspect)
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
	for _, a := range s.Aspects {
		if heldOut && !hidden["reward/"+a] {
			spec.Lines = append(spec.Lines, chart.Line{
				Label: "held out", Column: "held-out/" + a, Color: aspectColor(s, a), Dashed: true,
				Evaluations: len(s.Steps.Columns["held-out/"+a]) == 0,
			})
		}
	}
	return spec
}

// chartSpecs are all the dashboard's charts.
func chartSpecs(s *feed.Store, hidden map[string]bool, heldOut bool) []chart.Spec {
	one := func(title, column string, decimals, color int) chart.Spec {
		return chart.Spec{Title: title, Decimals: decimals, Lines: []chart.Line{{Column: column, Color: color}}}
	}
	psnr := one("PSNR, dB", "outside-psnr", 1, 0)
	psnr.Lines[0].Label = "outside"
	psnr.Lines = append(psnr.Lines, chart.Line{Label: "inside", Column: "inside-psnr", Color: 1})
	return []chart.Spec{
		rewardChart(s, hidden, heldOut), psnr, one("loss", "loss", 3, 0), one("mask coverage", "coverage", 3, 2),
		one("region term", "region", 4, 5), one("gradient norm", "grad-norm", 2, 3), one("seconds a step", "step-seconds", 2, 6), one("learning rate", "learning-rate", 6, 7),
		one("memory, MiB", "memory", 0, 4), one("device use", "device", 2, 2),
	}
}
