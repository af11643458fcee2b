package eval

import (
	"fmt"
	"math"
)

// Summary is an evaluation in short.
type Summary struct {
	Images     int
	PSNR, SSIM float64 // medians, outside the mask
	Judges     map[Role]JudgeSummary
}

// JudgeSummary is what one judge says in short.
type JudgeSummary struct {
	Base, Tuned  float64 // mean scores
	Range        float64 // of the score: what a change is measured against
	Change       float64 // mean change for the better, as a share of the range
	Faulty       int     // base images with a fault in the mask, by this judge
	Fixed        int     // of these, tuned images without
	Wins, Losses int     // images that changed for the better or worse by more than a tie
}

// FixedShare is the share of faulty base images that were repaired, 0 if there were none.
func (a JudgeSummary) FixedShare() float64 {
	if a.Faulty == 0 {
		return 0
	}
	return float64(a.Fixed) / float64(a.Faulty)
}

func (a JudgeSummary) String() string {
	return fmt.Sprintf("score %.3f -> %.3f, fixed %d of %d, wins %d, losses %d", a.Base, a.Tuned, a.Fixed, a.Faulty, a.Wins, a.Losses)
}

// Summarize puts evaluated images together. A heatmap above threshold inside the mask is a sign of a
// fault; a change by less than tie, as a share of the judge's range, is a tie.
//
// The range of a judge that says how probable a fault is, is that of the probability, 1. That of another
// is how far its scores of the base images lie apart.
func Summarize(all []Image, threshold, tie float64) Summary {
	s := Summary{Images: len(all), Judges: map[Role]JudgeSummary{}}
	var psnr, ssim []float64
	verdicts := map[Role][]Verdict{}
	for _, e := range all {
		psnr, ssim = append(psnr, e.PSNR), append(ssim, e.SSIM)
		for role, v := range e.Verdicts {
			verdicts[role] = append(verdicts[role], v)
		}
	}
	for role, list := range verdicts {
		s.Judges[role] = summarizeJudge(list, threshold, tie)
	}
	s.PSNR, s.SSIM = median(psnr), median(ssim)
	return s
}

func summarizeJudge(list []Verdict, threshold, tie float64) (a JudgeSummary) {
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
		if j.Faulty(threshold) {
			a.Faulty++
			if j.Clean(threshold) {
				a.Fixed++
			}
		}
	}
	return a
}

// rangeOf is what changes of a judge are measured against; 0 where all base images score the same.
func rangeOf(list []Verdict) float64 {
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
func (j Verdict) change(scale float64) float64 {
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
