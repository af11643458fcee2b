package train

import (
	"fmt"
	"math"

	"focusnfix/model/reward"
	"focusnfix/model/torch"
)

// Aspect is one kind of fault that training repairs.
type Aspect struct {
	Name   string
	Model  string // what Reward is, by name or file
	Reward reward.Reward
	Weight float64 // w_a
	Mask   MaskRule
}

// Region is the term that holds a picture outside its mask.
type Region struct {
	Weight float64 // 0 is plain DRaFT
	Norm   RegionNorm
}

// batch is what one step trains on: B pictures that the base model drew.
type batch struct {
	prompts         []string
	start           start
	baseImage, mask torch.Tensor // [B,3,H,W] in [0,1] and [B,1,H,W] in {0,1}
}

// Measured is what a step found out about its pictures, one number a picture, before it changed the
// weights.
type Measured struct {
	Rewards map[string][]float64 // by aspect
	Region  []float64            // of the region term, not weighted
	Inside  []float64            // PSNR within the mask against the base picture, dB
	Outside []float64            // the same outside it
	Loss    float64              // −J, averaged
	Seconds Seconds
}

// add gathers another batch of the same step; its loss counts by share.
func (m *Measured) add(n Measured, share float64) {
	for aspect, scores := range n.Rewards {
		m.Rewards[aspect] = append(m.Rewards[aspect], scores...)
	}
	m.Region = append(m.Region, n.Region...)
	m.Inside, m.Outside = append(m.Inside, n.Inside...), append(m.Outside, n.Outside...)
	m.Loss += share * n.Loss
	m.Seconds.add(n.Seconds)
}

// Finite tells whether the loss is a number that training can follow.
func (m Measured) Finite() bool { return !math.IsNaN(m.Loss) && !math.IsInf(m.Loss, 0) }

// objective is the method without its optimizer.
type objective struct {
	sampler *sampler
	aspects []Aspect
	region  Region
}

// gradients draws a batch and differentiates its loss, −J averaged over the pictures, with respect to
// params. The tuned pictures [B,3,H,W] come with it, without history.
func (o *objective) gradients(b batch, params []torch.Tensor) (m Measured, image torch.Tensor, grads []torch.Tensor) {
	clock := startClock(o.sampler.pipeline.Device())
	kept := torch.Scopes(func() []torch.Tensor {
		drawn := o.sampler.draw(b.start)
		clock.lap(&clock.Sample)
		var image torch.Tensor
		var grads []torch.Tensor
		m, image, grads = o.differentiate(drawn, b, params, clock)
		for _, again := range o.sampler.noisedCopies(b.start, drawn.latents) {
			_, _, more := o.differentiate(again, b, params, clock)
			torch.NoGrad(func() {
				for i := range grads {
					grads[i].AddInPlace(more[i], 1)
				}
			})
		}
		torch.NoGrad(func() { scale(grads, 1/float64(1+o.sampler.copies)) })
		return append([]torch.Tensor{image}, grads...)
	})
	m.Seconds = clock.Seconds
	return m, kept[0], kept[1:]
}

// differentiate is gradients of pictures that are drawn.
func (o *objective) differentiate(drawn trajectory, b batch, params []torch.Tensor, clock *stopwatch) (m Measured, image torch.Tensor, grads []torch.Tensor) {
	kept := torch.Scopes(func() []torch.Tensor {
		image := o.sampler.pipeline.Decode(drawn.latents)
		clock.lap(&clock.Decode)
		var loss torch.Tensor
		loss, m = o.loss(image, b)
		clock.lap(&clock.Reward)
		atLatents := torch.Grad([]torch.Tensor{loss}, []torch.Tensor{drawn.latents}, nil)[0]
		grads := drawn.backward(atLatents, params)
		clock.lap(&clock.Backward)
		return append([]torch.Tensor{image.Detach()}, grads...)
	})
	return m, kept[0], kept[1:]
}

// loss is −J of images [B,3,H,W], averaged.
func (o *objective) loss(image torch.Tensor, b batch) (torch.Tensor, Measured) {
	m := Measured{Rewards: map[string][]float64{}}
	loss := torch.Scope(func() torch.Tensor {
		total := image.NewZeros(image.Size(0)) // J, [B]
		for _, a := range o.aspects {
			score := a.Reward.Score(image, b.prompts)
			if got := score.Shape(); len(got) != 1 || got[0] != image.Size(0) {
				panic(&torch.Error{Op: "reward " + a.Name, Message: fmt.Sprintf("score %v for %v, want one number a picture", score, image)})
			}
			m.Rewards[a.Name] = score.Detach().Doubles()
			total = total.AddScaled(score, a.Weight)
		}
		region := regionLoss(o.region.Norm, image, b.baseImage, b.mask)
		m.Region = region.Detach().Doubles()
		m.Inside, m.Outside = psnr(image.Detach(), b.baseImage, b.mask)
		if o.region.Weight != 0 {
			total = total.AddScaled(region, -o.region.Weight)
		}
		loss := total.Mean().Neg()
		m.Loss = loss.Item()
		return loss
	})
	return loss, m
}

// maxPSNR stands for pictures that are equal, in dB: their difference is below one in 8-bit files.
const maxPSNR = 99

// psnr is the peak signal-to-noise ratio of each picture over the pixels within its mask and over those
// outside, dB; maxPSNR where there are none.
func psnr(image, baseImage, mask torch.Tensor) (inside, outside []float64) {
	return psnrWhere(image, baseImage, mask), outsidePSNR(image, baseImage, mask)
}

func outsidePSNR(image, baseImage, mask torch.Tensor) (values []float64) {
	torch.NoGrad(func() {
		torch.Scope(func() torch.Tensor {
			values = psnrWhere(image, baseImage, mask.SubFromScalar(1))
			return torch.Tensor{}
		})
	})
	return values
}

// psnrWhere is that over the pixels where region, [B,1,H,W], is 1.
func psnrWhere(image, baseImage, region torch.Tensor) []float64 {
	var squares, pixels []float64
	torch.NoGrad(func() {
		torch.Scope(func() torch.Tensor {
			squares = image.Sub(baseImage).Mul(region).Square().Sum(1, 2, 3).Doubles()
			pixels = region.Sum(1, 2, 3).MulScalar(float64(image.Size(1))).Doubles()
			return torch.Tensor{}
		})
	})
	ratios := make([]float64, len(squares))
	for i := range ratios {
		ratios[i] = maxPSNR
		if squares[i] > 0 && pixels[i] > 0 {
			ratios[i] = min(maxPSNR, -10*math.Log10(squares[i]/pixels[i]))
		}
	}
	return ratios
}
