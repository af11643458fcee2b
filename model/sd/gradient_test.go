package sd

import (
	"fmt"
	"math"
	"testing"

	"focusnfix/model/backbone"
	"focusnfix/model/nn"
	"focusnfix/model/nn/nntest"
	"focusnfix/model/torch"
	"focusnfix/model/torch/torchtest"
)

// gradientUNet is a UNet small enough for finite differences in float64.
func gradientUNet() UNetConfig {
	return UNetConfig{
		InChannels: 4, OutChannels: 4, SampleSize: 4, BlockOutChannels: []int64{8, 16},
		DownBlockTypes: []string{crossAttnDown, plainDown}, UpBlockTypes: []string{plainUp, crossAttnUp},
		LayersPerBlock: PerLevel{1}, NormNumGroups: 4, NormEps: 1e-5, CrossAttentionDim: 6,
		AttentionHeadDim: PerLevel{2}, TransformerLayers: PerLayer{{1}}, MidBlockType: crossAttnMid, FlipSinToCos: true,
		AdditionEmbedType: "text_time", AdditionTimeEmbedDim: 2, AdditionInputDim: 15,
	}
}

// gradientVAE doubles the sides of latents.
func gradientVAE() VAEConfig {
	cfg := DefaultVAE()
	cfg.BlockOutChannels, cfg.NormNumGroups, cfg.SampleSize = []int64{8, 8}, 4, 64
	return cfg
}

// The gradient of a loss on pixels, behind two guided denoising steps and the VAE's decoder, at every
// LoRA layer of every target group, against finite differences along a random direction of both its
// matrices. Central differences with h = 1e-5 in float64 leave about 1e-9.
func TestGradientsReachLoRAThroughDenoisingAndDecoding(t *testing.T) {
	torchtest.Run(t, func() {
		cfg := gradientUNet()
		if err := cfg.Validate(); err != nil {
			t.Fatal(err)
		}
		params, vaeParams := nn.NewParams(nntest.Hashed{DType: torch.Float64}), nn.NewParams(nntest.Hashed{Prefix: "vae.", DType: torch.Float64})
		defer params.Drop()
		defer vaeParams.Drop()
		u := NewUNet(cfg, params)
		adapter := hashedAdapter(t, params, "tiny", "all", 1, 1)
		defer adapter.Remove()
		for _, lora := range adapter.LoRAs {
			double(&lora.Down)
			double(&lora.Up)
		}
		loss := pixelLoss(t, u, NewVAE(gradientVAE(), vaeParams))
		_, tensors := adapter.Tensors()
		adapter.SetTrainable(true)
		grads := torch.Grad([]torch.Tensor{loss()}, tensors, nil)
		adapter.SetTrainable(false)
		for i, lora := range adapter.LoRAs {
			matrices, slopes := []torch.Tensor{lora.Down, lora.Up}, grads[2*i:2*i+2]
			if !slopes[0].Defined() || !slopes[1].Defined() {
				t.Errorf("%s: no gradient", lora.Name)
				continue
			}
			got, want := slopeAlong(lora.Name, matrices, slopes, loss)
			if d := math.Abs(got-want) / math.Max(1e-3, math.Abs(want)); !(d <= 1e-6) {
				t.Errorf("%s: slope %.9g, finite differences say %.9g", lora.Name, got, want)
			}
		}
	})
}

// slopeAlong is the slope of loss along a random direction in xs: by the gradients, and by finite
// differences.
func slopeAlong(name string, xs, grads []torch.Tensor, loss func() torch.Tensor) (byGrads, byDifferences float64) {
	const h = 1e-5
	torch.Scope(func() torch.Tensor {
		directions := make([]torch.Tensor, len(xs))
		for i, x := range xs {
			directions[i] = nntest.Uniform(fmt.Sprint(name, i), x.Shape()...).To(torch.Float64)
			byGrads += grads[i].Mul(directions[i]).Sum().Item()
		}
		move := func(by float64) {
			for i, x := range xs {
				x.AddInPlace(directions[i], by)
			}
		}
		move(h)
		byDifferences = loss().Item()
		move(-2 * h)
		byDifferences = (byDifferences - loss().Item()) / (2 * h)
		move(h)
		return torch.Tensor{}
	})
	return byGrads, byDifferences
}

func double(t *torch.Tensor) {
	wide := torch.Own(t.To(torch.Float64))
	torch.Drop(*t)
	*t = wide
}

// pixelLoss is a scalar of the image that the last two steps of a guided DDIM with eta 1 lead to.
func pixelLoss(t testing.TB, u *UNet, vae *VAE) func() torch.Tensor {
	t.Helper()
	schedule := schedulerDefaults(DDIM)
	schedule.BetaStart, schedule.BetaEnd, schedule.BetaSchedule, schedule.ClipSample = 0.00085, 0.012, "scaled_linear", false
	s, err := NewScheduler(schedule, 4, 1)
	if err != nil {
		t.Fatal(err)
	}
	in := newUNetInputs("tiny", u.Config, 2, 4, 4) // rows: without and with the prompt
	start := nntest.Uniform("start", 1, 4, 4, 4).To(torch.Float64)
	noise := nntest.Uniform("noise", 1, 4, 4, 4).To(torch.Float64)
	weight := nntest.Uniform("weight", 1, 3, 8, 8).To(torch.Float64)
	return func() torch.Tensor {
		latents, past := start, []backbone.Point(nil)
		for i := s.Len() - 2; i < s.Len(); i++ {
			rows := u.Forward(latents.Expand(2, -1, -1, -1), s.Timesteps[i], in.text, in.pooled, in.timeIDs).Chunk(2, 0)
			output := rows[0].Add(rows[1].Sub(rows[0]).MulScalar(3))
			next, now := s.Step(i, latents, output, past, noise)
			latents, past = next, append(past, now)
		}
		return vae.Decode(latents).Sin().Mul(weight).Sum()
	}
}
