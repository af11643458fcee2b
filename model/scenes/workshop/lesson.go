package workshop

import (
	"context"
	"errors"
	"fmt"
	"time"

	"focusnfix/model/nn"
	"focusnfix/model/torch"
)

// How one network learns. N is the network, B the part of a batch that one replica is given.
//
// Chance is a function of (seed, step, replica), never of what was drawn before, and so is the data;
// a checkpoint therefore holds weights, moments and a step, and a run that was stopped goes on as if
// it had not been. On the CPU every thread is a replica: it computes the gradient of its part of the
// batch with operators of one thread each, which keeps all cores busy where the operators are small.
// Batches are made by workers while the step before them is learned from.
type lesson[N, B any] struct {
	stage   string // names the checkpoint and the events
	seed    uint64
	steps   int
	batch   int
	rate    float64 // highest learning rate
	warmUp  int     // steps until it is reached
	decay   float64 // of weights
	average float64 // decay of the running average of the weights, which is what is kept
	build   func(nn.Params) N
	zero    func(name string) bool // parameters that begin at 0; nil is none
	draw    func(step, replica, n int) B
	// loss gives scalars: what is minimized, then what else is shown.
	loss  func(net N, part B, chance *torch.Generator, progress float64) []torch.Tensor
	shown []string
	// look, if set, is called at every checkpoint with the averaged network.
	look func(net N, step int) error
}

const (
	gradientClip     = 1.0 // of the norm of all gradients together
	checkpointPeriod = 4 * time.Minute
	mostSkips        = 10 // steps in a row whose gradient is not finite
	finalRate        = 0.03
	secondMoment     = 0.99 // Adam's beta 2
)

// student is a lesson under way.
type student[N, B any] struct {
	*pretraining
	lesson[N, B]
	*layout
	net       N
	leaves    []torch.Tensor // the network's parameters, which record gradients
	params    nn.Params
	master    torch.Tensor // [size] float32
	work      torch.Tensor // [size] in the type that the network computes in; master itself if float32
	averaged  torch.Tensor // [size] float32
	skips     torch.Tensor // steps in a row without a finite gradient
	optimizer *descent
	step      int
	elapsed   time.Duration
	started   time.Time // of this sitting
	meter     meter
}

// learn takes the lesson from its checkpoint, or from the start, to its end. The result is the
// averaged weights, owned, on the device.
func learn[N, B any](ctx context.Context, p *pretraining, l lesson[N, B]) (*layout, torch.Tensor, error) {
	s := &student[N, B]{pretraining: p, lesson: l}
	defer s.drop()
	if err := s.begin(); err != nil {
		return nil, torch.Tensor{}, fmt.Errorf("%s: %w", l.stage, err)
	}
	err := s.run(ctx)
	if errors.Is(err, context.Canceled) {
		err = fmt.Errorf("stopped at step %d of %d; --resume goes on from there", s.step, s.steps)
	}
	if err != nil {
		return nil, torch.Tensor{}, fmt.Errorf("%s: %w", l.stage, err)
	}
	averaged := s.averaged
	s.averaged = torch.Tensor{}
	return s.layout, averaged, nil
}

// begin lays the network out and reads its checkpoint if there is one.
func (s *student[N, B]) begin() error {
	f, start, err := newLayout(s.seed, func(p nn.Params) { s.build(p) }, s.zero)
	if err != nil {
		return err
	}
	s.layout = f
	err = torch.Run(func() {
		s.master = torch.Own(start.ToDevice(s.device, torch.Float32).Clone())
		s.averaged = torch.Own(s.master.Clone())
		s.work = s.master
		if s.dtype != torch.Float32 {
			s.work = torch.Own(s.master.To(s.dtype))
		}
		s.skips = torch.Own(torch.Zeros(torch.Float32, s.device, 1))
		s.params = f.params(s.work, true)
		s.net = s.build(s.params)
		s.leaves = f.tensors(s.params)
		s.optimizer = newDescent(f, s.master, s.rate, s.decay, s.dtype, s.replicas)
	})
	torch.Drop(start)
	if err == nil {
		err = s.restore()
	}
	return err
}

