package workshop

import (
	"errors"
	"math"
	"sync"

	"focusnfix/model/torch"
)

// learnFrom makes one step.
func (s *student[N, B]) learnFrom(parts []B) error {
	grads, shown := make([]torch.Tensor, len(parts)), make([]torch.Tensor, len(parts))
	progress := s.progress()
	errs := make([]error, len(parts))
	var done sync.WaitGroup
	for r := 1; r < len(parts); r++ {
		done.Go(func() { grads[r], shown[r], errs[r] = s.gradientOf(parts[r], r, progress) })
	}
	grads[0], shown[0], errs[0] = s.gradientOf(parts[0], 0, progress)
	done.Wait()
	defer func() { torch.Drop(append(grads, shown...)...) }()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	var failed error
	err := torch.Run(func() {
		torch.NoGrad(func() { failed = s.update(grads, shown, progress) })
	})
	return errors.Join(err, failed)
}

// gradientOf is one replica's work: the gradient [size] and the shown numbers, both owned.
func (s *student[N, B]) gradientOf(part B, replica int, progress float64) (grad, shown torch.Tensor, err error) {
	chance, err := torch.NewGenerator(s.device, mixSeeds(s.seed, uint64(s.step), uint64(replica)))
	if err != nil {
		return grad, shown, err
	}
	defer chance.Close()
	err = torch.Run(func() {
		scalars := s.loss(s.net, part, chance, progress)
		grad = torch.Own(s.gradient(scalars[0], s.leaves))
		for i, t := range scalars {
			scalars[i] = t.Detach().To(torch.Float32).Reshape(1)
		}
		shown = torch.Own(torch.Cat(scalars, 0))
	})
	return grad, shown, err
}

// update moves the weights. A gradient that is not finite moves nothing: it becomes 0 and is counted.
func (s *student[N, B]) update(grads, shown []torch.Tensor, progress float64) error {
	grad := grads[0]
	for _, g := range grads[1:] {
		grad.AddInPlace(g, 1)
	}
	grad = grad.DivScalar(float64(len(grads)))
	norm := grad.Norm(2)
	finite := norm.IsFinite()
	scale := norm.AddScalar(1e-6).Reciprocal().MulScalar(gradientClip).ClampMax(1)
	grad = torch.Where(finite, grad.Mul(scale), grad.NewZeros(1))
	s.skips.CopyFrom(torch.Where(finite, s.skips.NewZeros(1), s.skips.AddScalar(1)))

	if err := s.optimizer.step(grad, s.rate*rateAt(progress, s.step, s.warmUp)); err != nil {
		return err
	}
	if s.dtype != torch.Float32 {
		s.work.CopyFrom(s.master)
	}
	n := float64(s.step)
	s.averaged.LerpInPlace(s.master, 1-min(s.average, (1+n)/(10+n)))
	s.step++
	s.meter.add(torch.Stack(shown, 0).Mean(0), s.batch)
	return nil
}

// rateAt is the learning rate in parts of the highest: a linear warm-up, the highest until half time,
// then half a cosine.
func rateAt(progress float64, step, warmUp int) float64 {
	rate := 1.0
	if progress > 0.5 {
		rate = max(finalRate, 0.5*(1+math.Cos(math.Pi*(progress-0.5)/0.5)))
	}
	return rate * min(1, float64(step+1)/float64(max(1, warmUp)))
}
