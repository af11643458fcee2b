package workshop

import (
	"context"
	"math"
	"path/filepath"

	"focusnfix/model/clip"
	"focusnfix/model/nn"
	"focusnfix/model/scenes"
	"focusnfix/model/sd"
	"focusnfix/model/torch"
)

const (
	captionDropout = 0.1 // of captions are empty, for guidance
	snrLimit       = 5.0
)

// painter is what learns to draw: text encoder and UNet, one network to the optimizer.
type painter struct {
	text *clip.Text
	unet *sd.UNet
}

// encodedBatch is some encoded scenes, and how noisy they are to be made.
type encodedBatch struct {
	rows      []int64
	ids       [][]int64
	timesteps []int
}

// learnUNet learns text encoder and UNet on encoded scenes and writes all of the diffusers folder that
// the autoencoder does not.
func (p *pretraining) learnUNet(ctx context.Context) error {
	tokenizer, err := p.writeTokenizer()
	if err != nil {
		return err
	}
	vae, err := p.loadVAE()
	if err != nil {
		return err
	}
	defer vae.drop()
	data, err := p.encodeTraining(ctx, vae.net, tokenizer)
	if err != nil {
		return err
	}
	defer data.drop()
	schedule := sd.NewNoiseSchedule(p.recipe.scheduler)
	l := newLesson[*painter, encodedBatch](p, "unet")
	l.build, l.zero = p.buildPainter(tokenizer), startsAtZero
	l.average = 0.9995
	l.shown = []string{"unweighted", "estimate"}
	l.draw = func(step, replica, n int) encodedBatch {
		return data.draw(mixSeeds(l.seed, uint64(step), uint64(replica)), n)
	}
	l.loss = func(net *painter, part encodedBatch, chance *torch.Generator, _ float64) []torch.Tensor {
		return painterLoss(net, schedule, data.latents(part.rows, chance), part, chance, p.dtype)
	}
	l.look = func(net *painter, _ int) error { return p.lookAtPainter(net, vae.net, tokenizer) }
	f, averaged, err := learn(ctx, p, l)
	if err != nil {
		return err
	}
	defer torch.Drop(averaged)
	return p.writePainter(f, averaged, tokenizer)
}

// writeTokenizer learns the vocabulary from every caption that the recipe has.
func (p *pretraining) writeTokenizer() (*clip.Tokenizer, error) {
	var captions []string
	for _, prompt := range append(scenes.TrainingPrompts(), scenes.HeldOutPrompts()...) {
		captions = append(captions, p.captionsOf(prompt)...)
	}
	tokenizer, err := clip.LearnTokenizer(captions, p.recipe.vocab, p.recipe.context)
	if err != nil {
		return nil, err
	}
	return tokenizer, tokenizer.Save(p.folder("tokenizer"))
}

func (p *pretraining) loadVAE() (*loaded[*sd.VAE], error) {
	return load(p.folder("vae", "diffusion_pytorch_model.safetensors"), p.dtype, p.device, p.buildVAE)
}

// textConfig is the text encoder's with the vocabulary that was learned: the end token is the last.
func (p *pretraining) textConfig(tokenizer *clip.Tokenizer) clip.TextConfig {
	cfg := p.recipe.text
	ids := tokenizer.Encode("").IDs
	cfg.EOSTokenID, cfg.VocabSize = ids[1], ids[1]+1
	return cfg
}

func (p *pretraining) buildPainter(tokenizer *clip.Tokenizer) func(nn.Params) *painter {
	cfg := p.textConfig(tokenizer)
	return func(params nn.Params) *painter {
		return &painter{clip.NewText(cfg, params.Sub("text_encoder")), sd.NewUNet(p.recipe.unet, params.Sub("unet"))}
	}
}

// draw picks n encoded scenes, their captions, of which some are left empty, and timesteps.
func (d *encodedScenes) draw(seed uint64, n int) encodedBatch {
	var r random
	r.seed(seed, 0, purposeLayout)
	var b encodedBatch
	for range n {
		row := r.below(d.n)
		ids := d.ids[row]
		if r.chance(captionDropout) {
			ids = d.empty
		}
		b.rows, b.ids, b.timesteps = append(b.rows, int64(row)), append(b.ids, ids), append(b.timesteps, r.below(d.timesteps))
	}
	return b
}