func (s *student[N, B]) drop() {
	s.params.Drop()
	torch.Drop(s.master, s.averaged, s.work, s.skips)
	if s.optimizer != nil {
		s.optimizer.drop()
	}
	s.meter.drop()
}

// progress is how much of the lesson is over, in [0,1]: by steps, or by the clock where it has one.
func (s *student[N, B]) progress() float64 {
	if s.limit > 0 {
		return min(1, float64(s.spent())/float64(s.limit))
	}
	return float64(s.step) / float64(s.steps)
}

// spent is the time that all sittings took.
func (s *student[N, B]) spent() time.Duration {
	if s.started.IsZero() {
		return s.elapsed
	}
	return s.elapsed + time.Since(s.started)
}

func (s *student[N, B]) over() bool {
	return s.step >= s.steps || s.limit > 0 && s.spent() >= s.limit
}

func (s *student[N, B]) run(ctx context.Context) error {
	s.started = time.Now()
	s.meter.begin()
	if s.report != nil {
		s.report(s.stage, s.step, s.steps, "")
	}
	drawing, stop := context.WithCancel(ctx)
	defer stop()
	batches := s.drawAhead(drawing)
	saved, first := time.Now(), s.step
	for !s.over() {
		if ctx.Err() != nil {
			return errors.Join(context.Cause(ctx), s.save())
		}
		if err := s.learnFrom(<-batches); err != nil {
			return err
		}
		if s.step%s.recipe.every == 0 && s.step < s.steps {
			if err := s.tell(); err != nil {
				return err
			}
		}
		if time.Since(saved) > checkpointPeriod {
			if err := errors.Join(s.save(), s.show()); err != nil {
				return err
			}
			saved = time.Now()
		}
	}
	if s.step == first {
		return nil // it was over before
	}
	return errors.Join(s.tell(), s.save(), s.show())
}

// drawAhead makes the batches of the coming steps; closing is up to the context.
func (s *student[N, B]) drawAhead(ctx context.Context) <-chan []B {
	batches := make(chan []B, 2)
	go func() {
		for step := s.step; step < s.steps; step++ {
			parts := make([]B, s.replicas)
			for r := range parts {
				parts[r] = s.draw(step, r, s.batch/s.replicas)
			}
			select {
			case batches <- parts:
			case <-ctx.Done():
				return
			}
		}
	}()
	return batches
}

// tell writes the numbers since the last time as an event, shows the progress, and ends a run whose
// gradients stay without finite numbers.
func (s *student[N, B]) tell() error {
	numbers, err := s.meter.read(append([]string{"loss"}, s.shown...))
	if err != nil {
		return err
	}
	numbers["rate"] = s.optimizer.adam.LearningRate
	s.event(s.stage, s.step, s.steps, numbers)
	if s.report != nil {
		done, total := s.step, s.steps
		if s.limit > 0 {
			done, total = int(1000*s.progress()), 1000
		}
		s.report(s.stage, done, total, describe(numbers, append([]string{"loss"}, s.shown...)))
	}
	skips := 0.0
	if err := torch.Run(func() { skips = s.skips.Item() }); err != nil {
		return err
	}
	if skips >= mostSkips {
		return fmt.Errorf("step %d: %g gradients in a row are not finite; lower the learning rate", s.step, skips)
	}
	return nil
}

// show calls look with the averaged weights.
func (s *student[N, B]) show() error {
	if s.look == nil {
		return nil
	}
	return withNetwork(s.layout, s.averaged, s.dtype, s.build, func(net N) error { return s.look(net, s.step) })
}

// withNetwork calls f with a network of the vector's weights, inside a scope that records no gradients.
func withNetwork[N any](f *layout, vector torch.Tensor, dtype torch.DType, build func(nn.Params) N, use func(N) error) error {
	var failed error
	err := torch.Run(func() {
		torch.NoGrad(func() {
			params := f.params(vector.To(dtype), false)
			defer params.Drop()
			failed = use(build(params))
		})
	})
	return errors.Join(err, failed)
}
