package sd

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"focusnfix/model/backbone"
	"focusnfix/model/clip"
	"focusnfix/model/nn"
	"focusnfix/model/torch"
	"focusnfix/model/weights"
)

// Load opens a diffusers folder, or a single file of the ldm and sgm programs. Weights are mapped and converted on their way to the device, one copy at most.
func Load(path string, o backbone.LoadOptions) (*Pipeline, error) {
	o, err := o.WithDefaults(torch.Float16)
	if err != nil {
		return nil, err
	}
	from, err := openCheckpoint(path, o)
	if err != nil {
		return nil, err
	}
	p, err := from.load(o)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("load model: %w", err), from.close())
	}
	p.Name = strings.TrimSuffix(filepath.Base(filepath.Clean(path)), ".safetensors")
	return p, from.close()
}

// build makes one part of the pipeline, in the given element type, and reports everything in its
// weights that does not fit.
func (c *checkpoint) build(p *Pipeline, part string, dtype torch.DType, network func(nn.Params)) error {
	name, tensors, err := c.open(part)
	if err != nil {
		return err
	}
	p.params[part], err = nn.Build(name, tensors, dtype, p.device, weights.Leftovers, network)
	return err
}

func (c *checkpoint) load(o backbone.LoadOptions) (p *Pipeline, err error) {
	p = &Pipeline{device: o.Device, dtype: o.DType, params: map[string]nn.Params{}}
	defer func() {
		if err != nil {
			p.Close()
			p = nil
		}
	}()
	if err = c.loadEncoders(p); err != nil {
		return p, err
	}
	if err = c.loadVAE(p); err != nil {
		return p, err
	}
	config, err := c.folder("unet").unetConfig()
	if err != nil {
		return p, err
	}
	if err = c.build(p, "unet", p.dtype, func(params nn.Params) { p.UNet = NewUNet(config, params) }); err != nil {
		return p, err
	}
	if err = c.loadScheduler(p, o); err != nil {
		return p, err
	}
	p.zerosForEmpty = p.XL() && c.index.zerosForEmpty
	return p, p.fits(c.configs.name)
}

func (c *checkpoint) loadEncoders(p *Pipeline) error {
	switch {
	case len(c.index.encoders) == 0:
		return fmt.Errorf("%s: names no text encoder", filepath.Join(c.configs.name, "model_index.json"))
	case c.index.encoders[0] != "":
		return fmt.Errorf("%s: %w", c.configs.name, errRefiner)
	}
	for _, suffix := range c.index.encoders {
		config, err := c.folder("text_encoder" + suffix).textConfig()
		if err != nil {
			return err
		}
		var e Encoder
		tokenizer := c.folder("tokenizer" + suffix)
		if e.Tokenizer, err = tokenizer.tokenizer(); err != nil {
			return err
		}
		for _, id := range e.Tokenizer.Encode("").IDs { // start, end and padding are the last of a vocabulary
			if id >= config.VocabSize {
				return fmt.Errorf("%s: has a token %d, want less than %d: the tokenizer is another model's",
					tokenizer.name, id, config.VocabSize)
			}
		}
		if err = c.build(p, "text_encoder"+suffix, p.dtype, func(params nn.Params) { e.Text = clip.NewText(config, params) }); err != nil {
			return err
		}
		p.Encoders = append(p.Encoders, e)
	}
	return nil
}

func (c *checkpoint) loadVAE(p *Pipeline) error {
	config, err := c.folder("vae").vaeConfig()
	if err != nil {
		return err
	}
	dtype := p.dtype
	if dtype == torch.Float16 && config.overflows(p.XL()) {
		dtype = torch.BFloat16 // as wide as float32, in half of its memory
	}
	return c.build(p, "vae", dtype, func(params nn.Params) { p.VAE = NewVAE(config, params) })
}

func (c *checkpoint) loadScheduler(p *Pipeline, o backbone.LoadOptions) (err error) {
	if p.Scheduler, err = c.schedulerConfig(o.Scheduler); err != nil {
		return err
	}
	if !p.XL() { // as diffusers' StableDiffusionPipeline does, whatever an old file says or leaves out
		p.Scheduler.StepsOffset, p.Scheduler.ClipSample = 1, false
		p.Scheduler.clear()
	}
	return nil
}

// schedulerConfig is that of the model, with what the marks say; name replaces its class.
func (c *checkpoint) schedulerConfig(name string) (SchedulerConfig, error) {
	file, text, err := c.folder("scheduler").read("scheduler_config.json")
	if err != nil {
		return SchedulerConfig{}, err
	}
	cfg, err := parseScheduler(file, text, c.index.scheduler, name)
	if err != nil {
		return cfg, err
	}
	c.marks.apply(&cfg)
	if c.marks.zeroSNR && !slices.Contains(schedulerKeys[cfg.Class], "rescale_betas_zero_snr") {
		return cfg, fmt.Errorf("%s has no zero terminal SNR, which the model wants; choose another scheduler, such as ddim, euler or dpm++", cfg.Class)
	}
	if err := cfg.Validate(); err != nil {
		return cfg, fmt.Errorf("%s: %w", file, err)
	}
	return cfg, nil
}

// fits checks that the parts belong together.
func (p *Pipeline) fits(path string) error {
	var width int64
	for i, e := range p.Encoders {
		width += e.Text.Config.HiddenSize
		if n := int64(e.Tokenizer.Length()); n > e.Text.Config.MaxPositionEmbeddings {
			return fmt.Errorf("%s: tokenizer %d gives %d tokens, its text encoder takes %d", path, i+1, n, e.Text.Config.MaxPositionEmbeddings)
		}
	}
	if p.VAE.Config.LatentsMean != nil && !p.XL() {
		return fmt.Errorf("%s: vae: latents_mean and latents_std, which diffusers reads for SDXL only", path)
	}
	if shift := p.VAE.Config.ShiftFactor; shift != 0 {
		return fmt.Errorf("%s: vae: shift_factor %g, which the pipelines of UNets do not read: the VAE is another model's", path, shift)
	}
	if want := p.UNet.Config.CrossAttentionDim; width != want {
		return fmt.Errorf("%s: text encoders of width %d, the unet's cross_attention_dim wants %d", path, width, want)
	}
	if c := p.UNet.Config; c.InChannels != p.VAE.Config.LatentChannels {
		what := channelsOf[c.InChannels]
		if what == "" {
			what = "an inpainting or editing model"
		}
		return fmt.Errorf("%s: unet takes %d channels, the vae has %d: %s cannot be drawn with", path, c.InChannels, p.VAE.Config.LatentChannels, what)
	}
	return nil
}
