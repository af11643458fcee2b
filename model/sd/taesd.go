package sd

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"focusnfix/model/backbone"
	"focusnfix/model/config"
	"focusnfix/model/nn"
	"focusnfix/model/torch"
	"focusnfix/model/weights"
)

// TinyVAEConfig is the config.json of an AutoencoderTiny, as far as its decoder goes.
type TinyVAEConfig struct {
	LatentChannels   int64   `json:"latent_channels"`
	OutChannels      int64   `json:"out_channels"`
	BlockOutChannels []int64 `json:"decoder_block_out_channels"` // from the latents to the image
	NumBlocks        []int   `json:"num_decoder_blocks"`         // before each upsampling, and at the end
	Upsampling       int64   `json:"upsampling_scaling_factor"`  // of each
	ScalingFactor    float64 `json:"scaling_factor"`             // latents are divided by it
}

// defaultTinyVAE is what diffusers assumes for keys that a config.json leaves out: TAESD.
func defaultTinyVAE() TinyVAEConfig {
	return TinyVAEConfig{
		LatentChannels: 4, OutChannels: 3, BlockOutChannels: []int64{64, 64, 64, 64}, NumBlocks: []int{3, 3, 3, 1},
		Upsampling: 2, ScalingFactor: 1,
	}
}

// tinyVAEKeys are the keys of an AutoencoderTiny beside those that are used.
var tinyVAEKeys = config.Keys{
	Plain: map[string][]any{
		"_class_name": {"AutoencoderTiny"}, "act_fn": {"relu"}, "upsample_fn": {"nearest"}, "shift_factor": {0.0},
	},
	Irrelevant: map[string]string{
		"in_channels": "of the encoder", "encoder_block_out_channels": "of the encoder", "num_encoder_blocks": "of the encoder",
		"latent_magnitude": "for latents stored as bytes", "latent_shift": "for latents stored as bytes",
		"block_out_channels": "the decoder's again", "force_upcast": "it is computed in float32",
	},
}

func (c TinyVAEConfig) validate(file string) error {
	if n := len(c.BlockOutChannels); n == 0 || n > 8 || n != len(c.NumBlocks) {
		return fmt.Errorf("%s: decoder_block_out_channels has %d levels, num_decoder_blocks %d, want 1 to 8 of both", file, n, len(c.NumBlocks))
	}
	for i, n := range c.BlockOutChannels {
		if n < 1 || n != c.BlockOutChannels[0] {
			return fmt.Errorf("%s: decoder_block_out_channels %v, want equal widths", file, c.BlockOutChannels)
		}
		if c.NumBlocks[i] < 0 || c.NumBlocks[i] > 64 {
			return fmt.Errorf("%s: num_decoder_blocks %v, want 0 to 64", file, c.NumBlocks)
		}
	}
	if c.LatentChannels < 1 || c.OutChannels != 3 || c.Upsampling < 1 || !(c.ScalingFactor > 0) {
		return fmt.Errorf("%s: latent_channels %d, out_channels %d, upsampling_scaling_factor %d, scaling_factor %g, want an autoencoder of RGB images",
			file, c.LatentChannels, c.OutChannels, c.Upsampling, c.ScalingFactor)
	}
	return nil
}

// OwnDecoder names a model's own VAE where a decoder for previews is wanted.
const OwnDecoder = "vae"

// Preview decodes latents [B,C,h,w] to images [B,3,H,W] in [0,1] while they are drawn. Close frees its memory.
type Preview interface {
	Decode(latents torch.Tensor) torch.Tensor
	Close()
}

// OpenPreview opens the TAESD at path for the latents of a model, or with OwnDecoder takes the model's own decoder.
func OpenPreview(path string, m backbone.Model) (Preview, error) {
	if path == OwnDecoder {
		return ownPreview(m.Decode), nil
	}
	latents, err := m.LatentShape(m.NaturalSize())
	if err != nil {
		return nil, err
	}
	d, err := LoadTinyDecoder(path, latents[0], m.Device())
	if err != nil {
		return nil, err
	}
	return d, nil
}

// ownPreview is a model's own decoder, which the model frees.
type ownPreview func(latents torch.Tensor) torch.Tensor

// Decode is the model's.
func (f ownPreview) Decode(latents torch.Tensor) torch.Tensor { return f(latents) }

// Close does nothing.
func (ownPreview) Close() {}

// TinyDecoder decodes latents fast and roughly, to show an image while it is drawn: the decoder of an
// AutoencoderTiny (TAESD, github.com/madebyollin/taesd).
type TinyDecoder struct {
	Config TinyVAEConfig
	layers []tinyLayer
	params nn.Params
	device torch.Device
}

// tinyLayer is a convolution, or a block of three with a shortcut.
type tinyLayer struct {
	convs    []*nn.Conv2d
	upsample bool // before the convolution
	first    bool // a ReLU follows
}

