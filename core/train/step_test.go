package train

import (
	"encoding/json"
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	"focusnfix/core"
	"focusnfix/core/eval"
	"focusnfix/model/backbone"
	"focusnfix/model/nn"
	"focusnfix/model/nn/nntest"
	"focusnfix/model/sd"
	"focusnfix/model/torch"
	"focusnfix/model/torch/torchtest"
)

// golden is testdata/ref/draft.json: the same steps by diffusers, peft and PyTorch, in float64.
type golden struct {
	Steps []struct {
		BackpropSteps int `json:"backprop_steps"`
		Norm          RegionNorm
		Loss          float64
		Rewards       map[string][]float64
		Gradients     map[string][]float64 // the first six numbers, then the norm
	}
	Losses []float64
}

func readReference(t *testing.T, name string) (r golden) {
	t.Helper()
	text, err := os.ReadFile("testdata/ref/" + name + ".json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &r); err != nil {
		t.Fatal(err)
	}
	return r
}

const tinySide = 32 // pixels

// tiny is the model of model/sd's references with LoRA weights, as draft.py makes it.
type tiny struct {
	pipeline *sd.Pipeline
	adapter  *nn.Adapter
	names    []string
	params   []torch.Tensor
}

func newTiny(t testing.TB) tiny { return newTinyOf(t, "attention") }

func newTinyOf(t testing.TB, targets ...string) tiny {
	t.Helper()
	return adapted(t, loadTiny(t, torch.Float32), targets...)
}

// adapted is a pipeline with LoRA weights.
func adapted(t testing.TB, p *sd.Pipeline, targets ...string) tiny {
	t.Helper()
	var err error
	m := tiny{pipeline: p}
	if m.adapter, err = backbone.NewAdapter(p, 2, 4, 0, targets); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.adapter.Remove)
	m.names, m.params = m.adapter.Tensors()
	m.adapter.SetTrainable(true)
	return m
}

