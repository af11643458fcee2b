package workshop

import (
	"context"
	"image/png"
	"math"
	"os"
	"path/filepath"

	"focusnfix/model/backbone"
	"focusnfix/model/nn"
	"focusnfix/model/scenes"
	"focusnfix/model/sd"
	"focusnfix/model/torch"
)

// Weights of the autoencoder's loss beside the absolute error, which is 1. Errors of edges count as
// much as errors of surfaces, or small faces blur; the KL term only keeps latents from drifting apart.
const (
	squareWeight     = 1.0
	edgeWeight       = 1.0
	perceptualWeight = 0.1
	klWeight         = 3e-4 // a latent number
)

// cropOnCPU is the side of the part of a scene that the autoencoder learns from without a GPU, for the
// first parts of the lesson: four times as many steps in the same time.
const (
	cropOnCPU = 64
	wholeFrom = 0.85 // of the lesson, so that attention meets whole images
)

// generator makes scenes of one of our data sets, of this run's own if it has a seed of its own.
func (p *pretraining) generator(seed uint64, faults FaultMode) (*Generator, error) {
	if p.baseSeed != 0 {
		seed = mixSeeds(seed, p.baseSeed)
	}
	return New(Options{Seed: seed, Faults: faults, data: p.recipe.data})
}

// drawScenes gives the lesson's scenes: those of a step follow those of the step before.
func (p *pretraining) drawScenes(g *Generator, batch int) func(step, replica, n int) *sceneBatch {
	return func(step, replica, n int) *sceneBatch {
		first := step*batch + replica*n
		b := g.batch(n, func(i int) int { return first + i }, nil)
		b.dice.seed(uint64(step), uint64(replica), purposeLayout)
		return b
	}
}

func (p *pretraining) buildVAE(params nn.Params) *sd.VAE { return sd.NewVAE(p.recipe.vae, params) }

// learnVAE learns the autoencoder and writes it.
func (p *pretraining) learnVAE(ctx context.Context) error {
	generator, err := p.generator(SeedPretrain, Decorrelated)
	if err != nil {
		return err
	}
	sight, err := p.loadSight()
	if err != nil {
		return err
	}
	defer sight.drop()
	l := newLesson[*sd.VAE, *sceneBatch](p, "vae")
	l.build, l.zero = p.buildVAE, startsAtZero
	l.draw = p.drawScenes(generator, l.batch)
	l.shown = []string{"absolute", "edges", "perceptual", "kl"}
	l.loss = func(vae *sd.VAE, part *sceneBatch, chance *torch.Generator, progress float64) []torch.Tensor {
		picture := part.picture(p.device, p.dtype)
		if p.device == torch.CPU && progress < wholeFrom && scenes.Size > cropOnCPU {
			picture = crop(picture, cropOnCPU, &part.dice)
		}
		return vaeLoss(vae, sight.net, picture, chance)
	}
	l.look = p.lookAtVAE
	f, averaged, err := learn(ctx, p, l)
	if err != nil {
		return err
	}
	defer torch.Drop(averaged)
	return p.writeVAE(f, averaged)
}

// crop takes the same random square of every image, aligned with latents.
func crop(picture torch.Tensor, side int, dice *random) torch.Tensor {
	corner := func() int64 { return int64(8 * dice.below((scenes.Size-side)/8+1)) }
	return picture.Narrow(2, corner(), int64(side)).Narrow(3, corner(), int64(side))
}

// vaeLoss compares images [B,3,H,W] in [-1,1] with what is left of them behind the latents.
func vaeLoss(vae *sd.VAE, sight *scenes.WordNet, picture torch.Tensor, chance *torch.Generator) []torch.Tensor {
	posterior := vae.Encode(picture)
	mean, std := posterior.Mean.To(torch.Float32), posterior.Std.To(torch.Float32)
	latents := mean.Add(std.Mul(chance.Randn(torch.Float32, mean.Shape()...)))
	decoded := vae.Decode(latents.To(picture.DType()))
	perceptual := featureDistance(sight, picture, decoded)

	difference := decoded.To(torch.Float32).Sub(picture.To(torch.Float32))
	absolute, square := difference.Abs().Mean(), difference.Square().Mean()
	edges := slope(difference, 2).Abs().Mean().Add(slope(difference, 3).Abs().Mean())
	kl := mean.Square().Add(std.Square()).Sub(std.Log().MulScalar(2)).AddScalar(-1).Mean().MulScalar(0.5)
	loss := absolute.AddScaled(square, squareWeight).AddScaled(edges, edgeWeight/2).
		AddScaled(perceptual, perceptualWeight).AddScaled(kl, klWeight)
	return []torch.Tensor{loss, absolute, edges, perceptual, kl}
}

// slope is the difference of neighbors along a dimension.
func slope(x torch.Tensor, dim int64) torch.Tensor {
	n := x.Size(dim)
	return x.Narrow(dim, 1, n-1).Sub(x.Narrow(dim, 0, n-1))
}

// writeVAE measures the latents, folds their means and spreads into the convolutions around them, and
// writes the autoencoder as a diffusers folder has it.
func (p *pretraining) writeVAE(f *layout, averaged torch.Tensor) error {
	if err := p.foldLatents(f, averaged); err != nil {
		return err
	}
	dir := p.folder("vae")
	config := classed("AutoencoderKL", p.recipe.vae, map[string]any{
		"act_fn": "silu", "down_block_types": repeated("DownEncoderBlock2D", len(p.recipe.vae.BlockOutChannels)),
		"up_block_types": repeated("UpDecoderBlock2D", len(p.recipe.vae.BlockOutChannels)),
	})
	if err := writeJSON(filepath.Join(dir, "config.json"), config); err != nil {
		return err
	}
	return f.write(filepath.Join(dir, "diffusion_pytorch_model.safetensors"), "", averaged, map[string]string{"format": "pt"})
}