// LoadTinyDecoder reads the decoder of an AutoencoderTiny's folder, of a safetensors file of diffusers' names, or
// of a taesd_decoder.safetensors; wants latents of channels channels. It computes in float32.
func LoadTinyDecoder(path string, channels int64, device torch.Device) (*TinyDecoder, error) {
	cfg, file, err := openTinyDecoder(path)
	if err != nil {
		return nil, err
	}
	defer file.Close() //nolint:errcheck // read only
	if cfg.LatentChannels != channels {
		return nil, fmt.Errorf("%s: decodes latents of %d channels, the model's have %d; a TAESD of another family?", path, cfg.LatentChannels, channels)
	}
	d := &TinyDecoder{Config: cfg, device: device}
	d.params, err = nn.Build(file.Path, file.Tensors, torch.Float32, device, []string{"encoder.*"}, d.build)
	if err != nil {
		d.Close()
		return nil, err
	}
	return d, nil
}

// openTinyDecoder reads the configuration and maps the weights. A file alone has TAESD's shape, whose width
// and number of latent channels its first layer tells.
func openTinyDecoder(path string) (TinyVAEConfig, *weights.File, error) {
	cfg := defaultTinyVAE()
	info, err := os.Stat(path)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			err = fmt.Errorf("%s: is not there; focusnfix pull madebyollin/taesd, or taesdxl, fetches a decoder for previews", path)
		}
		return cfg, nil, err
	}
	if info.IsDir() {
		name := filepath.Join(path, "config.json")
		text, err := os.ReadFile(name)
		if err == nil {
			err = config.Parse(name, text, &cfg, tinyVAEKeys)
		}
		if err == nil {
			err = cfg.validate(name)
		}
		if err != nil {
			return cfg, nil, err
		}
		file, err := weights.OpenDir(path, "")
		return cfg, file, err
	}
	file, err := weights.Open(path)
	if err != nil {
		return cfg, nil, err
	}
	for _, name := range []string{"decoder.layers.0.weight", "1.weight"} {
		if t, ok := file.Tensor(name); ok && len(t.Shape) == 4 {
			cfg.LatentChannels = t.Shape[1]
			for i := range cfg.BlockOutChannels {
				cfg.BlockOutChannels[i] = t.Shape[0]
			}
			return cfg, file, nil
		}
	}
	return cfg, nil, errors.Join(fmt.Errorf("%s: neither a taesd_decoder.safetensors nor an AutoencoderTiny", path), file.Close())
}

// build makes the layers of diffusers' DecoderTiny. The files of TAESD itself call the same layers by numbers one
// higher, since a clamp comes first there.
func (d *TinyDecoder) build(params nn.Params) {
	p, at := params.Sub("decoder").Sub("layers"), 0
	if !p.At(0).Has("weight") && params.Has("1.weight") {
		p, at = params, 1
	}
	width := d.Config.BlockOutChannels[0]
	conv := func(in, out int64, p nn.Params) *nn.Conv2d {
		return nn.NewConv2d(in, out, 3, torch.Conv{Padding: 1}, p)
	}
	d.layers = append(d.layers, tinyLayer{convs: []*nn.Conv2d{conv(d.Config.LatentChannels, width, p.At(at))}, first: true})
	at += 2 // the convolution and its ReLU
	for i, blocks := range d.Config.NumBlocks {
		for range blocks {
			block := p.At(at).Sub("conv")
			d.layers = append(d.layers, tinyLayer{convs: []*nn.Conv2d{
				conv(width, width, block.At(0)), conv(width, width, block.At(2)), conv(width, width, block.At(4)),
			}})
			at++
		}
		if i == len(d.Config.NumBlocks)-1 {
			d.layers = append(d.layers, tinyLayer{convs: []*nn.Conv2d{conv(width, d.Config.OutChannels, p.At(at))}})
			continue
		}
		up := nn.NewConv2dNoBias(width, width, 3, torch.Conv{Padding: 1}, p.At(at+1))
		d.layers = append(d.layers, tinyLayer{convs: []*nn.Conv2d{up}, upsample: true})
		at += 2
	}
}

// Decode maps latents [B,C,h,w], as the UNet sees them, to images [B,3,H,W] in [0,1].
func (d *TinyDecoder) Decode(latents torch.Tensor) torch.Tensor {
	return torch.Scope(func() torch.Tensor {
		x := latents.ToDevice(d.device, torch.Float32).DivScalar(d.Config.ScalingFactor)
		x = laidOut(x.DivScalar(3).Tanh().MulScalar(3))
		for _, l := range d.layers {
			x = torch.Scope(func() torch.Tensor { return l.forward(x, d.Config.Upsampling) })
		}
		return x.Clamp(0, 1)
	})
}

func (l tinyLayer) forward(x torch.Tensor, upsampling int64) torch.Tensor {
	if len(l.convs) == 3 {
		h := l.convs[1].Forward(l.convs[0].Forward(x).ReLU()).ReLU()
		return l.convs[2].Forward(h).Add(x).ReLU()
	}
	if l.upsample {
		x = x.UpsampleNearest(x.Size(2)*upsampling, x.Size(3)*upsampling)
	}
	if x = l.convs[0].Forward(x); l.first {
		x = x.ReLU()
	}
	return x
}

// Close frees the weights.
func (d *TinyDecoder) Close() { d.params.Drop() }