// painterLoss is the squared error of the predicted velocity sqrt(ᾱ)·noise - sqrt(1-ᾱ)·latents (Salimans
// & Ho, arXiv 2202.00512, appendix D). Where there is little noise it counts less: by (min(SNR, 5) + 1)
// / (SNR + 1), which is min-SNR-5 (Hang et al., arXiv 2303.09556) on the SNR + 1 that the velocity's
// error is in units of the image's; plain min-SNR would ignore the first step, whose SNR is 0.
func painterLoss(net *painter, schedule sd.NoiseSchedule, latents torch.Tensor, part encodedBatch, chance *torch.Generator, dtype torch.DType) []torch.Tensor {
	B := int64(len(part.rows))
	timesteps := make([]float64, B)
	table := make([]float32, 0, 4*B) // sqrt ᾱ, sqrt 1-ᾱ, weight, min(SNR, 5) + 1
	for i, t := range part.timesteps {
		timesteps[i] = float64(t)
		a := schedule.AlphasCumprod[t]
		snr := a / (1 - a)
		table = append(table, float32(math.Sqrt(a)), float32(math.Sqrt(1-a)), float32((min(snr, snrLimit)+1)/(snr+1)), float32(min(snr, snrLimit)))
	}
	columns := torch.From(table, B, 4).ToDevice(latents.Device(), torch.Float32)
	column := func(i int64) torch.Tensor { return columns.Select(1, i).Reshape(B, 1, 1, 1) }

	noise := chance.Randn(torch.Float32, latents.Shape()...)
	noisy := latents.Mul(column(0)).Add(noise.Mul(column(1)))
	target := noise.Mul(column(0)).Sub(latents.Mul(column(1)))
	context := net.text.Forward(part.ids).Last
	velocity := net.unet.ForwardEach(noisy.To(dtype), timesteps, context, torch.Tensor{}, torch.Tensor{}).To(torch.Float32)
	squared := velocity.Sub(target).Square().Mean(1, 2, 3)                                                     // [B]
	estimate := noisy.Mul(column(0)).Sub(velocity.Detach().Mul(column(1))).Sub(latents).Square().Mean(1, 2, 3) // of x0
	return []torch.Tensor{squared.Mul(columns.Select(1, 2)).Mean(), squared.Mean(), estimate.Mul(columns.Select(1, 3)).Mean()}
}

// writePainter writes text encoder, UNet, scheduler and the index of the folder.
func (p *pretraining) writePainter(f *layout, averaged torch.Tensor, tokenizer *clip.Tokenizer) error {
	format := map[string]string{"format": "pt"}
	if err := f.write(p.folder("text_encoder", "model.safetensors"), "text_encoder.", averaged, format); err != nil {
		return err
	}
	if err := f.write(p.folder("unet", "diffusion_pytorch_model.safetensors"), "unet.", averaged, format); err != nil {
		return err
	}
	text := classed("", p.textConfig(tokenizer), map[string]any{
		"bos_token_id": tokenizer.Encode("").IDs[0], "pad_token_id": tokenizer.Encode("").IDs[1],
		"torch_dtype": "float16", "attention_dropout": 0.0,
	})
	delete(text, "_class_name")
	delete(text, "_diffusers_version")
	scheduler := classed(p.recipe.scheduler.Class, p.recipe.scheduler, map[string]any{"clip_sample": false})
	for _, key := range []string{"use_karras_sigmas", "final_sigmas_type", "lower_order_final", "euler_at_final"} {
		delete(scheduler, key) // of other schedulers
	}
	for path, value := range map[string]any{
		filepath.Join("text_encoder", "config.json"):        text,
		filepath.Join("scheduler", "scheduler_config.json"): scheduler,
		filepath.Join("unet", "config.json"): classed("UNet2DConditionModel", p.recipe.unet, map[string]any{
			"act_fn": "silu", "mid_block_type": "UNetMidBlock2DCrossAttn",
			"addition_embed_type": nil, "addition_time_embed_dim": nil, "projection_class_embeddings_input_dim": nil,
		}),
		"model_index.json": modelIndex(p.recipe.scheduler.Class),
	} {
		if err := writeJSON(p.folder(path), value); err != nil {
			return err
		}
	}
	return nil
}

// modelIndex says what the folder's parts are to diffusers.
func modelIndex(scheduler string) map[string]any {
	none := []any{nil, nil}
	return classed("StableDiffusionPipeline", struct{}{}, map[string]any{
		"feature_extractor": none, "image_encoder": none, "safety_checker": none, "requires_safety_checker": false,
		"scheduler":    []string{"diffusers", scheduler},
		"text_encoder": []string{"transformers", "CLIPTextModel"},
		"tokenizer":    []string{"transformers", "CLIPTokenizer"},
		"unet":         []string{"diffusers", "UNet2DConditionModel"},
		"vae":          []string{"diffusers", "AutoencoderKL"},
	})
}

func (p *pretraining) buildUNet(params nn.Params) *sd.UNet { return sd.NewUNet(p.recipe.unet, params) }
