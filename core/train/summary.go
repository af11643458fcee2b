package train

import (
	"fmt"
	"math"
)

// Summary is an evaluation in short.
type Summary struct {
	Pictures   int
	PSNR, SSIM float64 // medians, outside the mask
	Aspects    map[string]AspectSummary
}

// AspectSummary is what one judge says in short.
type AspectSummary struct {
	Base, Tuned  float64 // mean scores
	Range        float64 // of the score: what a change is measured against
	Change       float64 // mean change for the better, as a share of the range
	Faulty       int     // base pictures with a fault in the mask, by this judge
	Fixed        int     // of these, tuned pictures without
	Wins, Losses int     // pictures that changed for the better or worse by more than a tie
}

// FixedShare is the share of faulty base pictures that were repaired, 0 if there were none.
func (a AspectSummary) FixedShare() float64 {
	if a.Faulty == 0 {
		return 0
	}
	return float64(a.Fixed) / float64(a.Faulty)
}

func (a AspectSummary) String() string {
	return fmt.Sprintf("score %.3f -> %.3f, fixed %d of %d, wins %d, losses %d", a.Base, a.Tuned, a.Fixed, a.Faulty, a.Wins, a.Losses)
}

// Summarize puts evaluated pictures together. A heatmap above threshold inside the mask is a sign of a
// fault; a change by less than tie, as a share of the judge's range, is a tie.
//
// The range of a judge that says how probable a fault is, is that of the probability, 1. That of another
// is how far its scores of the base pictures lie apart.
func Summarize(all []Evaluated, threshold, tie float64) Summary {
	s := Summary{Pictures: len(all), Aspects: map[string]AspectSummary{}}
	var psnr, ssim []float64
	judged := map[string][]Judged{}
	for _, e := range all {
		psnr, ssim = append(psnr, e.PSNR), append(ssim, e.SSIM)
		for name, j := range e.Judged {
			judged[name] = append(judged[name], j)
		}
	}
	for name, list := range judged {
		s.Aspects[name] = summarizeJudge(list, threshold, tie)
	}
	s.PSNR, s.SSIM = median(psnr), median(ssim)
	return s
}

func summarizeJudge(list []Judged, threshold, tie float64) (a AspectSummary) {
	n := float64(len(list))
	a.Range = rangeOf(list)
	for _, j := range list {
		a.Base += j.Base / n
		a.Tuned += j.Tuned / n
		change := j.change(a.Range)
		a.Change += change / n
		switch {
		case change >= tie:
			a.Wins++
		case change <= -tie:
			a.Losses++
		}
		if j.faulty(threshold) {
			a.Faulty++
			if j.clean(threshold) {
				a.Fixed++
			}
		}
	}
	return a
}

// rangeOf is what changes of a judge are measured against; 0 where all base pictures score the same.
func rangeOf(list []Judged) float64 {
	lowest, highest := math.Inf(1), math.Inf(-1)
	for _, j := range list {
		if !math.IsNaN(j.BaseProbability) {
			return 1
		}
		lowest, highest = min(lowest, j.Base), max(highest, j.Base)
	}
	return highest - lowest
}

// change is for the better, as a share of the range.
func (j Judged) change(scale float64) float64 {
	switch {
	case !math.IsNaN(j.BaseProbability):
		return j.BaseProbability - j.TunedProbability
	case scale > 0:
		return (j.Tuned - j.Base) / scale
	case j.Tuned == j.Base:
		return 0
	}
	return math.Copysign(1, j.Tuned-j.Base)
}
