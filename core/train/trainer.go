package train

import (
	"errors"
	"fmt"
	"math"
	"sync"

	"focusnfix/core"
	"focusnfix/core/eval"
	"focusnfix/model/backbone"
	"focusnfix/model/nn"
	"focusnfix/model/torch"
)

// Options are the settings of a training.
type Options struct {
	Sampling      core.Sampling
	Gradient      Gradient // "" is Chained
	BackpropSteps int      // K: denoising steps that learn from an image
	NoisedCopies  int      // further noise levels of the finished image that each gradient averages over: DRaFT-LV; 0 is none
	Objective

	Rank    int64
	Alpha   float64  // LoRA is scaled by Alpha/Rank; 0 is Rank
	Targets []string // attention, feedforward, convolution, time, text

	LearningRate float64
	Warmup       int     // steps in which the rate rises to LearningRate
	Cosine       bool    // the rate falls to zero over Steps; else it stays
	WeightDecay  float64 // AdamW's
	GradClip     float64 // maximum norm of all gradients together; 0 does not clip
	Average      float64 // decay of the moving average of the LoRA weights that is judged and exported; 0 is off

	Steps          int
	Batch          int     // images differentiated at once
	Accumulate     int     // batches that one step averages over
	FaultyShare    float64 // of a step's images, that the base model draws with a fault; 0 takes them as they come
	Prompts        []string
	SeedsPerPrompt int
	Seed           uint64 // every random choice follows from it

	Workers int // images differentiated at the same time on a CPU; 0 follows cores and memory

	Model        string // fingerprint of the base model's weights
	ReferenceDir string // folder of the references

	// Watch are judges of the base images of each step and, if they are held out, of the tuned ones, for
	// StepResult.Verdicts. Training does not follow them.
	Watch []eval.Judge
}

// Trainer is a training under way. Its methods are called by one goroutine.
type Trainer struct {
	Options
	References *References

	pipeline  backbone.Model
	adapter   *nn.Adapter
	params    []torch.Tensor
	optimizer *nn.AdamW
	ema       *average
	sampler   *sampler
	workers   *workers
	pool      *pool
	group     *torch.Group // of processes that train together; nil is this one alone
	parted    error        // why they do so no longer

	step    int
	cursor  cursor
	plan    plan
	lent    bool // the LoRA weights are others for a while: averaged, or of another checkpoint
	skipped int  // steps in a row whose loss or gradient was not a number

	baseMutex sync.Mutex
	base      map[baseScore]float64 // by watching judges
}

// New attaches fresh LoRA weights to the model's network.
func New(p backbone.Model, o Options) (*Trainer, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	if o.Alpha == 0 {
		o.Alpha = float64(o.Rank)
	}
	t := &Trainer{Options: o, pipeline: p, plan: plan{step: -1}, base: map[baseScore]float64{}}
	t.pool = &pool{prompts: o.Prompts, seedsPerPrompt: o.SeedsPerPrompt, seed: o.Seed}
	var err error
	if t.sampler, err = newSampler(p, o.Sampling, o.Gradient, o.BackpropSteps); err == nil {
		err = t.sampler.withCopies(o.NoisedCopies)
	}
	if err != nil {
		return nil, err
	}
	if t.References, err = NewReferences(p, o.Sampling, o.Aspects, o.Model, o.ReferenceDir, o.Workers); err != nil {
		return nil, err
	}
	if t.adapter, err = backbone.NewAdapter(p, o.Rank, o.Alpha, o.Seed, o.Targets); err != nil {
		return nil, err
	}
	t.workers, t.References.adapter, t.References.tuned = t.References.workers, t.adapter, t.Averaged
	_, t.params = t.adapter.Tensors()
	t.sampler.text = 2 * backbone.TextUpdates(t.adapter)
	err = torch.Run(func() {
		t.adapter.SetTrainable(true)
		t.optimizer, t.ema = t.newOptimizer(t.params), newAverage(o.Average, t.params)
	})
	return t, err
}

