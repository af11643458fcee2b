package tui

import (
	"fmt"
	"math"
	"strings"

	"focusnfix/core"
	"focusnfix/core/words"
	"focusnfix/tui/widget"
)

// scoreRows is a table of what judges say of a base and a tuned image, and how alike the two are outside
// the mask.
func scoreRows(s widget.Styles, aspects []core.AspectScore, psnr float64, w int) []widget.Row {
	const whole = 18 + 3*8 // names, base, tuned, change
	cells, numbers := 8, 3
	if w < whole { // no room for the change: the tuned score has its color
		cells, numbers = 7, 2
	}
	name := max(min(w-numbers*cells, 20), 8)
	line := func(label, base, tuned, delta string) string {
		text := widget.FitLine(label, name) + fmt.Sprintf("%*s%*s", cells, base, cells, tuned)
		if w < whole {
			return text
		}
		return text + fmt.Sprintf("%*s", cells, delta)
	}
	rows := []widget.Row{{Text: s.FaintText.Render(line("score", "base", "tuned", "change"))}}
	for _, a := range aspects {
		rows = append(rows, widget.Row{Text: scoreLine(s, line, words.Aspect(a.Aspect), said{a.Base, a.Reward, a.BaseFault, a.Fault})})
		if !math.IsNaN(a.BaseHeldOut) || !math.IsNaN(a.HeldOut) {
			rows = append(rows, widget.Row{Text: scoreLine(s, line, " held-out", said{a.BaseHeldOut, a.HeldOut, a.BaseHeldOutFault, a.HeldOutFault})})
		}
	}
	if len(aspects) == 0 {
		rows = append(rows, widget.Row{Text: s.FaintText.Render("no scores are known")})
	}
	return append(rows, widget.Row{Text: line("outside", "", words.Decibels(psnr), "")})
}

// said is what one judge says of a base and a tuned image: its scores, and how probable it finds a fault, or NaN.
type said struct{ base, tuned, baseFault, tunedFault float64 }

// scoreLine is a line of the table: how probable the fault is, where the judge says so, else its scores.
func scoreLine(s widget.Styles, line func(a, b, c, d string) string, name string, j said) string {
	m, base, tuned := core.AspectMetric("reward"), j.base, j.tuned
	if !math.IsNaN(j.baseFault - j.tunedFault) {
		m, base, tuned = core.AspectMetric("fault"), j.baseFault, j.tunedFault
	}
	change := "–"
	if d := m.Shown(tuned - base); !math.IsNaN(d) {
		change = fmt.Sprintf("%+.*f", m.Digits, d)
	}
	text := line(name, m.Text(base), m.Text(tuned), change)
	last := text[strings.LastIndexByte(strings.TrimSuffix(text, " %"), ' ')+1:] // of the change, or of the tuned image's score
	switch text = strings.TrimSuffix(text, last); m.Judge(tuned - base) {
	case 1:
		return text + s.GoodText.Render(last)
	case -1:
		return text + s.BadText.Render(last)
	}
	return text + last
}
