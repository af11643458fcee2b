package train

import (
	"fmt"
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
	peaks  *Peaks // nil does not measure them
}

// Peaks are the most bytes that the GPU's memory held in each phase of a step, weights included.
type Peaks struct {
	References int64 `json:"references"`
	Sample     int64 `json:"sample"`
	Decode     int64 `json:"decode"`
	Reward     int64 `json:"reward"`
	Backward   int64 `json:"backward"`
}

func startClock(device torch.Device, peaks *Peaks) *stopwatch {
	w := &stopwatch{device: device, from: time.Now(), peaks: peaks}
	if peaks != nil {
		w.peak(&peaks.References)
	}
	return w
}

// peak raises a phase's peak to that of the device since the last lap.
func (w *stopwatch) peak(to *int64) {
	var index int
	if _, err := fmt.Sscanf(string(w.device), "cuda:%d", &index); err != nil {
		return
	}
	if m, err := torch.CUDAMemory(index); err == nil {
		*to = max(*to, m.PeakAllocated)
	}
	_ = torch.ResetPeakMemory(index) // who cannot reset has measured nothing
}

// lap adds the time since the last one.
func (w *stopwatch) lap(to *float64) {
	if w.device != torch.CPU {
		torch.Synchronize(w.device)
	}
	now := time.Now()
	*to += now.Sub(w.from).Seconds()
	w.from = now
	if w.peaks == nil {
		return
	}
	w.peak(map[*float64]*int64{
		&w.Sample: &w.peaks.Sample, &w.Decode: &w.peaks.Decode, &w.Reward: &w.peaks.Reward, &w.Backward: &w.peaks.Backward,
	}[to])
}
