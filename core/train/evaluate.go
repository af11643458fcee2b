package train

import (
	"cmp"
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
	// Probability is that of a fault in the whole picture; NaN of a judge that does not say.
	BaseProbability, TunedProbability float64
}

// faulty tells whether a judge finds a fault in the region: something of its heatmap there, and, if it
// says how probable a fault is in the whole picture, at least as probable as not. A heatmap by itself may
// be grey where a picture has no fault.
func (j Judged) faulty(threshold float64) bool {
	return j.BaseFault > threshold && !(j.BaseProbability < 0.5)
}

// clean tells whether it finds none in the tuned picture by either sign: a fault that only moved out of the
// region is none that is repaired.
func (j Judged) clean(threshold float64) bool {
	return j.TunedFault <= threshold && !(j.TunedProbability >= 0.5)
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
			base, now := j.look(b.baseImage, b.mask, b.prompts), j.look(tuned, b.mask, b.prompts)
			for i := range all {
				all[i].Judged[j.Name()] = j.compare(base, now, i)
			}
		}
		cpu := func(x torch.Tensor) torch.Tensor { return x.ToDevice(torch.CPU, torch.Float32) }
		pictures = Pictures{cpu(b.baseImage), cpu(tuned), cpu(b.mask)}
	})
	return all, pictures, err
}

// look is what one judge says of pictures, one number each.
type look struct{ scores, faults []float64 }

// look asks a judge about images [B,3,H,W] in [0,1]; only the part of its heatmap in the mask counts.
func (j Judge) look(images, mask torch.Tensor, prompts []string) (l look) {
	torch.Scope(func() torch.Tensor {
		heat := j.Reward.Heatmap(images, prompts).Mul(mask)
		l = look{j.Reward.Score(images, prompts).Doubles(), heat.AMax(false, 1, 2, 3).Doubles()}
		return torch.Tensor{}
	})
	return l
}

// compare is what a judge says of picture i of two looks.
func (j Judge) compare(base, tuned look, i int) Judged {
	return Judged{
		Base: base.scores[i], Tuned: tuned.scores[i], BaseFault: base.faults[i], TunedFault: tuned.faults[i],
		BaseProbability:  reward.FaultProbability(j.Reward, base.scores[i]),
		TunedProbability: reward.FaultProbability(j.Reward, tuned.scores[i]),
	}
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
