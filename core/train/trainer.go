package train

import (
	"errors"
	"fmt"
	"math"
	"time"

	"focusnfix/model/nn"
	"focusnfix/model/sd"
	"focusnfix/model/torch"
)

// Options are the settings of a training.
type Options struct {
	Sampling      Sampling
	BackpropSteps int // K of DRaFT-K
	NoisedCopies  int // further noise levels of the finished picture that each gradient averages over: DRaFT-LV; 0 is none
	Region        Region
	Aspects       []Aspect

	Rank    int64
	Alpha   float64  // 0 is Rank: an update of strength 1
	Targets []string // attention, feedforward, convolution, time

	LearningRate float64
	Warmup       int     // steps in which the rate rises to LearningRate
	Cosine       bool    // the rate falls to zero over Steps; else it stays
	WeightDecay  float64 // AdamW's
	GradClip     float64 // largest norm of all gradients together; 0 is any

	Steps          int
	Batch          int // pictures differentiated at once
	Accumulate     int // batches that one step averages over
	Prompts        []string
	SeedsPerPrompt int
	Seed           uint64 // of LoRA weights, order of pictures, starting noise and copies

	Model      string // hash of the base model's weights
	References string // folder of the references

	// Watch are judges that say what they think of the base pictures of each step and, if they are held
	// out, of the tuned ones, for StepResult.Judged. Training does not follow them.
	Watch []Judge
}

// Trainer is a training under way. Its methods are called by one goroutine.
type Trainer struct {
	Options
	pipeline  *sd.Pipeline
	adapter   *nn.Adapter
	params    []torch.Tensor
	optimizer *nn.AdamW
	objective *objective
	store     *store
	random    *torch.Generator            // of copies and of reward augmentation
	kept      map[Pair]kept               // references in memory
	base      map[Pair]map[string]float64 // scores of base pictures by watching judges
	group     *torch.Group                // of processes that train together; nil is this one alone
	parted    error                       // why they do so no longer
	step      int
	skipped   int // steps in a row whose loss or gradient was not a number
}

// kept is what a step needs of a reference, owned, on the CPU.
type kept struct {
	baseImage, mask torch.Tensor // [1,3,H,W] and [1,1,H,W]
	coverage        float64
}

// maxKept bounds the memory that base pictures may take, in bytes; more are decoded anew at each step.
const maxKept = 1 << 30

// StepResult is one step of training.
type StepResult struct {
	Step         int // 1 is the first
	Pairs        []Pair
	Measured     Measured
	Judged       map[string][]Judged // scores by each watching judge, in the order of Pairs
	Coverage     []float64           // of each picture's mask
	LearningRate float64
	GradNorm     float64 // before clipping
	Skipped      bool    // loss or gradient was not finite: nothing was learned
	Seconds      Seconds
}

// New attaches fresh LoRA weights to the model's UNet. random is drawn from by NoisedCopies and by the
// rewards' augmentation; its state belongs to a checkpoint.
func New(p *sd.Pipeline, o Options, random *torch.Generator) (*Trainer, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	if o.Alpha == 0 {
		o.Alpha = float64(o.Rank)
	}
	t := &Trainer{Options: o, pipeline: p, random: random, kept: map[Pair]kept{}, base: map[Pair]map[string]float64{}}
	s, err := newSampler(p, o.Sampling, o.BackpropSteps)
	if err != nil {
		return nil, err
	}
	if s.copies = o.NoisedCopies; s.copies > 0 {
		s.random = random
		if p.Scheduler.Class != sd.DDIM || o.BackpropSteps != 1 {
			return nil, errors.New("train.noised_copies: works with the ddim scheduler and backprop_steps 1")
		}
	}
	base, err := newSampler(p, o.Sampling, 0)
	if err != nil {
		return nil, err
	}
	t.objective = &objective{s, o.Aspects, o.Region}
	t.store = &store{o.References, o.Model, &localizer{base, o.Aspects}}
	want, err := sd.LoRATargets(o.Targets)
	if err != nil {
		return nil, err
	}
	if t.adapter, err = nn.NewAdapter(p.Params("unet"), o.Rank, o.Alpha, o.Seed, want); err != nil {
		return nil, err
	}
	s.adapter = t.adapter
	_, t.params = t.adapter.Tensors()
	err = torch.Run(func() {
		t.adapter.SetTrainable(true)
		t.optimizer = nn.NewAdamW(t.params, o.LearningRate)
		t.optimizer.Beta2, t.optimizer.WeightDecay = 0.99, o.WeightDecay
	})
	return t, err
}

func (o Options) validate() error {
	var errs []error
	for _, c := range []struct {
		ok   bool
		what string
	}{
		{len(o.Aspects) > 0, "no reward: add a [[reward]]"},
		{len(o.Prompts) > 0, "train.prompts: no prompt in it"},
		{o.SeedsPerPrompt > 0, fmt.Sprintf("train.seeds_per_prompt: %d, want at least 1", o.SeedsPerPrompt)},
		{o.Batch > 0 && o.Accumulate > 0, fmt.Sprintf("train.batch %d, train.accumulate %d: want at least 1", o.Batch, o.Accumulate)},
		{o.BackpropSteps > 0, fmt.Sprintf("train.backprop_steps: %d, want at least 1", o.BackpropSteps)},
		{o.Steps > 0, fmt.Sprintf("train.steps: %d, want at least 1", o.Steps)},
	} {
		if !c.ok {
			errs = append(errs, errors.New(c.what))
		}
	}
	return errors.Join(errs...)
}

// Close takes the LoRA weights off the model and frees what the trainer holds. On rank 0 of a group it
// lets the others go.
func (t *Trainer) Close() {
	_ = t.lead(orderEnd) // who is gone need not be told
	t.optimizer.Drop()
	t.adapter.Remove()
	for _, k := range t.kept {
		torch.Drop(k.baseImage, k.mask)
	}
}

// Done is the number of finished steps.
func (t *Trainer) Done() int { return t.step }

// Adapter is the LoRA that is trained.
func (t *Trainer) Adapter() *nn.Adapter { return t.adapter }

// Step trains once, on Batch·Accumulate pictures of every rank. An error leaves the weights as they were.
func (t *Trainer) Step() (StepResult, error) {
	if err := t.lead(orderStep); err != nil {
		return StepResult{}, err
	}
	return t.train()
}

// train is a step of one rank.
func (t *Trainer) train() (StepResult, error) {
	started := time.Now()
	r := StepResult{Step: t.step + 1, Pairs: t.pairs(t.step), LearningRate: t.rate(t.step), Judged: map[string][]Judged{}}
	var failed error
	err := torch.Run(func() {
		var sums []torch.Tensor
		if sums, failed = t.gradients(&r); failed != nil {
			return
		}
		r.GradNorm = gradNorm(sums)
		if r.Skipped = !r.Measured.Finite() || math.IsNaN(r.GradNorm) || math.IsInf(r.GradNorm, 0); r.Skipped {
			return
		}
		if t.GradClip > 0 && r.GradNorm > t.GradClip {
			torch.NoGrad(func() { scale(sums, t.GradClip/(r.GradNorm+1e-6)) })
		}
		t.optimizer.LearningRate = r.LearningRate
		t.optimizer.Step(sums)
	})
	if err = errors.Join(err, failed); err != nil {
		return r, err
	}
	r.Seconds = r.Measured.Seconds
	r.Seconds.Step = time.Since(started).Seconds()
	t.step++
	if t.skipped++; !r.Skipped {
		t.skipped = 0
	}
	return r, nil
}

// accumulate averages gradients over this rank's batches of a step and gathers what they measured.
func (t *Trainer) accumulate(r *StepResult) (sums []torch.Tensor, err error) {
	r.Measured.Rewards = map[string][]float64{}
	for i := range t.Accumulate {
		sums = torch.Scopes(func() []torch.Tensor {
			pairs := t.share(r.Pairs, i)
			b, coverage, failed := t.batch(pairs)
			if err = failed; err != nil {
				return nil
			}
			m, image, grads := t.objective.gradients(b, t.params)
			t.watch(r.Judged, pairs, b, image)
			r.Coverage = append(r.Coverage, coverage...)
			r.Measured.add(m, 1/float64(t.Accumulate))
			torch.NoGrad(func() {
				scale(grads, 1/float64(t.Accumulate))
				for k, sum := range sums {
					grads[k].AddInPlace(sum, 1)
				}
			})
			return grads
		})
		if err != nil {
			return nil, err
		}
	}
	return sums, nil
}

// SkippedInARow is how many steps up to now brought no finite loss or gradient.
func (t *Trainer) SkippedInARow() int { return t.skipped }

// rate is the learning rate of step n, from 0.
func (t *Trainer) rate(n int) float64 {
	rate := t.LearningRate
	if n < t.Warmup {
		return rate * float64(n+1) / float64(t.Warmup)
	}
	if t.Cosine && t.Steps > t.Warmup {
		rate *= 0.5 * (1 + math.Cos(math.Pi*float64(n-t.Warmup)/float64(t.Steps-t.Warmup)))
	}
	return rate
}

func scale(ts []torch.Tensor, by float64) {
	if by == 1 {
		return
	}
	for _, t := range ts {
		t.MulScalarInPlace(by)
	}
}

// gradNorm is the 2-norm of all gradients together.
func gradNorm(grads []torch.Tensor) (norm float64) {
	torch.NoGrad(func() {
		torch.Scope(func() torch.Tensor {
			norm = torch.Stack(torch.ForeachNorm(grads), 0).Norm(2).Item()
			return torch.Tensor{}
		})
	})
	return norm
}
