package train

import (
	"math"
	"slices"
	"strings"
	"testing"

	"focusnfix/core"
	"focusnfix/model/backbone"
	"focusnfix/model/nn"
	"focusnfix/model/nn/nntest"
	"focusnfix/model/scenes"
	"focusnfix/model/sd"
	"focusnfix/model/torch"
	"focusnfix/model/torch/torchtest"
)

// TestHalfGradients compares the LoRA gradients of the shipped model in half types with those of float32, rounded
// after every operator, for two images with a fault. A float16 has 11 bits, so one rounding is off by up to 4.9e-4, and
// the roundings of some hundred operators one after the other, each independent of the others, by about twenty times
// that; a bfloat16 has 8 bits, which is eight times as much. Both begin with the same latents before the steps that are
// recorded: those that each type draws itself are of slightly different images. Without loss scaling float16 is off by
// .075: its smallest numbers are lost.
func TestHalfGradients(t *testing.T) {
	needHalf(t)
	exact := newShipped(t, torch.Float32)
	latents, want := exact.gradients(t, nil)
	for dtype, most := range map[torch.DType]float64{torch.Float16: .01, torch.BFloat16: .15} {
		m := newShipped(t, dtype)
		_, same := m.gradients(t, latents)
		_, own := m.gradients(t, nil)
		d, whole := offBy(same, want), offBy(own, want)
		t.Logf("%v: gradients off by %.4f of their norm, by %.4f with latents of its own", dtype, d, whole)
		if !(d <= most) {
			t.Errorf("%v: gradients off by %.4f of their norm, want at most %g", dtype, d, most)
		}
	}
}

// needHalf skips a test where nothing computes in float16: a CPU does not.
func needHalf(t *testing.T) {
	t.Helper()
	torchtest.Need(t)
	if torchtest.Device() == torch.CPU {
		t.Skip("FNF_TEST_DEVICE names no device that computes in float16")
	}
}

// offBy is the norm of a difference in parts of the norm of what is right.
func offBy(got, want []float64) float64 {
	var difference, norm float64
	for i := range want {
		d := got[i] - want[i]
		difference, norm = difference+d*d, norm+want[i]*want[i]
	}
	return math.Sqrt(difference / norm)
}

// shipped is the shipped model with LoRA weights, and a judge.
type shipped struct {
	tiny
	judge *scenes.Judge
}

func newShipped(t *testing.T, dtype torch.DType) shipped {
	t.Helper()
	folder, err := scenes.Folder()
	if err != nil {
		t.Fatal(err)
	}
	p, err := sd.Load(folder, backbone.LoadOptions{Device: torchtest.Device(), DType: dtype})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	judge, err := scenes.LoadJudge(folder, scenes.Violence, false, torch.Float32, torchtest.Device())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(judge.Close)
	want, err := sd.LoRATargets([]string{"attention"})
	if err != nil {
		t.Fatal(err)
	}
	m := shipped{tiny{pipeline: p}, judge}
	if m.adapter, err = nn.NewAdapter(p.Params("unet"), 4, 4, 0, want); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.adapter.Remove)
	m.names, m.params = m.adapter.Tensors()
	m.adapter.SetTrainable(true)
	torchtest.Run(t, func() {
		torch.NoGrad(func() {
			for i, name := range m.names {
				if strings.Contains(name, "lora_B") { // as far from 0 as after some steps
					m.params[i].CopyFrom(nntest.Weight("half."+name, m.params[i].Shape()...).MulScalar(0.02))
				}
			}
		})
	})
	return m
}

// gradients are those of one step in one list, and the latents before the recorded denoising steps; latents takes
// others in their place.
func (m shipped) gradients(t *testing.T, latents [][]float64) (drawn [][]float64, all []float64) {
	t.Helper()
	s, err := newSampler(m.pipeline, core.Sampling{NumSteps: 10, GuidanceScale: 3, Size: core.Size{Width: scenes.Size, Height: scenes.Size}}, Chained, 2)
	if err != nil {
		t.Fatal(err)
	}
	torchtest.Run(t, func() {
		b := &part{chance: chanceOf(0, 0, 0)}
		if b.start, err = s.begin([]core.Pair{{Prompt: "a chef in the snow", Seed: 2}, {Prompt: "a wizard in the city", Seed: 4}}); err != nil {
			t.Fatal(err)
		}
		m.adapter.SetScale(0)
		torch.NoGrad(func() { b.baseImage = m.pipeline.Decode(s.draw(b.start)) })
		m.adapter.SetScale(1)
		b.mask = torch.Zeros(torch.Float32, torchtest.Device(), 2, 1, scenes.Size, scenes.Size)
		b.mask.Narrow(2, 40, 40).Narrow(3, 20, 60).Fill(1)
		b.walk = s.rollout(b.start)
		for i, x := range b.walk.latents {
			if latents != nil {
				x.CopyFrom(torch.From(latents[i], x.Shape()...))
			}
			drawn = append(drawn, x.Doubles())
		}
		grads := b.differentiate(Objective{Aspects: []Aspect{{Name: "violence", Reward: m.judge, Weight: 1}}, Region: Region{6, Local}}, s, m.params)
		torch.Drop(b.image)
		for _, g := range grads {
			all = append(all, g.Doubles()...)
		}
	})
	return drawn, all
}

// TestResumeInFloat16: a loss scale that overflows have lowered, and the sound steps since, are part of a checkpoint; the
// resumed training ends in the same bits.
func TestResumeInFloat16(t *testing.T) {
	needHalf(t)
	options, checkpoint := tinyOptions(t.TempDir()), t.TempDir()
	train := func() *Trainer {
		tr, err := New(loadTiny(t, torch.Float16), options)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(tr.Close)
		return tr
	}
	whole := train()
	whole.sampler.scale = lossScale{Value: 1 << 13, Sound: growAfter - 3}
	steps(t, whole, 2)
	if err := whole.Save(checkpoint, nil); err != nil {
		t.Fatal(err)
	}
	rest := train()
	if err := rest.Load(checkpoint); err != nil {
		t.Fatal(err)
	}
	if got, want := rest.sampler.scale, whole.sampler.scale; got != want {
		t.Errorf("resumed with %+v, want %+v", got, want)
	}
	if steps(t, whole, 2); whole.sampler.scale.Value != 1<<14 {
		t.Errorf("after %d sound steps the scale is %g, want %d", growAfter, whole.sampler.scale.Value, 1<<14)
	}
	steps(t, rest, 2)
	if got, want := rest.sampler.scale, whole.sampler.scale; got != want || !slices.Equal(weightsOf(t, rest), weightsOf(t, whole)) {
		t.Errorf("the resumed training ended with %+v and other weights, want %+v", got, want)
	}
}
