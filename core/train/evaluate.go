package train

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"focusnfix/model/reward"
	"focusnfix/model/torch"
)

// Judge is a reward that says something about pictures in an evaluation.
type Judge struct {
	Aspect  string
	Reward  reward.Reward
	HeldOut bool // never trained on
}

// Judged is what one judge said of one picture and of the base model's.
type Judged struct {
	Base, Tuned float64 // scores
	// Fault is the largest number of the judge's heatmap inside the mask: what is left to see of the
	// fault there.
	BaseFault, TunedFault float64
}

// Evaluated is one pair of pictures.
type Evaluated struct {
	Pair       Pair
	Coverage   float64
	PSNR, SSIM float64           // outside the mask, tuned against base; dB and [0,1]
	Judged     map[string]Judged // by aspect, "held-out" before the aspect of held-out judges
	Base       Statistics
	Tuned      Statistics
}

// Pictures are those of an evaluated batch, [B,3,H,W] and [B,1,H,W] on the CPU, for a grid.
type Pictures struct{ Base, Tuned, Mask torch.Tensor }

// Evaluate compares the tuned model with the base model on pairs, none of which need be in the pool,
// in the open scope. It trains nothing.
func (t *Trainer) Evaluate(pairs []Pair, judges []Judge) ([]Evaluated, Pictures, error) {
	var all []Evaluated
	var pictures Pictures
	var err error
	torch.NoGrad(func() {
		var b batch
		var coverage []float64
		if b, coverage, err = t.batch(pairs); err != nil {
			return
		}
		tuned := t.pipeline.Decode(t.store.sampler.draw(b.start).latents)
		psnr, ssim := outsidePSNR(tuned, b.baseImage, b.mask), outsideSSIM(tuned, b.baseImage, b.mask)
		before, after := pictureStatistics(b.baseImage), pictureStatistics(tuned)
		for i, p := range pairs {
			all = append(all, Evaluated{p, coverage[i], psnr[i], ssim[i], map[string]Judged{}, before[i], after[i]})
		}
		for _, j := range judges {
			judge(all, j, b, tuned)
		}
		cpu := func(x torch.Tensor) torch.Tensor { return x.ToDevice(torch.CPU, torch.Float32) }
		pictures = Pictures{cpu(b.baseImage), cpu(tuned), cpu(b.mask)}
	})
	return all, pictures, err
}

// judge asks one judge about a batch of base and tuned pictures.
func judge(all []Evaluated, j Judge, b batch, tuned torch.Tensor) {
	torch.Scope(func() torch.Tensor {
		look := func(image torch.Tensor) (score, fault []float64) {
			heat := j.Reward.Heatmap(image, b.prompts).Mul(b.mask)
			return j.Reward.Score(image, b.prompts).Doubles(), heat.AMax(false, 1, 2, 3).Doubles()
		}
		base, baseFault := look(b.baseImage)
		now, nowFault := look(tuned)
		for i := range all {
			all[i].Judged[j.Name()] = Judged{base[i], now[i], baseFault[i], nowFault[i]}
		}
		return torch.Tensor{}
	})
}

// Name is what maps of results call the judge: the aspect, with "held-out " before that of a held-out one.
func (j Judge) Name() string {
	if j.HeldOut {
		return heldOutPrefix + j.Aspect
	}
	return j.Aspect
}

const heldOutPrefix = "held-out "

// heldOutAspect is the aspect of a held-out judge's name.
func heldOutAspect(name string) (aspect string, heldOut bool) {
	return strings.CutPrefix(name, heldOutPrefix)
}

// Summary is an evaluation in short.
type Summary struct {
	Pictures   int
	PSNR, SSIM float64 // medians
	Aspects    map[string]AspectSummary
}

// AspectSummary is what one judge says in short.
type AspectSummary struct {
	Base, Tuned  float64 // mean scores
	Faulty       int     // base pictures with a fault in the mask, by this judge
	Fixed        int     // of these, tuned pictures without
	Wins, Losses int     // pictures whose score rose or fell; the others tie
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

// Summarize puts evaluated pictures together. A heatmap above threshold inside the mask is a fault; a
// score that moves by less than tie is a tie.
func Summarize(all []Evaluated, threshold, tie float64) Summary {
	s := Summary{Pictures: len(all), Aspects: map[string]AspectSummary{}}
	var psnr, ssim []float64
	for _, e := range all {
		psnr, ssim = append(psnr, e.PSNR), append(ssim, e.SSIM)
		for name, j := range e.Judged {
			a := s.Aspects[name]
			a.Base += j.Base / float64(len(all))
			a.Tuned += j.Tuned / float64(len(all))
			if j.BaseFault > threshold {
				a.Faulty++
				if j.TunedFault <= threshold {
					a.Fixed++
				}
			}
			switch change := j.Tuned - j.Base; {
			case change >= tie:
				a.Wins++
			case change <= -tie:
				a.Losses++
			}
			s.Aspects[name] = a
		}
	}
	s.PSNR, s.SSIM = median(psnr), median(ssim)
	return s
}

// median is the middle value, 0 of none.
func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }
