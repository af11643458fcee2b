package train

import (
	"image"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"focusnfix/core"
	"focusnfix/model/nn"
	"focusnfix/model/torch"
	"focusnfix/model/torch/torchtest"
)

// TestTenStepsMatchPyTorch trains ten steps and compares each loss with PyTorch's float64 one. AdamW's
// first steps have the size of the learning rate whatever the gradient's, so float32 noise in tiny
// gradients moves weights: losses agree to 1e-3.
func TestTenStepsMatchPyTorch(t *testing.T) {
	m, ref := newTiny(t), readReference(t, "draft")
	torchtest.Run(t, func() {
		m.hash()
		o, s := Objective{Aspects: tinyAspects(), Region: Region{12, Local}}, m.sampler(t, Chained, 2)
		b := m.part(t, s)
		optimizer := nn.NewAdamW(m.params, 2e-2)
		defer optimizer.Drop()
		optimizer.Beta2, optimizer.WeightDecay = 0.99, 1e-2
		for i, want := range ref.Losses {
			torch.Scope(func() torch.Tensor {
				got, _, grads := b.gradients(o, s, m.params)
				if math.Abs(got.Loss-want) > 1e-3*math.Abs(want) {
					t.Errorf("step %d: loss %.6f, want %.6f", i, got.Loss, want)
				}
				clip(grads, gradNorm(grads), 1)
				optimizer.Step(grads)
				return torch.Tensor{}
			})
		}
	})
}

// batchRounding is what may lie between an image drawn alone and the same drawn in a batch: on some
// processors the matrix product rounds by the number of rows.
const batchRounding = 1e-6

// spotted is a reward whose heatmap is a fixed square, and whose score is its darkness.
type spotted struct{ bright }

func (spotted) Score(images torch.Tensor, _ []string) torch.Tensor {
	return images.Narrow(2, 8, 8).Narrow(3, 8, 8).Mean(1, 2, 3).Neg()
}

func (spotted) Heatmap(images torch.Tensor, _ []string) torch.Tensor {
	heat := images.NewZeros(images.Size(0), 1, tinySide, tinySide)
	heat.Narrow(2, 8, 8).Narrow(3, 8, 8).Fill(0.9)
	return heat
}

func tinyOptions(dir string) Options {
	return Options{
		Sampling:      core.Sampling{NumSteps: 3, GuidanceScale: 2, Size: core.Size{Width: tinySide, Height: tinySide}},
		BackpropSteps: 2,
		Objective: Objective{
			Aspects: []Aspect{{Name: "spot", Model: "spotted", Reward: spotted{}, Weight: 1, Mask: core.MaskRule{Threshold: 0.5, Dilate: 2}}},
			Region:  Region{5, Local},
		},
		Rank: 2, Targets: []string{"attention"}, LearningRate: 1e-2, Warmup: 2, GradClip: 1,
		Steps: 6, Batch: 2, Accumulate: 1, Prompts: []string{"a chef", "a cat", "a tree"}, SeedsPerPrompt: 2, Seed: 3,
		Model: "tiny", ReferenceDir: dir,
	}
}

func newTrainer(t *testing.T, o Options) *Trainer {
	t.Helper()
	m := newTiny(t)
	m.adapter.Remove()
	tr, err := New(m.pipeline, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tr.Close)
	return tr
}

func steps(t *testing.T, tr *Trainer, n int) (last StepResult) {
	t.Helper()
	for range n {
		var err error
		if last, err = tr.Step(); err != nil {
			t.Fatal(err)
		}
	}
	return last
}

func weightsOf(t *testing.T, tr *Trainer) (values []float32) {
	torchtest.Run(t, func() {
		for _, p := range tr.params {
			values = append(values, p.Floats()...)
		}
	})
	return values
}

