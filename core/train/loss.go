package train

import (
	"fmt"
	"math"

	"focusnfix/core"
	"focusnfix/model/reward"
	"focusnfix/model/torch"
)

// Objective is what training maximizes, per image: see the package's comment.
type Objective struct {
	Aspects []Aspect
	Region  Region
	Augment bool // rewards see each image a little shifted, mirrored and noisy
}

// Aspect is one kind of fault that training repairs.
type Aspect struct {
	Name   string
	Model  string // what Reward is, by name or file
	Reward reward.Reward
	Weight float64 // w_a; 0 measures only
	Mask   core.MaskRule
	Guard  bool // in the objective, but makes no mask: what it finds is not to be repaired, only not to get worse
}

// masks reports whether what the aspect finds faulty is to be repaired.
func (a Aspect) masks() bool { return a.Weight != 0 && !a.Guard }

// Region is the term that holds an image outside its mask.
type Region struct {
	Weight float64 // 0 is plain DRaFT
	Norm   RegionNorm
}

// reward is Σ_a w_a · r_a(Î, c) of images [B,3,H,W], and the scores r_a by aspect. random is what augmentation draws
// from.
func (o Objective) reward(image torch.Tensor, prompts []string, random *torch.Generator) (sum torch.Tensor, scores map[string][]float64) {
	scores = map[string][]float64{}
	return torch.Scope(func() torch.Tensor {
		sum := image.NewZeros(image.Size(0))
		for _, a := range o.Aspects {
			judge := a.Reward
			if o.Augment {
				judge = reward.NewAugmentation(judge, random)
			}
			score := judge.Score(image, prompts)
			if got := score.Shape(); len(got) != 1 || got[0] != image.Size(0) {
				panic(&torch.Error{Op: "reward " + a.Name, Message: fmt.Sprintf("score %v for %v, want one number per image", score, image)})
			}
			scores[a.Name] = score.Detach().Doubles()
			sum = sum.AddScaled(score, a.Weight)
		}
		return sum
	}), scores
}

// RegionNorm is how the difference outside the mask is measured.
type RegionNorm string

// Norms of the region term. All are [B], zero at Î = Î₀ with zero gradient there.
//
// Frobenius is the paper's; it grows with the square root of the number of pixels, so that a weight
// does not carry from 512 to 1024. RMS is the same divided by that root. Local is the 4-norm over cells
// of 8×8 pixels of the RMS within each: a mean square hides a small new object of strong contrast, a sun
// in the sky say, behind a faint drift of the whole image; here it counts more than twice as much
// (docs/method.md).
const (
	RMS       RegionNorm = "rms"
	Frobenius RegionNorm = "frobenius"
	Local     RegionNorm = "local"
)

const (
	localCell  = 8   // pixels of a side; the sides of every image we draw are multiples of it
	localPower = 4.0 // of the norm over cells: 2 is RMS, infinity the worst cell alone

)

// flatOf is the RMS difference up to which a norm is 0, in [0,1], for images that were computed in an element
// type: 96 dB, 66 dB in float16, 48 dB in bfloat16. A kernel may round an image differently in a batch of another
// size, by as much as 71 dB in float16, and the gradient of a norm of that would be as long as that of any drift,
// in a direction of chance.
func flatOf(dtype torch.DType) float64 {
	switch dtype {
	case torch.Float16:
		return 1.0 / (1 << 11)
	case torch.BFloat16:
		return 1.0 / (1 << 8)
	}
	return 1.0 / (1 << 16)
}

// regionLoss keeps the image outside the mask as the base model drew it (arXiv 2501.06481, Fig. 2):
//
//	‖(1 − M) ⊙ (Î − Î₀)‖
//
// image and baseImage are [B,3,H,W] in [0,1]; mask is [B,1,H,W]. The result is [B], 0 up to flat.
func regionLoss(norm RegionNorm, flat float64, image, baseImage, mask torch.Tensor) torch.Tensor {
	return torch.Scope(func() torch.Tensor {
		outside := mask.SubFromScalar(1)           // [B,1,H,W], broadcasts over RGB
		drift := image.Sub(baseImage).Mul(outside) // [B,3,H,W]
		pixels := float64(drift.Numel() / drift.Size(0))
		switch norm {
		case Frobenius:
			return rootMean(drift.Flatten(1), flat).MulScalar(math.Sqrt(pixels))
		case RMS:
			return rootMean(drift.Flatten(1), flat)
		case Local:
			cells := rmsOfCells(drift, flat) // [B,cells]
			return cells.Norm(localPower, 1).DivScalar(math.Pow(float64(cells.Size(1)), 1/localPower))
		}
		panic(&torch.Error{Op: "region loss", Message: fmt.Sprintf("unknown norm %q", norm)})
	})
}

// rootMean is the RMS over the last dimension, but 0 up to flat, and smooth there: s/√(s + flat²) for the
// mean square less flat². From 64 times flat on it is within 1e-3 of the RMS.
func rootMean(drift torch.Tensor, flat float64) torch.Tensor {
	return torch.Scope(func() torch.Tensor {
		s := drift.Square().Mean(-1).AddScalar(-flat * flat).ReLU()
		return s.Div(s.AddScalar(flat * flat).Sqrt())
	})
}

// rmsOfCells is [B,cells] for drift [B,3,H,W].
func rmsOfCells(drift torch.Tensor, flat float64) torch.Tensor {
	B, C, H, W := drift.Size(0), drift.Size(1), drift.Size(2), drift.Size(3)
	return torch.Scope(func() torch.Tensor {
		cells := drift.Reshape(B, C, H/localCell, localCell, W/localCell, localCell).
			Permute(0, 2, 4, 1, 3, 5).Reshape(B, -1, C*localCell*localCell)
		return rootMean(cells, flat)
	})
}
