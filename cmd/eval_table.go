package cmd

import (
	"fmt"
	"io"
	"math"

	"charm.land/lipgloss/v2"
	"charm.land/lipgloss/v2/table"

	"focusnfix/core"
	"focusnfix/core/eval"
)

// printComparison writes what people want to know, plain where w is no terminal.
func printComparison(w io.Writer, r *eval.Comparison) {
	text := fmt.Sprintf("%s: %d held-out images of the base model, %d of them faulty, and %d with a fault that the mask misses\n\n",
		r.Run, r.Pictures, r.Faulty, r.Missed)
	text += inShort(r) + "\n" + together(r.Together) + atEqualShare(r.Equal)
	counted := "the faulty images"
	if r.Every {
		counted = "all images"
	}
	for _, t := range r.Tunings {
		text += fmt.Sprintf("\n%s at step %d, %s\n\n%s\n", lipgloss.NewStyle().Bold(true).Render(t.Run), t.Step, counted, judgeTable(t))
	}
	_, _ = lipgloss.Fprint(w, text) // nobody is left to tell
}

// together is a line about several runs.
func together(t *eval.Together) string {
	if t == nil || t.Runs < 2 {
		return ""
	}
	return fmt.Sprintf("\n%d runs together: %d of %d, %s; by run %.0f to %.0f %%, PSNR %.1f to %s, mean %s\n", t.Runs, t.Fixed, t.Faulty,
		shareText(t.FixedShare, t.FixedLow, t.FixedHigh), 100*t.Least, 100*t.Most, t.LowestPSNR, decibels(t.TopPSNR), decibels(t.PSNR))
}

// atEqualShare is a line about another run where it repairs as much.
func atEqualShare(e *eval.EqualShare) string {
	if e == nil {
		return ""
	}
	if e.Other == nil {
		var lowest, highest float64
		for i, p := range e.Curve {
			if i == 0 || p.Share < lowest {
				lowest = p.Share
			}
			highest = max(highest, p.Share)
		}
		return fmt.Sprintf("\n%s has no checkpoint on either side of %.0f %% repaired: its checkpoints repair %.0f to %.0f %%\n",
			e.Run, 100*e.Share, 100*lowest, 100*highest)
	}
	return fmt.Sprintf("\nat %.0f %% repaired: %s outside the mask, %s %s (interpolated between its %d checkpoints), %+.1f dB\n",
		100*e.Share, decibels(e.PSNR), e.Run, decibels(*e.Other), len(e.Curve), e.PSNR-*e.Other)
}

// shareText is "90 % (79-96)", with a 95 % confidence interval.
func shareText(share, low, high float64) string {
	return fmt.Sprintf("%.0f %% (%.0f-%.0f)", 100*share, 100*low, 100*high)
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
		{"faults repaired (95 %)", ""},
		{"outside the mask, PSNR", ""},
		{"outside the mask, SSIM", ""},
		{"images without fault, PSNR", ""},
		{"difference between seeds", fmt.Sprintf("%.3f", r.Diversity)},
	}
	for _, t := range r.Tunings {
		headers = append(headers, tuningName(t))
		clean := "none"
		if t.CleanPSNR != nil {
			clean = decibels(*t.CleanPSNR)
		}
		for i, value := range []string{
			fmt.Sprintf("%g", t.RegionWeight), fmt.Sprintf("%d of %d, %s", t.Fixed, r.Faulty, shareText(t.FixedShare, t.FixedLow, t.FixedHigh)),
			decibels(t.PSNR), fmt.Sprintf("%.3f", t.SSIM), clean, fmt.Sprintf("%.3f", t.Diversity),
		} {
			rows[i] = append(rows[i], value)
		}
	}
	return plainTable(headers...).Rows(rows...).String()
}

// tuningName is "RUN step 60", and the strength if it is not 1.
func tuningName(t eval.Tuning) string {
	name := fmt.Sprintf("%s step %d", t.Run, t.Step)
	if t.Strength != 1 {
		name += fmt.Sprintf(" at %g", t.Strength)
	}
	return name
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
			judge = "held-out"
		}
		faulty, fixed := "", "" // of an aspect that is not trained, the mask tells nothing
		if v.Trained {
			faulty = fmt.Sprint(v.Faulty)
		}
		if v.Trained && v.Faulty > 0 {
			low, high := core.Wilson(v.Fixed, v.Faulty)
			fixed = shareText(float64(v.Fixed)/float64(v.Faulty), low, high)
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