// TestResumeIsExact: four steps, and two steps, a checkpoint, another trainer and two more, end in the
// same bits; with and without the generator being drawn from.
func TestResumeIsExact(t *testing.T) {
	torchtest.Need(t)
	for name, change := range map[string]func(*Options){
		"draft-k":  func(*Options) {},
		"draft-lv": func(o *Options) { o.BackpropSteps, o.NoisedCopies, o.Augment = 1, 2, true },
		"all new":  func(o *Options) { *o = allNew(o.ReferenceDir) },
		"text":     func(o *Options) { o.Targets = []string{"attention", "text"} },
		"all text": func(o *Options) { *o = allNew(o.ReferenceDir); o.Targets = []string{"text"} },
	} {
		t.Run(name, func(t *testing.T) {
			options, checkpoint := tinyOptions(t.TempDir()), t.TempDir()
			change(&options)
			whole := newTrainer(t, options)
			first := steps(t, whole, 1)
			if first.Measured.Region[0] > batchRounding || slices.Max(first.Coverage) <= 0.05 || slices.Max(first.Coverage) >= 0.5 {
				t.Errorf("first step: region term %v, coverage %v; want 0, and the square's share", first.Measured.Region, first.Coverage)
			}
			steps(t, whole, 3)
			want := weightsOf(t, whole)

			half := newTrainer(t, options)
			steps(t, half, 2)
			if err := half.Save(checkpoint, nil); err != nil {
				t.Fatal(err)
			}
			rest := newTrainer(t, options)
			if err := rest.Load(checkpoint); err != nil {
				t.Fatal(err)
			}
			last := steps(t, rest, 2)
			if !slices.Equal(weightsOf(t, rest), want) {
				t.Error("the resumed training ended in other weights")
			}
			if last.Step != 4 || rest.Done() != 4 {
				t.Errorf("resumed at step %d, want 4", last.Step)
			}
		})
	}
}

// TestTrainingRaisesTheReward: the square gets darker, and the rest stays closer with the region term
// than without.
func TestTrainingRaisesTheReward(t *testing.T) {
	torchtest.Need(t)
	train := func(weight float64) (first, last StepResult) {
		o := tinyOptions(t.TempDir())
		o.Prompts, o.SeedsPerPrompt, o.Region.Weight, o.LearningRate, o.Steps = o.Prompts[:1], 2, weight, 3e-2, 15
		tr := newTrainer(t, o)
		return steps(t, tr, 1), steps(t, tr, 14)
	}
	mean := func(values []float64) (sum float64) {
		for _, v := range values {
			sum += v / float64(len(values))
		}
		return sum
	}
	first, held := train(5)
	_, free := train(0)
	if got, was := mean(held.Measured.Rewards["spot"]), mean(first.Measured.Rewards["spot"]); got <= was {
		t.Errorf("reward %g after training, %g before", got, was)
	}
	if mean(held.Measured.Outside) <= mean(free.Measured.Outside) {
		t.Errorf("PSNR outside the mask: %g dB with the region term, %g without", mean(held.Measured.Outside), mean(free.Measured.Outside))
	}
}

