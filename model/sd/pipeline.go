package sd

import (
	"focusnfix/model/backbone"
	"focusnfix/model/nn"
	"focusnfix/model/torch"
	"focusnfix/model/weights"
)

// Pipeline is a whole Stable Diffusion model: SD 1.x, SD 2.x or SDXL.
type Pipeline struct {
	Name      string // of the folder or file it was loaded from
	Encoders  []Encoder
	UNet      *UNet
	VAE       *VAE
	Scheduler SchedulerConfig

	zerosForEmpty bool
	dtype         torch.DType // of the UNet and the text encoders
	device        torch.Device
	params        map[string]nn.Params // by part: unet, vae, text_encoder, text_encoder_2
}

// XL reports whether the model is an SDXL, which has two text encoders.
func (p *Pipeline) XL() bool { return len(p.Encoders) > 1 }

// Device is where the model computes.
func (p *Pipeline) Device() torch.Device { return p.device }

// DType is what the UNet and the text encoders compute in.
func (p *Pipeline) DType() torch.DType { return p.dtype }

// Params is the inventory of one part, unet or text_encoder say, for low-rank updates.
func (p *Pipeline) Params(part string) nn.Params { return p.params[part] }

// Close frees the model's weights.
func (p *Pipeline) Close() {
	for _, params := range p.params {
		params.Drop()
	}
}

// About says what the model is called.
func (p *Pipeline) About() backbone.About {
	family := weights.SD1
	if width := p.UNet.Config.CrossAttentionDim; p.XL() {
		family = weights.SDXL
	} else if width == 1024 {
		family = weights.SD2
	}
	return backbone.About{Name: p.Name, Family: string(family), Network: "unet", Sampler: p.Scheduler.title(), Scheduler: p.Scheduler}
}

// ImageDType is what the VAE computes in.
func (p *Pipeline) ImageDType() torch.DType { return p.VAE.DType() }

// LatentShape is that of an image's latents, [C,h,w].
func (p *Pipeline) LatentShape(width, height int64) ([]int64, error) {
	f := p.VAE.Config.Factor()
	return []int64{p.VAE.Config.LatentChannels, height / f, width / f}, backbone.CheckSize(width, height, f)
}

// Schedule is the table of the model's sampler.
func (p *Pipeline) Schedule(numSteps int, eta float64, _ []int64) (*backbone.Scheduler, error) {
	return NewScheduler(p.Scheduler, numSteps, eta)
}

// Prepare does nothing: text encoders stay in memory.
func (p *Pipeline) Prepare([]string, func(prompt, words string)) error { return nil }

// WidestActivation is that of the UNet's first level.
func (p *Pipeline) WidestActivation(latents []int64) int64 {
	return latents[1] * latents[2] * p.UNet.Config.BlockOutChannels[0] * p.dtype.Size()
}

// LoRATargets chooses among the UNet's layers.
func (p *Pipeline) LoRATargets(groups []string) (func(layer string) bool, error) {
	return LoRATargets(groups)
}

// TextParts lists the text encoders.
func (p *Pipeline) TextParts() []string {
	return []string{"text_encoder", "text_encoder_2"}[:len(p.Encoders)]
}

// AttachLoRA adds the updates of a LoRA file to UNet and text encoders.
func (p *Pipeline) AttachLoRA(path string, strength float64) ([]*nn.Adapter, error) {
	return backbone.AttachLoRA(p.params, path, strength)
}

// NaturalSize is the size of the images that the model was trained on, in pixels.
func (p *Pipeline) NaturalSize() (width, height int64) {
	side := p.UNet.Config.SampleSize * p.VAE.Config.Factor()
	if side == 0 { // as diffusers' pipelines take it
		if side = 512; p.XL() {
			side = 1024
		}
	}
	return side, side
}

// Encode maps images [B,3,H,W] in [0,1] to latents [B,4,h,w], float32: the mean of what the encoder finds likely.
func (p *Pipeline) Encode(images torch.Tensor) torch.Tensor {
	return torch.Scope(func() torch.Tensor {
		return p.VAE.Encode(images.MulScalar(2).AddScalar(-1).To(p.VAE.DType())).Mean.To(torch.Float32)
	})
}

// Decode maps latents to images, one at a time.
func (p *Pipeline) Decode(latents torch.Tensor) torch.Tensor { return p.VAE.Images(latents) }

// DecodeStages is Decode of one image in stages.
func (p *Pipeline) DecodeStages(latents torch.Tensor) []torch.Stage {
	return p.VAE.ImageStages(latents)
}
