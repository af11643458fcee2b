package eval

import (
	"math"

	"focusnfix/core"
	"focusnfix/model/torch"
)

// Batch is images that were drawn together by the base and by the tuned model.
type Batch struct {
	Pairs       []core.Pair
	Base, Tuned torch.Tensor // [B,3,H,W] in [0,1]
	Mask        torch.Tensor // [B,1,H,W] in {0,1}; 1 is the faulty region
}

// Prompts lists the prompt of each image.
func (b Batch) Prompts() []string {
	prompts := make([]string, len(b.Pairs))
	for i, p := range b.Pairs {
		prompts[i] = p.Prompt
	}
	return prompts
}

// Image is one image of the tuned model, measured against the base model's image of the same pair.
type Image struct {
	Pair        core.Pair
	Coverage    float64          // of the mask, share of the image
	PSNR, SSIM  float64          // outside the mask; dB and [0,1]
	Verdicts    map[Role]Verdict // of every judge
	Base, Tuned Statistics
}

// Measure compares the images of a batch and asks judges about both.
func (b Batch) Measure(judges []Judge) []Image {
	base := make([][]opinion, len(judges))
	for k, j := range judges {
		base[k] = j.opinions(b.Base, b.Mask, b.Prompts())
	}
	return b.measure(judges, base)
}

// measure is Measure where the judges' opinions of the base images are known.
func (b Batch) measure(judges []Judge, base [][]opinion) []Image {
	all := make([]Image, len(b.Pairs))
	psnr, ssim := PSNR(b.Tuned, b.Base, Outside(b.Mask)), outsideSSIM(b.Tuned, b.Base, b.Mask)
	before, after, coverage := statisticsOf(b.Base), statisticsOf(b.Tuned), b.Mask.Mean(1, 2, 3).Doubles()
	for i, p := range b.Pairs {
		all[i] = Image{p, coverage[i], psnr[i], ssim[i], map[Role]Verdict{}, before[i], after[i]}
	}
	for k, j := range judges {
		for i, tuned := range j.opinions(b.Tuned, b.Mask, b.Prompts()) {
			all[i].Verdicts[j.Role] = j.verdict(base[k][i], tuned)
		}
	}
	return all
}

// MaxPSNR stands for equal images, in dB: their difference is below one in 8-bit files.
const MaxPSNR = 99

// Outside is 1 where a mask is 0.
func Outside(mask torch.Tensor) torch.Tensor { return mask.SubFromScalar(1) }

// PSNR is the peak signal-to-noise ratio of each image against its base image, [B,3,H,W] in [0,1], over the
// pixels where region, [B,1,H,W], is 1, in dB; MaxPSNR where there are none.
func PSNR(images, baseImages, region torch.Tensor) []float64 {
	var sums []float64
	torch.NoGrad(func() {
		torch.Scope(func() torch.Tensor {
			squares := images.Sub(baseImages).Mul(region).Square().Sum(1, 2, 3)
			pixels := region.Sum(1, 2, 3).MulScalar(float64(images.Size(1)))
			sums = torch.Stack([]torch.Tensor{squares, pixels}, 0).Doubles() // one copy from the device
			return torch.Tensor{}
		})
	})
	ratios := make([]float64, len(sums)/2)
	squares, pixels := sums[:len(ratios)], sums[len(ratios):]
	for i := range ratios {
		ratios[i] = MaxPSNR
		if squares[i] > 0 && pixels[i] > 0 {
			ratios[i] = min(MaxPSNR, -10*math.Log10(squares[i]/pixels[i]))
		}
	}
	return ratios
}
