package backbone

import (
	"fmt"

	"focusnfix/model/torch"
)

// Scheduler walks the latents of one image from noise to image in Len evaluations of the network.
//
// Every sampler here is linear in what it is given: the latents, the network's output, both of earlier
// steps, and fresh noise. So a sampler is a table of a few numbers a step, computed once, in float64,
// without tensors; Step is the same for all, keeps no state and lets gradients through. The one
// exception is an estimate x̂0 that the configuration bounds (clip_sample, thresholding).
type Scheduler struct {
	Timesteps      []float64 // what the network is told, first step first
	InitNoiseSigma float64   // the first latents are noise times this
	Rows           []Row     // one a step

	// Bound is what the configuration does to estimates; nil leaves x̂0 as it is.
	Bound func(estimate torch.Tensor) torch.Tensor
}

// Row is one step: the network's input is Input·latents; x̂0 and the next latents are sums of terms, and fresh noise
// is added to the latter.
type Row struct {
	Input    float64
	Estimate []Term // of this step's latents and output
	Next     []Term
	Noise    float64

	// The latents before the step are Signal·image + Sigma·noise, if the step adds none and looks back at none.
	Signal, Sigma float64
}

// Quantity is what a sampler combines.
type Quantity uint8

// The quantities of a step.
const (
	OfLatents  Quantity = iota // before the step
	OfOutput                   // what the network made of them
	OfEstimate                 // x̂0, where it is bounded and so no combination of the two
)

// Symbol is a quantity of one step.
type Symbol struct {
	At   int
	What Quantity
}

// Term is one summand of a linear combination.
type Term struct {
	Symbol
	Weight float64
}

// Point is where a trajectory was at one step, and what was found there: latents, the network's output
// and the estimate of the finished image, all [B,C,H,W].
type Point struct{ Latents, Output, Estimate torch.Tensor }

// Len is the number of evaluations of the network: of steps, but for PNDM and Heun, which take more.
func (s *Scheduler) Len() int { return len(s.Rows) }

// NeedsNoise reports whether step i adds noise.
func (s *Scheduler) NeedsNoise(i int) bool { return s.Rows[i].Noise != 0 }

// Reach is how many earlier steps a step looks back to at most.
func (s *Scheduler) Reach() int {
	reach := 0
	for i, w := range s.Rows {
		for _, t := range w.Next {
			reach = max(reach, i-t.At)
		}
	}
	return reach
}

// Multistep reports whether a step needs what was found at earlier ones.
func (s *Scheduler) Multistep() bool { return s.Reach() > 0 }

// ScaleInput makes the network's input of step i from the latents.
func (s *Scheduler) ScaleInput(i int, latents torch.Tensor) torch.Tensor {
	if s.Rows[i].Input == 1 {
		return latents
	}
	return latents.MulScalar(s.Rows[i].Input)
}

// Step takes the latents [B,C,H,W] over step i. output is what the network made of their scaled input;
// past are the points of earlier steps, the latest last, at least Reach of them where there were as
// many; noise is normal noise of the same shape, no tensor where NeedsNoise is false. It returns the
// next latents and this step's point:
//
//	var past []backbone.Point
//	for i, t := range s.Timesteps {
//		next, point := s.Step(i, latents, network(s.ScaleInput(i, latents), t), past, noise)
//		latents, past = next, append(past, point)
//	}
func (s *Scheduler) Step(i int, latents, output torch.Tensor, past []Point, noise torch.Tensor) (next torch.Tensor, now Point) {
	w := s.Rows[i]
	if w.Noise != 0 && !noise.Defined() {
		panic(&torch.Error{Op: "scheduler step", Message: fmt.Sprintf("step %d adds noise and got none", i)})
	}
	now = Point{Latents: latents, Output: output}
	at := func(s Symbol) torch.Tensor {
		p := now
		if back := i - s.At; back > len(past) {
			panic(&torch.Error{Op: "scheduler step", Message: fmt.Sprintf("step %d needs the point of step %d", i, s.At)})
		} else if back > 0 {
			p = past[len(past)-back]
		}
		return map[Quantity]torch.Tensor{OfLatents: p.Latents, OfOutput: p.Output, OfEstimate: p.Estimate}[s.What]
	}
	both := torch.Scopes(func() []torch.Tensor {
		if now.Estimate = combine(w.Estimate, at); s.Bound != nil {
			now.Estimate = s.Bound(now.Estimate)
		}
		next := combine(w.Next, at)
		if w.Noise != 0 {
			next = next.Add(noise.MulScalar(w.Noise))
		}
		return []torch.Tensor{next, now.Estimate}
	})
	now.Estimate = both[1]
	return both[0], now
}

// combine adds the terms up.
func combine(terms []Term, at func(Symbol) torch.Tensor) (sum torch.Tensor) {
	for _, t := range terms {
		part := at(t.Symbol).MulScalar(t.Weight)
		if sum.Defined() {
			part = sum.Add(part)
		}
		sum = part
	}
	return sum
}

// Linear reports whether the finished latents are a sum of the first ones and of every step's output, so that
// Coefficients tell all about it: no step looks back, and no estimate is bounded.
func (s *Scheduler) Linear() bool { return !s.Multistep() && s.Bound == nil }

// Coefficients are what each step's output counts in the finished latents of a Linear scheduler:
// x_0 = c·x_T + Σ_i Coefficients[i]·output_i + noise.
func (s *Scheduler) Coefficients() []float64 {
	c := make([]float64, len(s.Rows))
	tail := 1.0
	for i := len(s.Rows) - 1; i >= 0; i-- {
		latents, output := s.Rows[i].linear(s.Rows[i].Next)
		c[i] = output * tail
		tail *= latents
	}
	return c
}

// linear writes terms of this step's point in its latents and output.
func (w Row) linear(terms []Term) (latents, output float64) {
	for _, t := range terms {
		switch t.What {
		case OfLatents:
			latents += t.Weight
		case OfOutput:
			output += t.Weight
		case OfEstimate:
			a, b := w.linear(w.Estimate)
			latents, output = latents+t.Weight*a, output+t.Weight*b
		}
	}
	return latents, output
}

// Noised takes finished latents [B,C,h,w] to the noise level before step i.
func (s *Scheduler) Noised(i int, latents, noise torch.Tensor) torch.Tensor {
	return torch.Scope(func() torch.Tensor {
		return latents.MulScalar(s.Rows[i].Signal).Add(noise.MulScalar(s.Rows[i].Sigma))
	})
}
