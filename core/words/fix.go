package words

import (
	"fmt"
	"math"

	"focusnfix/core"
)

// Verdict says in one line how a repair ended: "repaired", "no violence found here".
func Verdict(r core.FixResult) string {
	aspect := Aspect(r.Aspect)
	switch r.Verdict {
	case core.Repaired:
		return aspect + " repaired"
	case core.Unconfirmed:
		return aspect + " gone, but only one judge had found it"
	case core.Visible:
		return aspect + " still visible"
	case core.Moved:
		return aspect + " moved out of the region"
	case core.Smeared:
		return "smeared: the region lost its detail"
	case core.NoFault:
		if r.Nearest == "" {
			return fmt.Sprintf("no %s found here, nor elsewhere in the image", aspect)
		}
		return fmt.Sprintf("no %s found here", aspect)
	}
	return r.Verdict
}

// FixJudges says what the judges see in the region before and after: "violence 98 → 3 %, held-out 95 → 8 %".
func FixJudges(r core.FixResult) string {
	text := ""
	for _, j := range r.Judges {
		name := Aspect(r.Aspect)
		if j.HeldOut {
			name = ", held-out"
		}
		text += fmt.Sprintf("%s %s → %s %%", name, Percent(j.Before), Percent(j.After))
	}
	return text
}

// Percent is a share in whole percent, "–" where it is not known.
func Percent(share float64) string {
	if math.IsNaN(share) {
		return "–"
	}
	return Number(100*share, 0)
}