func loadTiny(t testing.TB, dtype torch.DType) *sd.Pipeline {
	t.Helper()
	torchtest.Need(t)
	p, err := sd.Load("../../model/sd/testdata/ref/sd1", backbone.LoadOptions{Device: torchtest.Device(), DType: dtype, Scheduler: "ddim"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// hash gives the LoRA weights the numbers of draft.py.
func (m tiny) hash() {
	torch.NoGrad(func() {
		for i, name := range m.names {
			scale := 1.0
			if strings.Contains(name, "lora_B") {
				scale = 0.3
			}
			m.params[i].CopyFrom(nntest.Weight("draft."+name, m.params[i].Shape()...).MulScalar(scale))
		}
	})
}

func (m tiny) sampler(t testing.TB, gradient Gradient, backpropSteps int) *sampler {
	t.Helper()
	s, err := newSampler(m.pipeline, core.Sampling{NumSteps: 5, GuidanceScale: 3, Size: core.Size{Width: tinySide, Height: tinySide}}, gradient, backpropSteps)
	if err != nil {
		t.Fatal(err)
	}
	s.text = 2 * backbone.TextUpdates(m.adapter)
	return s
}

// part is the batch of draft.py: an image with a mask and one without.
func (m tiny) part(t testing.TB, s *sampler) *part {
	t.Helper()
	b, err := &part{chance: chanceOf(0, 0, 0)}, error(nil)
	if b.start, err = s.begin([]core.Pair{{Prompt: "a chef in the park", Seed: 7}, {Prompt: "a red cat and a tree", Seed: 8}}); err != nil {
		t.Fatal(err)
	}
	b.baseImage = torchtest.Place(nntest.Uniform("draft.base", 2, 3, tinySide, tinySide).AddScalar(1).DivScalar(2))
	b.mask = torch.Zeros(torch.Float32, torchtest.Device(), 2, 1, tinySide, tinySide)
	b.mask.Narrow(0, 0, 1).Narrow(2, 8, 12).Narrow(3, 4, 26).Fill(1)
	return b
}

// gradients draws the part anew, in the open scope.
func (p *part) gradients(o Objective, s *sampler, params []torch.Tensor) (Measured, torch.Tensor, []torch.Tensor) {
	p.walk = s.rollout(p.start)
	grads := p.differentiate(o, s, params)
	image := p.image.Detach()
	torch.Drop(p.image)
	return p.measured, image, grads
}

// bright and patterned are rewards with simple formulas.
type bright struct{}

func (bright) Score(images torch.Tensor, _ []string) torch.Tensor { return images.Mean(1, 2, 3) }
func (bright) Heatmap(images torch.Tensor, _ []string) torch.Tensor {
	return images.Narrow(1, 0, 1).ZerosLike()
}
func (bright) Close() {}

type patterned struct{ bright }

func (patterned) Score(images torch.Tensor, _ []string) torch.Tensor {
	return images.Mul(torchtest.Place(nntest.Uniform("draft.pattern", 3, tinySide, tinySide))).Sum(1, 2, 3).Sigmoid()
}

func tinyAspects() []Aspect {
	return []Aspect{{Name: "bright", Reward: bright{}, Weight: 1}, {Name: "pattern", Reward: patterned{}, Weight: 0.5}}
}

// TestStepMatchesPyTorch compares loss, rewards and gradients of one step with those of diffusers,
// peft and PyTorch, for truncated, recomputed and full back-propagation and for each norm. Ours are
// float32: their sums are good to about 1e-4 of a gradient's norm.
func TestStepMatchesPyTorch(t *testing.T) {
	for reference, targets := range map[string][]string{"draft": {"attention"}, "text": {"attention", "text"}} {
		m := newTinyOf(t, targets...)
		for _, want := range readReference(t, reference).Steps {
			torchtest.Run(t, func() {
				m.hash()
				s := m.sampler(t, Chained, want.BackpropSteps)
				got, _, grads := m.part(t, s).gradients(Objective{Aspects: tinyAspects(), Region: Region{12, want.Norm}}, s, m.params)
				if math.Abs(got.Loss-want.Loss) > 1e-4*math.Abs(want.Loss) {
					t.Errorf("%s, K %d, %s: loss %g, want %g", reference, want.BackpropSteps, want.Norm, got.Loss, want.Loss)
				}
				for aspect, scores := range want.Rewards {
					for i, score := range scores {
						if math.Abs(got.Rewards[aspect][i]-score) > 1e-4 {
							t.Errorf("K %d: reward %s of picture %d is %g, want %g", want.BackpropSteps, aspect, i, got.Rewards[aspect][i], score)
						}
					}
				}
				if len(m.names) != len(want.Gradients) {
					t.Errorf("%s: %d parameters, want %d", reference, len(m.names), len(want.Gradients))
				}
				for i, name := range m.names {
					checkGradient(t, want.Norm, want.BackpropSteps, name, grads[i].Flatten(0).Doubles(), want.Gradients[name])
				}
			})
		}
	}
}

func checkGradient(t *testing.T, norm RegionNorm, k int, name string, got, want []float64) {
	t.Helper()
	if len(want) < 2 {
		t.Errorf("%s: not in the reference", name)
		return
	}
	size, first := want[len(want)-1], want[:len(want)-1]
	sum := 0.0
	for _, g := range got {
		sum += g * g
	}
	if d := math.Abs(math.Sqrt(sum) - size); d > 1e-3*size {
		t.Errorf("K %d, %s: %s: norm %g, want %g", k, norm, name, math.Sqrt(sum), size)
	}
	for i, w := range first {
		if math.Abs(got[i]-w) > 1e-3*size {
			t.Errorf("K %d, %s: %s: number %d is %g, want %g", k, norm, name, i, got[i], w)
		}
	}
}

// TestRecomputeEqualsPlain: drawing steps and images again, step by step or layer by layer, gives the gradients
// of activations that were kept: the same bits step by step, and layer by layer but for the order in which the
// gradients of a skip connection, or at the text of all steps, are added, which is rounding: 1e-5 of a float32, 1e-14 of a float64.
func TestRecomputeEqualsPlain(t *testing.T) {
	for dtype, most := range map[torch.DType]float64{torch.Float32: 1e-5, torch.Float64: 1e-13} {
		m := adapted(t, loadTiny(t, dtype), "attention", "text")
		torchtest.Run(t, func() {
			m.hash()
			for _, gradient := range []Gradient{Chained, Sparse} {
				gradients := func(l limits) []torch.Tensor {
					s := m.sampler(t, gradient, 2)
					s.limits = l
					_, _, grads := m.part(t, s).gradients(Objective{Aspects: tinyAspects(), Region: Region{12, Local}}, s, m.params)
					return grads
				}
				const all = 1 << 40
				want := gradients(limits{all, all, all})
				for _, l := range []limits{{0, all, all}, {all, all, 0}, {0, 0, 0}} {
					for i, got := range gradients(l) {
						d := got.Sub(want[i]).Norm(2).Item() / want[i].Norm(2).Item()
						exact := l.layers != 0 && l.decode != 0 && !strings.HasPrefix(m.names[i], "text_encoder.")
						if exact && !got.Equal(want[i]) || !(d < most) {
							t.Errorf("%v, %s, %+v: %s: gradients differ by %.3g of their norm", dtype, gradient, l, m.names[i], d)
						}
					}
				}
			}
		})
	}
}

// TestOverflow: a step whose gradient overflows is computed again with smaller loss scales, and learns what it would have
// learned without; one that overflows with all of them is skipped.
func TestOverflow(t *testing.T) {
	torchtest.Need(t)
	plain, scaled := newTrainer(t, tinyOptions(t.TempDir())), newTrainer(t, tinyOptions(t.TempDir()))
	want := steps(t, plain, 1)
	scaled.sampler.scale = lossScale{Value: math.Ldexp(1, 129)} // a float32 ends at 2^128
	r := steps(t, scaled, 1)
	if r.Skipped || r.Overflow || r.LossScale != math.Ldexp(1, 127) || scaled.sampler.scale != (lossScale{r.LossScale, 1}) {
		t.Errorf("%+v, then %+v; want a step with a loss scale of 2^127", r, scaled.sampler.scale)
	}
	if got := r.Measured; !slices.Equal(got.Region, want.Measured.Region) || len(r.Coverage) != len(r.Pairs) || got.Loss != want.Measured.Loss {
		t.Errorf("measured %+v, want %+v", got, want.Measured)
	}
	if !slices.Equal(weightsOf(t, scaled), weightsOf(t, plain)) {
		t.Error("the repeated step ends in other weights")
	}
	scaled.sampler.scale.Value = math.Ldexp(1, 140)
	if r = steps(t, scaled, 1); !r.Skipped || !r.Overflow || scaled.sampler.scale.Value != math.Ldexp(1, 140-mostTries) {
		t.Errorf("%+v, then %+v; want a step that is skipped", r, scaled.sampler.scale)
	}
}

// TestLossScale: a scaled gradient is the same, an overflow halves the scale, and the scale is part of a checkpoint.
func TestLossScale(t *testing.T) {
	m := newTiny(t)
	torchtest.Run(t, func() {
		m.hash()
		s := m.sampler(t, Chained, 2)
		gradients := func(scale float64) []torch.Tensor {
			s.scale.Value = scale
			_, _, grads := m.part(t, s).gradients(Objective{Aspects: tinyAspects(), Region: Region{12, Local}}, s, m.params)
			return grads
		}
		want := gradients(1)
		for i, got := range gradients(firstScale) { // a power of two moves no bit of a float32
			if !got.Equal(want[i]) {
				t.Errorf("%s: the scaled gradient differs by %g", m.names[i], torchtest.MaxDiff(got, want[i]))
			}
		}
	})
	scale := scaleFor(torch.Float16)
	if got := scale.after(false); got != (lossScale{Value: firstScale / 2}) {
		t.Errorf("after an overflow: %+v", got)
	}
	for range growAfter {
		scale = scale.after(true)
	}
	if scale != (lossScale{Value: 2 * firstScale}) {
		t.Errorf("after %d sound steps: %+v", growAfter, scale)
	}
	for range 64 {
		scale = scale.after(false)
	}
	if scale.on() || scaleFor(torch.Float32).on() || scaleFor(torch.BFloat16).on() {
		t.Error("a scale of 1 is on")
	}
}

// TestFirstStep: before training Î is Î₀ exactly, the region term is zero, and every gradient is
// finite for each norm.
func TestFirstStep(t *testing.T) {
	m := newTiny(t)
	for _, norm := range []RegionNorm{RMS, Frobenius, Local} {
		torchtest.Run(t, func() {
			s := m.sampler(t, Chained, 2)
			b := m.part(t, s)
			torch.NoGrad(func() {
				m.adapter.SetScale(0)
				b.baseImage = m.pipeline.Decode(s.draw(b.start))
				m.adapter.SetScale(1)
			})
			got, image, grads := b.gradients(Objective{Aspects: tinyAspects(), Region: Region{10, norm}}, s, m.params)
			if !image.Equal(b.baseImage) {
				t.Errorf("%s: the picture differs from the base picture by %g", norm, torchtest.MaxDiff(image, b.baseImage))
			}
			if got.Region[0] != 0 || got.Region[1] != 0 || got.Outside[0] != eval.MaxPSNR {
				t.Errorf("%s: region term %v and PSNR %v, want 0 and %d", norm, got.Region, got.Outside, eval.MaxPSNR)
			}
			moved := false
			for i, g := range grads {
				if !g.IsFinite().All().Equal(torch.Scalar(true)) {
					t.Errorf("%s: %s: the gradient is not finite", norm, m.names[i])
				}
				moved = moved || g.Abs().Max().Item() > 0
			}
			if !moved {
				t.Errorf("%s: every gradient is zero", norm)
			}
		})
	}
}

// Training draws with the guidance, and its rescaling, that drawing has.
func TestGuidanceIsRescaled(t *testing.T) {
	torchtest.Run(t, func() {
		m := newTiny(t)
		draw := func(rescale float64) (ours, theirs torch.Tensor) {
			s := m.sampler(t, Chained, 2)
			s.sampling.GuidanceRescale = rescale
			start, err := s.begin([]core.Pair{{Prompt: "a chef in the park", Seed: 7}})
			if err != nil {
				t.Fatal(err)
			}
			theirs, err = backbone.Sample(t.Context(), m.pipeline, backbone.Request{
				Wording: backbone.Wording{Prompts: []string{"a chef in the park"}, GuidanceScale: 3, GuidanceRescale: rescale, Width: tinySide, Height: tinySide},
				Seeds:   []uint64{7}, NumSteps: 5,
			})
			if err != nil {
				t.Fatal(err)
			}
			return s.draw(start), theirs
		}
		torch.NoGrad(func() {
			plain, _ := draw(0)
			ours, theirs := draw(0.7)
			if far := ours.Sub(theirs).Abs().Max().Item(); far > 1e-5 {
				t.Errorf("latents %g from those of generate", far)
			}
			if far := ours.Sub(plain).Abs().Max().Item(); far < 1e-3 {
				t.Errorf("latents %g from those without rescaling", far)
			}
		})
	})
}