// newOptimizer is AdamW as DRaFT uses it (arXiv 2309.17400), with the parameters' moments at zero.
func (t *Trainer) newOptimizer(params []torch.Tensor) *nn.AdamW {
	a := nn.NewAdamW(params, t.LearningRate)
	a.Beta2, a.WeightDecay = 0.99, t.WeightDecay
	return a
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
		{len(o.Prompts) <= math.MaxInt32/max(o.SeedsPerPrompt, 1), fmt.Sprintf("train.seeds_per_prompt: %d for each of %d prompts is more than 2^31 pairs", o.SeedsPerPrompt, len(o.Prompts))},
		{o.Batch > 0 && o.Accumulate > 0, fmt.Sprintf("train.batch %d, train.accumulate %d: want at least 1", o.Batch, o.Accumulate)},
		{o.BackpropSteps > 0, fmt.Sprintf("train.backprop_steps: %d, want at least 1", o.BackpropSteps)},
		{o.Gradient == "" || o.Gradient == Chained || o.Gradient == Sparse, fmt.Sprintf("train.gradient: %q, want chained or sparse", o.Gradient)},
		{o.Average >= 0 && o.Average < 1, fmt.Sprintf("train.average: %g, want 0 to less than 1", o.Average)},
		{o.FaultyShare >= 0 && o.FaultyShare <= 1, fmt.Sprintf("train.faulty_share: %g, want 0 to 1", o.FaultyShare)},
		{o.Steps > 0, fmt.Sprintf("train.steps: %d, want at least 1", o.Steps)},
	} {
		if !c.ok {
			errs = append(errs, errors.New(c.what))
		}
	}
	return errors.Join(errs...)
}

// Close takes the LoRA weights off the model and frees what the trainer holds. On rank 0 of a group it lets the
// others go.
func (t *Trainer) Close() {
	_ = t.lead(orderEnd) // who is gone need not be told
	t.optimizer.Drop()
	t.ema.drop()
	t.adapter.Remove()
	t.References.Close()
}

// MeasurePeaks tells the memory of each phase of the steps to come, on a GPU.
func (t *Trainer) MeasurePeaks() *Peaks {
	t.sampler.peaks = new(Peaks)
	return t.sampler.peaks
}

// Done is the number of finished steps.
func (t *Trainer) Done() int { return t.step }

// Adapter is the LoRA that is trained.
func (t *Trainer) Adapter() *nn.Adapter { return t.adapter }

// SkippedInARow is the number of steps up to now without a finite loss and gradient.
func (t *Trainer) SkippedInARow() int { return t.skipped }

// AtOnce is the number of images that are drawn at the same time.
func (t *Trainer) AtOnce() int { return t.workers.count }

// SetRegionWeight changes the weight of the region term from the next step on.
func (t *Trainer) SetRegionWeight(weight float64) { t.Region.Weight = weight }

// SetRewardWeight changes the weight of an aspect's reward from the next step on, and reports whether there is
// such an aspect.
func (t *Trainer) SetRewardWeight(aspect string, weight float64) bool {
	for i := range t.Aspects {
		if a := &t.Aspects[i]; a.Name == aspect {
			masked := a.masks()
			if a.Weight = weight; a.masks() != masked {
				t.References.Forget()
			}
			return true
		}
	}
	return false
}

// SetMaskRule changes how masks are made of an aspect's heatmaps, from the next step on.
func (t *Trainer) SetMaskRule(aspect string, threshold float64, dilate int) {
	for i := range t.Aspects {
		if a := &t.Aspects[i]; a.Name == aspect && (a.Mask.Threshold != threshold || a.Mask.Dilate != dilate) {
			a.Mask.Threshold, a.Mask.Dilate = threshold, dilate
			t.References.Forget()
		}
	}
}

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

// merged calls f with the LoRA weights added to the layers' own, where that is exact: without gradients a layer
// then costs what the base model's does.
func (t *Trainer) merged(f func() error) error { return merged(t.adapter, f) }

func merged(a *nn.Adapter, f func() error) (err error) {
	if a == nil {
		return f()
	}
	if !a.MergesExactly() { // half types: rounded once
		a.Cast(func() { err = f() })
		return err
	}
	if err := a.Merge(); err != nil {
		return err
	}
	defer a.Unmerge()
	return f()
}