// TestReferencesAreKept: a reference is drawn once, read back exactly, and an edited mask is honored.
func TestReferencesAreKept(t *testing.T) {
	torchtest.Need(t)
	tr := newTrainer(t, tinyOptions(t.TempDir()))
	pair := tr.PoolAt(1)
	torchtest.Run(t, func() {
		drawn, err := tr.References.Load(pair)
		if err != nil {
			t.Fatal(err)
		}
		read, err := tr.References.read(pair)
		if err != nil || read == nil {
			t.Fatalf("not kept: %v", err)
		}
		if !read.Latents.Equal(drawn.Latents) || !slices.Equal(read.Mask.Faulty, drawn.Mask.Faulty) || read.Edited {
			t.Error("the reference that was read differs from the one that was drawn")
		}
		path := filepath.Join(tr.References.Path(pair), "mask.png")
		edited := image.NewGray(image.Rect(0, 0, tinySide, tinySide))
		edited.Pix[0] = 255
		if err := writePNG(path, edited); err != nil {
			t.Fatal(err)
		}
		if read, err = tr.References.Load(pair); err != nil || !read.Edited || read.Mask.Coverage() != 1.0/(tinySide*tinySide) {
			t.Errorf("edited mask: %v, edited %v", err, read != nil && read.Edited)
		}
		if err := writePNG(path, image.NewGray(image.Rect(0, 0, 3, 3))); err != nil {
			t.Fatal(err)
		}
		if _, err = tr.References.Load(pair); err == nil {
			t.Error("a mask of another size was taken")
		}
		if err := os.WriteFile(filepath.Join(tr.References.Path(pair), "meta.json"), []byte("{"), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err = tr.References.Load(pair); err == nil {
			t.Error("a broken meta.json was taken")
		}
	})
}

// TestPairsCoverThePool: an epoch sees every pair once, and the order differs between epochs.
func TestPairsCoverThePool(t *testing.T) {
	tr := newTrainer(t, tinyOptions(t.TempDir()))
	epoch := func() (pairs []core.Pair) {
		for range 3 { // 3 steps of 2 images are the pool of 6
			if err := tr.Plan(nil); err != nil {
				t.Fatal(err)
			}
			pairs = append(pairs, tr.Next()...)
			tr.finished(false)
		}
		return pairs
	}
	one, two := epoch(), epoch()
	for i := range tr.PoolSize() {
		p := tr.PoolAt(i)
		if !slices.Contains(one, p) || !slices.Contains(two, p) {
			t.Errorf("%v is missing in an epoch", p)
		}
	}
	if slices.Equal(one, two) {
		t.Error("two epochs have the same order")
	}
}

func TestRate(t *testing.T) {
	tr := &Trainer{Options: Options{LearningRate: 2, Warmup: 4, Steps: 12, Cosine: true}}
	for n, want := range map[int]float64{0: 0.5, 3: 2, 4: 2, 8: 1} {
		if got := tr.rate(n); math.Abs(got-want) > 1e-12 {
			t.Errorf("rate of step %d is %g, want %g", n, got, want)
		}
	}
}

// poisoned is a reward that is not a number.
type poisoned struct{ spotted }

func (poisoned) Score(images torch.Tensor, _ []string) torch.Tensor {
	return images.Mean(1, 2, 3).AddScalar(1).Neg().Sqrt()
}

// TestNaNIsSkipped: a loss that is no number changes no weight and is counted.
func TestNaNIsSkipped(t *testing.T) {
	torchtest.Need(t)
	o := tinyOptions(t.TempDir())
	o.Aspects[0].Reward = poisoned{}
	tr := newTrainer(t, o)
	before := weightsOf(t, tr)
	if r := steps(t, tr, 2); !r.Skipped || tr.SkippedInARow() != 2 {
		t.Errorf("skipped %v, %d in a row; want true and 2", r.Skipped, tr.SkippedInARow())
	}
	if !slices.Equal(weightsOf(t, tr), before) {
		t.Error("weights changed")
	}
}

func TestOptionsAreChecked(t *testing.T) {
	torchtest.Need(t)
	m := newTiny(t)
	for name, change := range map[string]func(*Options){
		"no reward":       func(o *Options) { o.Aspects = nil },
		"no prompt":       func(o *Options) { o.Prompts = nil },
		"K above steps":   func(o *Options) { o.BackpropSteps = 4 },
		"K zero":          func(o *Options) { o.BackpropSteps = 0 },
		"unknown target":  func(o *Options) { o.Targets = []string{"everything"} },
		"copies with K 2": func(o *Options) { o.NoisedCopies = 1 },
		"too many steps":  func(o *Options) { o.Sampling.NumSteps = 5000 },
	} {
		o := tinyOptions(t.TempDir())
		change(&o)
		if tr, err := New(m.pipeline, o); err == nil {
			tr.Close()
			t.Errorf("%s: taken", name)
		}
	}
}
