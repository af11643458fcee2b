package cmd

import (
	"fmt"
	"io"
	"math"

	"charm.land/lipgloss/v2"
	"charm.land/lipgloss/v2/table"

	"focusnfix/core/eval"
)

// printComparison writes what people want to know, plain where w is no terminal.
func printComparison(w io.Writer, r *eval.Comparison) {
	text := fmt.Sprintf("%s: %d held-out images of the base model, %d of them faulty, and %d with a fault that the mask misses\n\n",
		r.Run, r.Pictures, r.Faulty, r.Missed)
	text += inShort(r) + "\n"
	for _, t := range r.Tunings {
		text += fmt.Sprintf("\n%s at step %d, the faulty images\n\n%s\n", lipgloss.NewStyle().Bold(true).Render(t.Run), t.Step, judgeTable(t))
	}
	_, _ = lipgloss.Fprint(w, text) // nobody is left to tell
}

func plainTable(headers ...string) *table.Table {
	return table.New().Border(lipgloss.HiddenBorder()).BorderTop(false).BorderBottom(false).BorderLeft(false).BorderRight(false).
		BorderHeader(false).Headers(headers...)
}

// inShort has a column for each tuning.
func inShort(r *eval.Comparison) string {
	headers := []string{"", "BASE"}
	rows := [][]string{
		{"region weight", ""},
		{"faults repaired", ""},
		{"outside the mask, PSNR", ""},
		{"outside the mask, SSIM", ""},
		{"without fault, PSNR", ""},
		{"difference between seeds", fmt.Sprintf("%.3f", r.Diversity)},
	}
	for _, t := range r.Tunings {
		headers = append(headers, fmt.Sprintf("%s step %d", t.Run, t.Step))
		clean := "none"
		if t.CleanPSNR != nil {
			clean = decibels(*t.CleanPSNR)
		}
		for i, value := range []string{
			fmt.Sprintf("%g", t.RegionWeight), fmt.Sprintf("%d of %d, %.0f %%", t.Fixed, r.Faulty, 100*t.FixedShare),
			decibels(t.PSNR), fmt.Sprintf("%.3f", t.SSIM), clean, fmt.Sprintf("%.3f", t.Diversity),
		} {
			rows[i] = append(rows[i], value)
		}
	}
	return plainTable(headers...).Rows(rows...).String()
}

func decibels(v float64) string { return fmt.Sprintf("%.1f dB", v) }

// judgeTable has a line for each judge: first those of trained aspects.
func judgeTable(t eval.Tuning) string {
	lines := plainTable("ASPECT", "JUDGE", "REWARD", "CHANGE", "FAULTY", "FIXED", "BETTER/SAME/WORSE")
	for _, v := range t.Judges {
		judge := "trained on"
		switch {
		case !v.Trained:
			judge = "not trained"
		case v.HeldOut:
			judge = "held out"
		}
		faulty, fixed := "", "" // of an aspect that is not trained, the mask tells nothing
		if v.Trained {
			faulty = fmt.Sprint(v.Faulty)
		}
		if v.Trained && v.Faulty > 0 {
			fixed = fmt.Sprintf("%.0f %%", 100*float64(v.Fixed)/float64(v.Faulty))
		}
		lines.Row(v.Aspect, judge, fmt.Sprintf("%.3f → %.3f", v.Base, v.Tuned), signedPercent(v.Change), faulty, fixed,
			fmt.Sprintf("%d/%d/%d", v.Wins, v.Ties, v.Losses))
	}
	return lines.String()
}

// signedPercent is a share of a judge's range; better is positive.
func signedPercent(share float64) string {
	if percent := 100 * share; math.Abs(percent) >= 0.05 {
		return fmt.Sprintf("%+.1f %%", percent)
	}
	return "0.0 %"
}
