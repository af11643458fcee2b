package sd

import "math"

// Samplers of models that were distilled to a few steps: latent consistency models (Luo et al., arXiv
// 2310.04378, algorithm 3) and trajectory consistency distillation (Zheng et al., arXiv 2402.19159,
// algorithm 4). Both take their timesteps out of the original_inference_steps of the teacher.

// distilledTimesteps spreads n of the teacher's timesteps, highest first.
func (c SchedulerConfig) distilledTimesteps(n int) []float64 {
	teacher, stride := c.OriginalInferenceSteps, c.NumTrainTimesteps/c.OriginalInferenceSteps
	timesteps := make([]float64, n)
	for i := range timesteps {
		fromTop := int(float64(i) * (float64(teacher) / float64(n)))
		timesteps[i] = float64((teacher-fromTop)*stride - 1)
	}
	return timesteps
}

// lcm goes to the estimate and takes it back to the next noise level with fresh noise.
func (w *walk) lcm(numSteps int, _ float64) {
	schedule := NewNoiseSchedule(w.cfg)
	timesteps := w.cfg.distilledTimesteps(numSteps)
	for i, timestep := range timesteps {
		f := w.readCumprod(timestep, schedule.AlphasCumprod[int(timestep)])
		const data = 0.5 // σ_data of the boundary condition, appendix of the paper
		scaled := timestep * w.cfg.TimestepScaling
		skip, out := data*data/(scaled*scaled+data*data), scaled/math.Hypot(scaled, data)
		denoised := f.x0.times(out).plus(f.x.times(skip))
		if i == numSteps-1 {
			w.to(denoised, 0)
			break
		}
		next := schedule.AlphasCumprod[int(timesteps[i+1])]
		w.to(denoised.times(math.Sqrt(next)), math.Sqrt(1-next))
	}
}

// tcd goes to a level that lies lower than the next by a share eta (gamma in the paper), and back up with
// fresh noise.
func (w *walk) tcd(numSteps int, eta float64) {
	schedule := NewNoiseSchedule(w.cfg)
	timesteps := w.cfg.distilledTimesteps(numSteps)
	for i, timestep := range timesteps {
		f := w.readCumprod(timestep, schedule.AlphasCumprod[int(timestep)])
		next := 0.0
		if i+1 < numSteps {
			next = timesteps[i+1]
		}
		lower := schedule.AlphasCumprod[int((1-eta)*next)]
		at := f.x0.times(math.Sqrt(lower)).plus(f.noise.times(math.Sqrt(1 - lower)))
		if eta == 0 || i == numSteps-1 {
			w.to(at, 0)
			continue
		}
		share := schedule.AlphasCumprod[int(next)] / lower
		w.to(at.times(math.Sqrt(share)), math.Sqrt(1-share))
	}
}
