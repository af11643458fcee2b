package tui

import (
	"fmt"
	"strings"

	"focusnfix/core"
	"focusnfix/core/words"
	"focusnfix/tui/widget"
)

// visibleGain is the difference of two rewards below which it has no color: less is noise of drawing.
const visibleGain = 0.005

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
		rows = append(rows, widget.Row{Text: scoreLine(s, line, words.Aspect(a.Aspect), a.Base, a.Reward)})
		if a.BaseHeldOut == a.BaseHeldOut || a.HeldOut == a.HeldOut {
			rows = append(rows, widget.Row{Text: scoreLine(s, line, " held-out", a.BaseHeldOut, a.HeldOut)})
		}
	}
	if len(aspects) == 0 {
		rows = append(rows, widget.Row{Text: s.FaintText.Render("no scores are known")})
	}
	return append(rows, widget.Row{Text: line("outside", "", words.Decibels(psnr), "")})
}

func scoreLine(s widget.Styles, line func(a, b, c, d string) string, name string, base, tuned float64) string {
	text := line(name, words.Number(base, 3), words.Number(tuned, 3), words.Change(base, tuned))
	last := text[strings.LastIndexByte(text, ' ')+1:] // of the change, or of the tuned image's score
	switch text = strings.TrimSuffix(text, last); {
	case tuned > base+visibleGain:
		return text + s.GoodText.Render(last)
	case tuned < base-visibleGain:
		return text + s.BadText.Render(last)
	}
	return text + last
}
