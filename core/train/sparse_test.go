package train

import (
	"encoding/json"
	"math"
	"os"
	"slices"
	"testing"

	"focusnfix/core"
	"focusnfix/model/torch"
	"focusnfix/model/torch/torchtest"
)

// sparseGolden is testdata/ref/sparse.json: the same by diffusers and PyTorch, in float64.
type sparseGolden struct {
	Coefficients, Weights []float64
	Steps                 []int
	Loss                  float64
	Gradients             map[string][]float64
	Decay, Plain, Average float64
}

func readSparse(t *testing.T) (g sparseGolden) {
	t.Helper()
	text, err := os.ReadFile("testdata/ref/sparse.json")
	if err == nil {
		err = json.Unmarshal(text, &g)
	}
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// TestSparseMatchesPyTorch: what each step's output counts, and the gradients that reach the LoRA weights through
// some steps, each with its weight. Ours are float32.
func TestSparseMatchesPyTorch(t *testing.T) {
	m, want := newTiny(t), readSparse(t)
	torchtest.Run(t, func() {
		m.hash()
		s := m.sampler(t, Sparse, len(want.Steps))
		for i, c := range s.scheduler.Coefficients() {
			if math.Abs(c-want.Coefficients[i]) > 1e-6 { // diffusers' schedule is float32
				t.Errorf("coefficient %d is %g, want %g", i, c, want.Coefficients[i])
			}
		}
		p := m.part(t, s)
		p.walk = s.rollout(p.start)
		drawn := s.sparse(p.walk, want.Steps, want.Weights)
		image := m.pipeline.Decode(drawn.latents)
		o := Objective{Aspects: tinyAspects(), Region: Region{12, Local}}
		reward, _ := o.reward(image, p.prompts, nil)
		loss := reward.AddScaled(regionLoss(Local, s.flat(), image, p.baseImage, p.mask), -12).Mean().Neg()
		if got := loss.Item(); math.Abs(got-want.Loss) > 1e-4*math.Abs(want.Loss) {
			t.Errorf("loss %g, want %g", got, want.Loss)
		}
		atLatents := torch.Grad([]torch.Tensor{loss}, []torch.Tensor{drawn.latents}, nil)[0]
		for i, g := range drawn.backward(atLatents, m.params) {
			checkGradient(t, Local, len(want.Steps), m.names[i], g.Flatten(0).Doubles(), want.Gradients[m.names[i]])
		}
	})
}

// TestSparseOfTheLastStep: of the last step alone it is DRaFT-1, and equal the same draw after draw.
func TestSparseOfTheLastStep(t *testing.T) {
	m := newTiny(t)
	torchtest.Run(t, func() {
		m.hash()
		sparse, chained := m.sampler(t, Sparse, 1), m.sampler(t, Chained, 1)
		st := m.part(t, sparse).start
		a, b := sparse.sparse(sparse.rollout(st), []int{4}, []float64{1}), chained.finish(chained.rollout(st), nil)
		seed := a.latents.Detach().Tanh()
		want := b.backward(seed, m.params)
		for i, got := range a.backward(seed, m.params) {
			if d := torchtest.MaxDiff(got, want[i]); d > 1e-5*(1+want[i].Abs().Max().Item()) {
				t.Errorf("%s: gradients differ by %g", m.names[i], d)
			}
		}
	})
}

// TestLearningSteps: K different steps, rising, weighted so that on average every step counts once; late ones come
// more often.
func TestLearningSteps(t *testing.T) {
	for _, c := range []struct{ n, k int }{{10, 3}, {50, 2}, {5, 5}, {4, 3}, {7, 1}, {30, 29}} {
		const draws = 20000
		count, times := make([]float64, c.n), make([]int, c.n)
		chance := chanceOf(1, 2, 3)
		for range draws {
			steps, weights := learning(c.n, c.k, chance)
			if len(steps) != c.k || !slices.IsSorted(steps) || len(slices.Compact(slices.Clone(steps))) != c.k {
				t.Fatalf("%d of %d: steps %v", c.k, c.n, steps)
			}
			for i, step := range steps {
				count[step] += weights[i] / draws
				times[step]++
			}
		}
		for i, got := range count {
			if math.Abs(got-1) > 0.15 { // five standard deviations of 400 draws of a step
				t.Errorf("%d of %d: step %d counts %.3f on average, want 1", c.k, c.n, i, got)
			}
		}
		if c.k > 1 && times[0] > times[c.n-1] {
			t.Errorf("%d of %d: the first step came %d times, the last %d", c.k, c.n, times[0], times[c.n-1])
		}
	}
}

// TestAverageMatchesPyTorch: the averaged weights of ten steps have PyTorch's loss, and are the average of the weights
// that there were. The losses of weights and average lie nearer to each other than ten steps in float32 on two
// processors, so it is the weights that tell them apart.
func TestAverageMatchesPyTorch(t *testing.T) {
	m, want := newTiny(t), readSparse(t)
	torchtest.Run(t, func() {
		m.hash()
		o, s := Objective{Aspects: tinyAspects(), Region: Region{12, Local}}, m.sampler(t, Chained, 2)
		p := m.part(t, s)
		tr := &Trainer{params: m.params, ema: newAverage(want.Decay, m.params)}
		defer tr.ema.drop()
		tr.WeightDecay, tr.LearningRate = 1e-2, 2e-2
		optimizer := tr.newOptimizer(tr.params)
		defer optimizer.Drop()
		loss := func() float64 {
			measured, _, _ := p.gradients(o, s, m.params)
			return measured.Loss
		}
		expected := doubles(m.params)
		for n := range 10 {
			torch.Scope(func() torch.Tensor {
				_, _, grads := p.gradients(o, s, m.params)
				clip(grads, gradNorm(grads), 1)
				optimizer.Step(grads)
				tr.ema.update(m.params)
				return torch.Tensor{}
			})
			decay := min(want.Decay, float64(2+n)/float64(11+n))
			for i, weights := range doubles(m.params) {
				for k, w := range weights {
					expected[i][k] = decay*expected[i][k] + (1-decay)*w
				}
			}
		}
		plain, averaged := loss(), 0.0
		apart, worst := 0.0, 0.0
		last := doubles(m.params)
		tr.Averaged(func() {
			averaged = loss()
			for i, weights := range doubles(m.params) {
				for k, w := range weights {
					worst, apart = max(worst, math.Abs(w-expected[i][k])), max(apart, math.Abs(w-last[i][k]))
				}
			}
		})
		if !(worst <= 1e-5*apart) { // twenty roundings of 6e-8
			t.Errorf("the average is off by %g, where the weights are %g away", worst, apart)
		}
		for what, pair := range map[string][2]float64{"weights": {plain, want.Plain}, "averaged weights": {averaged, want.Average}, "weights again": {loss(), want.Plain}} {
			if math.Abs(pair[0]-pair[1]) > 1e-3*math.Abs(pair[1]) {
				t.Errorf("loss of the %s %.6f, want %.6f", what, pair[0], pair[1])
			}
		}
	})
}

// doubles are the numbers of each tensor.
func doubles(xs []torch.Tensor) [][]float64 {
	values := make([][]float64, len(xs))
	for i, x := range xs {
		values[i] = x.Detach().Doubles()
	}
	return values
}

// spottedIn is spotted, but finds no fault in images whose prompt is not "a chef".
type spottedIn struct{ spotted }

func (s spottedIn) Heatmap(images torch.Tensor, prompts []string) torch.Tensor {
	heat := s.spotted.Heatmap(images, prompts)
	for i, prompt := range prompts {
		if prompt != "a chef" {
			heat.Narrow(0, int64(i), 1).Zero()
		}
	}
	return heat
}

// allNew has every new setting at once, over a pool of which a quarter is faulty.
func allNew(dir string) Options {
	o := tinyOptions(dir)
	o.Aspects[0].Reward = spottedIn{}
	o.Prompts, o.Batch = []string{"a chef", "a cat", "a tree", "a dog"}, 4
	o.Gradient, o.Average, o.FaultyShare, o.Augment = Sparse, 0.9, 0.5, true
	return o
}

// TestFaultyShare: half of each step is faulty though a quarter of the pool is; healthy pairs all have their turn;
// a pool without faults is trained on all the same.
func TestFaultyShare(t *testing.T) {
	torchtest.Need(t)
	tr := newTrainer(t, allNew(t.TempDir()))
	seen := map[core.Pair]int{}
	for range 3 {
		if err := tr.Plan(tr.References.Prepare); err != nil {
			t.Fatal(err)
		}
		faulty := 0
		for _, p := range tr.Next() {
			if seen[p]++; p.Prompt == "a chef" {
				faulty++
			}
		}
		if faulty != 2 {
			t.Errorf("%d of 4 images are faulty, want 2: %v", faulty, tr.Next())
		}
		tr.finished(false)
	}
	if len(seen) != 8 { // 2 seeds of a chef, 3 times; 6 other pairs, once
		t.Errorf("seen %v, want every pair", seen)
	}
	o := allNew(t.TempDir())
	o.Prompts = o.Prompts[1:]
	none := newTrainer(t, o)
	if err := none.Plan(none.References.Prepare); err != nil || len(none.Next()) != 4 {
		t.Errorf("a pool without faults: %v, %v", none.Next(), err)
	}
}

// TestWorkersChangeNoBit: weights, averages and what is measured are the same for any number of workers.
func TestWorkersChangeNoBit(t *testing.T) {
	torchtest.Need(t)
	train := func(workers int) ([]float32, StepResult) {
		o := allNew(t.TempDir())
		o.Workers = workers
		tr := newTrainer(t, o)
		last := steps(t, tr, 2)
		last.Measured.Seconds = Seconds{}
		values := weightsOf(t, tr)
		torchtest.Run(t, func() { tr.Averaged(func() { values = append(values, weightsOf(t, tr)...) }) })
		return values, last
	}
	want, measured := train(1)
	for _, workers := range []int{2, 5, 0} {
		got, also := train(workers)
		if !slices.Equal(got, want) {
			t.Errorf("%d workers: other weights", workers)
		}
		if !slices.Equal(also.Measured.Region, measured.Measured.Region) || also.GradNorm != measured.GradNorm || !slices.Equal(also.Pairs, measured.Pairs) {
			t.Errorf("%d workers: other measurements", workers)
		}
	}
}

// TestGuard: an aspect that guards, or that is only measured, makes no mask.
func TestGuard(t *testing.T) {
	torchtest.Need(t)
	coverage := func(change func(*Aspect)) float64 {
		o := tinyOptions(t.TempDir())
		o.Aspects = append(o.Aspects, Aspect{Name: "bright", Model: "bright", Reward: bright{}, Weight: 1, Mask: o.Aspects[0].Mask})
		change(&o.Aspects[0])
		r := steps(t, newTrainer(t, o), 1)
		if len(r.Measured.Rewards["spot"]) != 2 {
			t.Errorf("rewards %v", r.Measured.Rewards)
		}
		return r.Coverage[0]
	}
	if got := coverage(func(*Aspect) {}); got <= 0 {
		t.Errorf("coverage %g, want the square", got)
	}
	if got := coverage(func(a *Aspect) { a.Guard = true }); got != 0 {
		t.Errorf("a guard: coverage %g", got)
	}
	if got := coverage(func(a *Aspect) { a.Weight = 0 }); got != 0 {
		t.Errorf("a measured aspect: coverage %g", got)
	}
	tr := newTrainer(t, tinyOptions(t.TempDir()))
	steps(t, tr, 1)
	tr.SetRewardWeight("spot", 0)
	if r := steps(t, tr, 1); r.Coverage[0] != 0 {
		t.Errorf("coverage %g after the weight was set to 0", r.Coverage[0])
	}
}
