package flow

import (
	"errors"
	"fmt"
	"sync"

	"focusnfix/model/backbone"
	"focusnfix/model/nn"
	"focusnfix/model/sd"
	"focusnfix/model/torch"
)

// Pipeline is a whole model: an SD 3 or a Z-Image.
type Pipeline struct {
	name     string // of the folder or file that it was loaded from
	schedule Schedule
	files    files
	family   family
	vae      *sd.VAE
	device   torch.Device
	dtype    torch.DType // of the transformer
	textType torch.DType // of the text encoders
	vaeType  torch.DType
	keepText bool // in memory, after prompts are encoded

	mutex     sync.Mutex // of what follows
	parts     parts
	prompts   prompts
	textLoRAs []textLoRA // of text encoders, which get them whenever they are loaded
}

// family is what differs between the transformers.
type family interface {
	// name is that of the released models.
	name() string
	// configure reads the transformer's configuration.
	configure(p *Pipeline) error
	// texts are the parts that may have low-rank updates beside the transformer.
	texts() []string
	// loadText builds one of them on a device, where it is not there yet.
	loadText(p *Pipeline, device torch.Device, part string) error
	// encode reads prompts with the text encoders on a device, which it loads where they are not.
	encode(p *Pipeline, device torch.Device, prompts []string, lost func(prompt, words string)) ([]conditioning, error)
	// forget lets the text encoders go.
	forget()
	// build makes the transformer.
	build(params nn.Params)
	// stages are those of the velocity from image to noise, for latents [B,C,h,w] at a level times 1000.
	stages(timestep float64, height, width int64, c []conditioning) []torch.Stage
	// fromOne says how the levels of a schedule begin and end.
	fromOne() bool
	// latentSide is the number of latent pixels on a side of a token.
	latentSide() int64
	// width is that of the transformer's tokens, side the latents' that it was trained on.
	width() int64
	side(factor int64) int64
	// targets are the groups of layers that low-rank updates can be put on.
	targets() map[string][]string
}

// transformer is the part that makes the images.
const transformer = "transformer"

// About says what the model is called.
func (p *Pipeline) About() backbone.About {
	return backbone.About{Name: p.name, Family: p.family.name(), Network: transformer, Sampler: "Euler", Scheduler: p.schedule}
}

// Device is where the model computes.
func (p *Pipeline) Device() torch.Device { return p.device }

// DType is what the transformer computes in.
func (p *Pipeline) DType() torch.DType { return p.dtype }

// ImageDType is what the VAE computes in.
func (p *Pipeline) ImageDType() torch.DType { return p.vaeType }

// NaturalSize is the size of the images that the model was trained on, in pixels.
func (p *Pipeline) NaturalSize() (width, height int64) {
	side := p.family.side(p.vae.Config.Factor())
	return side, side
}

// LatentShape is that of an image's latents, [C,h,w].
func (p *Pipeline) LatentShape(width, height int64) ([]int64, error) {
	f := p.vae.Config.Factor()
	return []int64{p.vae.Config.LatentChannels, height / f, width / f}, backbone.CheckSize(width, height, f*p.family.latentSide())
}

// tokens is the number of an image's, for latents [C,h,w].
func (p *Pipeline) tokens(latents []int64) int64 {
	side := p.family.latentSide()
	return latents[1] / side * (latents[2] / side)
}

// Schedule is the table of flow-matching Euler.
func (p *Pipeline) Schedule(numSteps int, eta float64, latents []int64) (*backbone.Scheduler, error) {
	if eta != 0 {
		return nil, fmt.Errorf("scheduler: eta %g, which is for ddim and tcd; %s draws with 0", eta, p.family.name())
	}
	return p.schedule.table(numSteps, p.tokens(latents), p.family.fromOne())
}

// WidestActivation is that of the image's tokens.
func (p *Pipeline) WidestActivation(latents []int64) int64 {
	return p.tokens(latents) * p.family.width() * p.dtype.Size()
}

// Params is the inventory of a part.
func (p *Pipeline) Params(part string) nn.Params {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	return p.parts[part]
}