// foldLatents makes every latent channel have mean 0 and variance 1 over scenes, and decode to the
// same image as before.
func (p *pretraining) foldLatents(f *layout, averaged torch.Tensor) error {
	mean, spread, err := p.measureLatents(f, averaged)
	if err != nil {
		return err
	}
	return torch.Run(func() {
		torch.NoGrad(func() {
			params := f.params(averaged, false)
			defer params.Drop()
			C := p.recipe.vae.LatentChannels
			own := func(name string, shape ...int64) torch.Tensor { return params.Param(name, nn.Zeros, shape...) }
			mean, spread := torch.From(mean).ToDevice(p.device, torch.Float32), torch.From(spread).ToDevice(p.device, torch.Float32)

			weight, bias := own("quant_conv.weight", 2*C, 2*C, 1, 1), own("quant_conv.bias", 2*C)
			rows := weight.Narrow(0, 0, C)
			rows.CopyFrom(rows.Div(spread.Reshape(C, 1, 1, 1)))
			shift, spreads := bias.Narrow(0, 0, C), bias.Narrow(0, C, C)
			shift.CopyFrom(shift.Sub(mean).Div(spread))
			spreads.CopyFrom(spreads.AddScaled(spread.Log(), -2)) // of the logarithm of the variance

			weight, bias = own("post_quant_conv.weight", C, C, 1, 1), own("post_quant_conv.bias", C)
			bias.CopyFrom(bias.Add(weight.Reshape(C, C).MatMul(mean)))
			weight.CopyFrom(weight.Mul(spread.Reshape(1, C, 1, 1)))
		})
	})
}

// measureLatents gives mean and standard deviation of every latent channel over training scenes.
func (p *pretraining) measureLatents(f *layout, averaged torch.Tensor) (mean, spread []float32, err error) {
	generator, err := p.generator(SeedPretrain, Spurious)
	if err != nil {
		return nil, nil, err
	}
	C := p.recipe.vae.LatentChannels
	sum, squares, count := make([]float64, C), make([]float64, C), 0.0
	err = withNetwork(f, averaged, p.dtype, p.buildVAE, func(vae *sd.VAE) error {
		return p.encodeScenes(vae, generator, p.recipe.statistic, func(posterior sd.Posterior, _ []scenes.Prompt) {
			m, s := posterior.Mean.To(torch.Float32), posterior.Std.To(torch.Float32)
			count += float64(m.Numel()) / float64(C)
			for c, v := range m.Sum(0, 2, 3).Doubles() {
				sum[c] += v
			}
			for c, v := range m.Square().Add(s.Square()).Sum(0, 2, 3).Doubles() {
				squares[c] += v
			}
		})
	})
	for c := range sum {
		m := sum[c] / count
		mean, spread = append(mean, float32(m)), append(spread, float32(math.Sqrt(max(1e-8, squares[c]/count-m*m))))
	}
	return mean, spread, err
}

// encodeScenes hands the latents of the first n scenes to use, some at a time.
func (p *pretraining) encodeScenes(vae *sd.VAE, g *Generator, n int, use func(sd.Posterior, []scenes.Prompt)) error {
	const together = 64
	for from := 0; from < n; from += together {
		batch := g.batch(min(together, n-from), func(i int) int { return from + i }, nil)
		torch.Scope(func() torch.Tensor {
			use(vae.Encode(batch.picture(p.device, p.dtype)), batch.prompts)
			return torch.Tensor{}
		})
	}
	return nil
}

// lookAtVAE writes held-out scenes above what the autoencoder makes of them, and their PSNR.
func (p *pretraining) lookAtVAE(vae *sd.VAE, step int) error {
	generator, err := p.generator(SeedValidation, Spurious)
	if err != nil {
		return err
	}
	picture := generator.batch(32, func(i int) int { return i }, nil).picture(p.device, p.dtype)
	decoded := vae.Decode(vae.Encode(picture).Mean)
	p.event("vae", step, 0, map[string]any{"kind": "held-out", "psnr": psnr(picture, decoded)})
	rows := torch.Cat([]torch.Tensor{picture.Narrow(0, 0, 8), decoded.Narrow(0, 0, 8), picture.Narrow(0, 8, 8), decoded.Narrow(0, 8, 8)}, 0)
	return p.writeSheet("vae", rows, 8)
}

// psnr is the mean over images [B,3,H,W] in [-1,1] of 10·log10 of 1 over the squared error in
// [0,1], in dB; what is decoded is clamped to the range of images.
func psnr(picture, decoded torch.Tensor) float64 {
	value := 0.0
	torch.Scope(func() torch.Tensor {
		squared := decoded.To(torch.Float32).Clamp(-1, 1).Sub(picture.To(torch.Float32)).MulScalar(0.5).Square().Mean(1, 2, 3)
		value = squared.Log().Mean().Item() * -10 / math.Ln10
		return torch.Tensor{}
	})
	return value
}

// writeSheet writes images [n,3,H,W] in [-1,1] side by side into sheets/name.png.
func (p *pretraining) writeSheet(name string, pictures torch.Tensor, columns int) error {
	path := filepath.Join(p.out, "sheets", name+".png")
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		return err
	}
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer file.Close() //nolint:errcheck // Sync tells
	tiles := backbone.Pictures(pictures.To(torch.Float32).MulScalar(0.5).AddScalar(0.5))
	if err := png.Encode(file, tiled(tiles, columns)); err != nil {
		return err
	}
	return file.Sync()
}
