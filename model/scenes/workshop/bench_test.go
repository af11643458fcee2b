package workshop

import (
	"fmt"
	"testing"

	"focusnfix/model/nn"
	"focusnfix/model/scenes"
	"focusnfix/model/sd"
	"focusnfix/model/torch"
	"focusnfix/model/torch/torchtest"
)

// BenchmarkLesson times one gradient of every shipped network, without drawing scenes and without the
// optimizer, and gives samples a second.
func BenchmarkLesson(b *testing.B) {
	torchtest.Need(b)
	for _, dtype := range []torch.DType{torch.Float32, torch.BFloat16} {
		o := PretrainOptions{Out: b.TempDir(), DType: dtype, Threads: 1}
		p, err := o.start()
		if err != nil {
			b.Fatal(err)
		}
		generator, err := p.generator(SeedPretrain, Decorrelated)
		if err != nil {
			b.Fatal(err)
		}
		const n = 16
		part := generator.batch(n, func(i int) int { return i }, nil)
		name := func(network string) string { return fmt.Sprintf("%s/%v", network, dtype) }
		b.Run(name("vae"), func(b *testing.B) {
			timeLesson(b, p, p.buildVAE, func(vae *sd.VAE, chance *torch.Generator) torch.Tensor {
				sight := newSightFor(p)
				defer sight.Drop()
				return vaeLoss(vae, p.buildSight(sight), part.picture(p.device, dtype), chance)[0]
			})
		})
		b.Run(name("unet"), func(b *testing.B) {
			tokenizer, err := p.writeTokenizer()
			if err != nil {
				b.Fatal(err)
			}
			batch := encodedBatch{}
			for i, prompt := range part.prompts {
				batch.rows = append(batch.rows, int64(i))
				batch.ids, batch.timesteps = append(batch.ids, tokenizer.Encode(prompt.String()).IDs), append(batch.timesteps, 60*i)
			}
			schedule := sd.NewNoiseSchedule(p.recipe.scheduler)
			timeLesson(b, p, p.buildPainter(tokenizer), func(net *painter, chance *torch.Generator) torch.Tensor {
				latents := chance.Randn(torch.Float32, n, p.recipe.vae.LatentChannels, 16, 16)
				return painterLoss(net, schedule, latents, batch, chance, dtype)[0]
			})
		})
		for kind := range 2 {
			build := func(params nn.Params) *scenes.FaultNet { return scenes.NewFaultNet(kind, p.recipe.judge[kind], params) }
			b.Run(name(fmt.Sprintf("judge%d", kind)), func(b *testing.B) {
				timeLesson(b, p, build, func(net *scenes.FaultNet, chance *torch.Generator) torch.Tensor {
					coverage, faulty := part.heat(p.device, scenes.Violence, scenes.Misalignment)
					score, heat := net.Forward(disturb(part.picture(p.device, torch.Float32), chance, &part.dice, 0.3).To(dtype))
					return judgeLoss(score, heat, faulty, coverage)[0]
				})
			})
		}
	}
}

// newSightFor makes parameters of sight up.
func newSightFor(p *pretraining) nn.Params {
	params, err := nn.Random(1, p.dtype, p.device)
	if err != nil {
		panic(err)
	}
	return params
}

// timeLesson times gradients of a loss in a network of made-up parameters.
func timeLesson[N any](b *testing.B, p *pretraining, build func(nn.Params) N, loss func(N, *torch.Generator) torch.Tensor) {
	f, start, err := newLayout(1, func(params nn.Params) { build(params) }, startsAtZero)
	if err != nil {
		b.Fatal(err)
	}
	defer torch.Drop(start)
	torchtest.Run(b, func() {
		params := f.params(start.ToDevice(p.device, p.dtype), true)
		defer params.Drop()
		net, leaves := build(params), f.tensors(params)
		chance, err := torch.NewGenerator(p.device, 1)
		if err != nil {
			b.Fatal(err)
		}
		defer chance.Close()
		for b.Loop() {
			torch.Scope(func() torch.Tensor {
				f.gradient(loss(net, chance), leaves)
				torch.Synchronize(p.device)
				return torch.Tensor{}
			})
		}
	})
	b.ReportMetric(float64(16*b.N)/b.Elapsed().Seconds(), "samples/s")
	b.ReportMetric(float64(f.size)/1e6, "M-parameters")
}
