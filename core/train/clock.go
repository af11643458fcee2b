package train

import (
	"time"

	"focusnfix/model/torch"
)

// Seconds is where the time of a step went.
type Seconds struct {
	Sample   float64 // the denoising steps
	Decode   float64 // latents to images
	Reward   float64 // scores and region term
	Backward float64 // gradients, from the loss to the LoRA weights
	Step     float64 // all of the step, its update and what is measured beside it included
}

// over is these seconds as they pass while n workers spend as many at the same time.
func (s Seconds) over(n int) Seconds {
	share := 1 / float64(n)
	return Seconds{s.Sample * share, s.Decode * share, s.Reward * share, s.Backward * share, s.Step * share}
}

func (s *Seconds) add(t Seconds) {
	s.Sample += t.Sample
	s.Decode += t.Decode
	s.Reward += t.Reward
	s.Backward += t.Backward
	s.Step += t.Step
}

// stopwatch adds up laps. A GPU works behind our back, so each lap waits for it.
type stopwatch struct {
	Seconds
	device torch.Device
	from   time.Time
}

func startClock(device torch.Device) *stopwatch {
	return &stopwatch{device: device, from: time.Now()}
}

// lap adds the time since the last one.
func (w *stopwatch) lap(to *float64) {
	if w.device != torch.CPU {
		torch.Synchronize(w.device)
	}
	now := time.Now()
	*to += now.Sub(w.from).Seconds()
	w.from = now
}
