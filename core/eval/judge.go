package eval

import (
	"focusnfix/model/reward"
	"focusnfix/model/torch"
)

// Role says what a judge looks for, and whether training may follow it.
type Role struct {
	Aspect  string
	HeldOut bool // never trained on
}

// String is "violence", or "held-out violence".
func (r Role) String() string {
	if r.HeldOut {
		return "held-out " + r.Aspect
	}
	return r.Aspect
}

// Judge is a reward that judges images in an evaluation.
type Judge struct {
	Role
	reward.Reward
}

// decides reports whether the judge has the last word on its aspect: a held-out one, or the only one.
func (j Judge) decides(all []Judge) bool {
	for _, other := range all {
		if other.Aspect == j.Aspect && other.HeldOut && !j.HeldOut {
			return false
		}
	}
	return true
}

// Verdict is what one judge says of one image, and of the base model's image of the same pair.
type Verdict struct {
	Base, Tuned float64 // scores
	// Fault is the maximum of the judge's heatmap inside the mask: what is still visible of the fault there.
	BaseFault, TunedFault float64
	// Probability is that of a fault anywhere in the image; NaN if the judge does not estimate it.
	BaseProbability, TunedProbability float64
}

// Faulty reports whether the judge finds a fault inside the mask of the base image: its heatmap is above
// threshold there and, if it estimates how probable a fault is, a fault is at least as probable as none. A
// heatmap alone may be gray where an image has no fault.
func (v Verdict) Faulty(threshold float64) bool {
	return v.BaseFault > threshold && !(v.BaseProbability < 0.5)
}

// Clean reports whether the judge finds no fault in the tuned image by either sign: a fault that only moved out
// of the mask is not repaired.
func (v Verdict) Clean(threshold float64) bool {
	return v.TunedFault <= threshold && !(v.TunedProbability >= 0.5)
}

// opinion is what a judge says of one image: its score, and the maximum of its heatmap inside the mask.
type opinion struct{ score, fault float64 }

// opinions returns what a judge says of images [B,3,H,W] in [0,1] with masks [B,1,H,W].
func (j Judge) opinions(images, masks torch.Tensor, prompts []string) []opinion {
	all := make([]opinion, len(prompts))
	torch.Scope(func() torch.Tensor {
		heat := j.Heatmap(images, prompts).Mul(masks)
		scores, faults := j.Score(images, prompts).Doubles(), heat.AMax(false, 1, 2, 3).Doubles()
		for i := range all {
			all[i] = opinion{scores[i], faults[i]}
		}
		return torch.Tensor{}
	})
	return all
}

// verdict compares what the judge said of a base image with what it says of the tuned one.
func (j Judge) verdict(base, tuned opinion) Verdict {
	v := j.Scored(base.score, tuned.score)
	v.BaseFault, v.TunedFault = base.fault, tuned.fault
	return v
}

// Scored is the verdict of a judge that scored a base image and the tuned one, and was not asked for heatmaps.
func (j Judge) Scored(base, tuned float64) Verdict {
	return Verdict{
		Base: base, Tuned: tuned,
		BaseProbability:  reward.FaultProbability(j.Reward, base),
		TunedProbability: reward.FaultProbability(j.Reward, tuned),
	}
}

// Scores are a judge's scores of images [B,3,H,W] in [0,1], without gradients.
func (j Judge) Scores(images torch.Tensor, prompts []string) (values []float64) {
	torch.NoGrad(func() {
		torch.Scope(func() torch.Tensor {
			values = j.Score(images, prompts).Doubles()
			return torch.Tensor{}
		})
	})
	return values
}