// LoRATargets chooses among the transformer's layers.
func (p *Pipeline) LoRATargets(groups []string) (func(layer string) bool, error) {
	return backbone.Targets(p.family.targets(), groups)
}

// Close frees the model's weights and the prompts that it knows.
func (p *Pipeline) Close() {
	p.dropText()
	p.parts.drop()
	p.prompts.drop()
	_ = p.files.close() // read only
}

// Prepare encodes prompts, then loads the transformer.
func (p *Pipeline) Prepare(prompts []string, lost func(prompt, words string)) error {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	if err := p.know(prompts, lost); err != nil {
		return err
	}
	return p.load()
}

// load builds the transformer, once.
func (p *Pipeline) load() error {
	if _, there := p.parts[transformer]; there {
		return nil
	}
	return p.build(transformer, p.device, nil, p.family.build)
}

// Condition encodes the prompts that are not known yet. Without guidance there is no negative prompt.
func (p *Pipeline) Condition(w backbone.Wording) (backbone.Conditioning, error) {
	if w.ClipSkip != 0 || w.GuidanceRescale != 0 {
		return nil, errors.New("clip skip and guidance rescale are for Stable Diffusion 1.x, 2.x and SDXL")
	}
	p.mutex.Lock()
	defer p.mutex.Unlock()
	wanted := append([]string{}, w.Prompts...)
	if w.GuidanceScale > 1 {
		wanted = append(wanted, w.Negative)
	}
	if err := p.know(wanted, w.Lost); err != nil {
		return nil, err
	}
	if err := p.load(); err != nil {
		return nil, err
	}
	f := p.vae.Config.Factor()
	t := &told{p: p, guidance: w.GuidanceScale, height: w.Height / f, width: w.Width / f}
	for _, prompt := range w.Prompts {
		t.rows = append(t.rows, p.prompts.known[prompt].on(p.device))
	}
	if t.guided() {
		for range w.Prompts {
			t.rows = append(t.rows, p.prompts.known[w.Negative].on(p.device))
		}
	}
	return t, nil
}

// told is a transformer that has been told prompts: those of B images, then, with guidance, B negative ones.
type told struct {
	p             *Pipeline
	rows          []conditioning
	guidance      float64
	height, width int64 // of the latents
}

func (t *told) guided() bool { return t.guidance > 1 }

// Predict is the velocity, with classifier-free guidance (arXiv 2207.12598) in one call where there is any.
func (t *told) Predict(latents torch.Tensor, timestep float64) torch.Tensor {
	return torch.Scope(func() torch.Tensor { return torch.RunStages(t.Stages(timestep), []torch.Tensor{latents})[0] })
}

// Stages is Predict in stages.
func (t *told) Stages(timestep float64) []torch.Stage {
	stages := []torch.Stage{func(xs []torch.Tensor) []torch.Tensor {
		if !t.guided() {
			return xs
		}
		return []torch.Tensor{torch.Cat([]torch.Tensor{xs[0], xs[0]}, 0)}
	}}
	stages = append(stages, t.p.family.stages(timestep, t.height, t.width, t.rows)...)
	return append(stages, func(xs []torch.Tensor) []torch.Tensor {
		out := xs[0].To(torch.Float32)
		if !t.guided() {
			return []torch.Tensor{out}
		}
		halves := out.Chunk(2, 0)
		return []torch.Tensor{halves[1].Add(halves[0].Sub(halves[1]).MulScalar(t.guidance))}
	})
}

// Tensors lists all that is held.
func (t *told) Tensors() []torch.Tensor {
	var all []torch.Tensor
	for _, c := range t.rows {
		all = append(all, c.tensors()...)
	}
	return all
}

// Decode maps latents to images [B,3,H,W] in [0,1], float32, one at a time to save memory.
func (p *Pipeline) Decode(latents torch.Tensor) torch.Tensor { return p.vae.Images(latents) }

// DecodeStages is Decode of one image in stages.
func (p *Pipeline) DecodeStages(latents torch.Tensor) []torch.Stage {
	return p.vae.ImageStages(latents)
}
