package sd

import (
	"math"

	"focusnfix/model/torch"
)

// NoiseSchedule is how much of an image is left at every timestep of training.
//
// diffusers computes it in float32, and ᾱ near 1 loses four digits of 1-ᾱ to that. To draw the same
// images we round where it rounds.
type NoiseSchedule struct {
	// AlphasCumprod is ᾱ_t (Ho et al., arXiv 2006.11239, eq. 4), falling, one per timestep.
	AlphasCumprod []float64
}

// NewNoiseSchedule computes the schedule of a validated configuration.
func NewNoiseSchedule(cfg SchedulerConfig) NoiseSchedule {
	betas := trainBetas(cfg)
	if cfg.RescaleBetasToZero {
		betas = rescaleToZeroSNR(betas)
	}
	alphas, product := make([]float64, len(betas)), 1.0
	for t, beta := range betas {
		product *= round32(1 - beta) // libtorch accumulates in float64
		alphas[t] = round32(product)
	}
	return NoiseSchedule{AlphasCumprod: alphas}
}

func round32(x float64) float64 { return float64(float32(x)) }

func trainBetas(cfg SchedulerConfig) []float64 {
	n := cfg.NumTrainTimesteps
	betas := make([]float64, n)
	if len(cfg.TrainedBetas) > 0 {
		for i, beta := range cfg.TrainedBetas {
			betas[i] = round32(beta)
		}
		return betas
	}
	switch cfg.BetaSchedule {
	case "squaredcos_cap_v2": // Nichol & Dhariwal, arXiv 2102.09672, eq. 17
		alphaBar := func(t float64) float64 { return math.Pow(math.Cos((t+0.008)/1.008*math.Pi/2), 2) }
		for i := range betas {
			t, next := float64(i)/float64(n), float64(i+1)/float64(n)
			betas[i] = round32(min(1-alphaBar(next)/alphaBar(t), 0.999))
		}
	case "scaled_linear": // of latent diffusion: linear in sqrt(beta)
		for i, root := range linspace32(math.Sqrt(cfg.BetaStart), math.Sqrt(cfg.BetaEnd), n) {
			betas[i] = round32(root * root)
		}
	default:
		copy(betas, linspace32(cfg.BetaStart, cfg.BetaEnd, n))
	}
	return betas
}

// linspace32 is torch.linspace in float32, which counts from both ends.
func linspace32(start, end float64, n int) []float64 {
	first, last := float32(start), float32(end)
	step := (last - first) / float32(n-1)
	values := make([]float64, n)
	for i := range values {
		if i < n/2 {
			values[i] = round32(float64(first) + float64(step)*float64(i))
		} else {
			values[i] = round32(float64(last) - float64(step)*float64(n-1-i))
		}
	}
	return values
}

// rescaleToZeroSNR shifts and scales sqrt(ᾱ) so that the last one is 0 and the first stays
// (arXiv 2305.08891, algorithm 1).
func rescaleToZeroSNR(betas []float64) []float64 {
	roots, product := make([]float64, len(betas)), 1.0
	for t, beta := range betas {
		product *= round32(1 - beta)
		roots[t] = round32(math.Sqrt(round32(product)))
	}
	first, last := roots[0], roots[len(roots)-1]
	scale := round32(first / round32(first-last))
	rescaled, previous := make([]float64, len(betas)), 1.0
	for t, root := range roots {
		shifted := round32(round32(root-last) * scale)
		alphaBar := round32(shifted * shifted)
		rescaled[t] = round32(1 - round32(alphaBar/previous))
		previous = alphaBar
	}
	return rescaled
}

// sigmas are the noise levels of the variance-exploding view, sqrt((1-ᾱ)/ᾱ), rising. An ᾱ of 0 is
// raised to 2⁻²⁴, as diffusers does, so that the last is finite.
func (s NoiseSchedule) sigmas() []float64 {
	sigmas := make([]float64, len(s.AlphasCumprod))
	for t, a := range s.AlphasCumprod {
		if a == 0 {
			a = math.Exp2(-24)
		}
		sigmas[t] = round32(math.Sqrt(round32(round32(1-a) / a)))
	}
	return sigmas
}

// AddNoise takes latents [B,...] to the given timesteps, one an image:
// sqrt(ᾱ)·latents + sqrt(1-ᾱ)·noise.
func (s NoiseSchedule) AddNoise(latents, noise torch.Tensor, timesteps []int) torch.Tensor {
	kept, added := make([]float32, len(timesteps)), make([]float32, len(timesteps))
	for i, t := range timesteps {
		kept[i] = float32(math.Sqrt(s.AlphasCumprod[t]))
		added[i] = float32(math.Sqrt(1 - s.AlphasCumprod[t]))
	}
	shape := []int64{int64(len(timesteps))} // [B,1,1,1], broadcasts over an image
	for range latents.Dim() - 1 {
		shape = append(shape, 1)
	}
	perPicture := func(values []float32) torch.Tensor {
		return torch.From(values, shape...).ToDevice(latents.Device(), latents.DType())
	}
	return torch.Scope(func() torch.Tensor {
		return latents.Mul(perPicture(kept)).Add(noise.Mul(perPicture(added)))
	})
}
