package sd

import (
	"focusnfix/model/nn"
	"focusnfix/model/torch"
)

// VAE is the autoencoder between pixels [B,3,H,W] in [-1,1] and latents [B,4,H/f,W/f], f being
// Config.Factor (AutoencoderKL of Rombach et al., arXiv 2112.10752). Latents here are always scaled
// by ScalingFactor, as the UNet sees them.
type VAE struct {
	Config VAEConfig

	// TileAbove is the number of pixels of an image above which it is mapped in overlapping tiles
	// of Config.SampleSize, which bounds memory; 0 is never.
	TileAbove int64

	encoder                  *vaeEncoder
	decoder                  *vaeDecoder
	quantConv, postQuantConv *nn.Conv2d // nil where the configuration leaves them out
}

// tileAbove is 1536x1536 pixels: beyond it the widest layer of one decoded image, 256 channels in
// float32, takes more than 2.4 GB.
const tileAbove = 1536 * 1536

// NewVAE builds the autoencoder.
func NewVAE(cfg VAEConfig, p nn.Params) *VAE {
	v := &VAE{Config: cfg, TileAbove: tileAbove, encoder: newVAEEncoder(cfg, p.Sub("encoder")), decoder: newVAEDecoder(cfg, p.Sub("decoder"))}
	if cfg.UseQuantConv {
		v.quantConv = nn.NewConv2d(2*cfg.LatentChannels, 2*cfg.LatentChannels, 1, torch.Conv{}, p.Sub("quant_conv"))
	}
	if cfg.UsePostQuantConv {
		v.postQuantConv = nn.NewConv2d(cfg.LatentChannels, cfg.LatentChannels, 1, torch.Conv{}, p.Sub("post_quant_conv"))
	}
	return v
}

// Posterior is the distribution of latents that Encode finds for an image; both [B,4,H/f,W/f] and
// scaled.
type Posterior struct{ Mean, Std torch.Tensor }

// Sample draws latents; noise is normal and of Mean's shape.
func (p Posterior) Sample(noise torch.Tensor) torch.Tensor {
	return torch.Scope(func() torch.Tensor { return p.Mean.Add(p.Std.Mul(noise)) })
}

// Encode maps pixels [B,3,H,W] in [-1,1], sides multiples of the factor, to latents.
func (v *VAE) Encode(pixels torch.Tensor) Posterior {
	out := torch.Scopes(func() []torch.Tensor {
		moments := v.inTiles(pixels, v.Config.SampleSize, v.Config.SampleSize/v.Config.Factor(), v.moments)
		halves := moments.Chunk(2, 1)
		std := halves[1].Clamp(-30, 20).MulScalar(0.5).Exp()
		mean := halves[0]
		if v.Config.LatentsMean != nil {
			perChannel := v.perChannel(v.Config.LatentsStd, mean)
			mean, std = mean.Sub(v.perChannel(v.Config.LatentsMean, mean)).Div(perChannel), std.Div(perChannel)
		}
		if v.Config.ShiftFactor != 0 {
			mean = mean.AddScalar(-v.Config.ShiftFactor)
		}
		return []torch.Tensor{mean.MulScalar(v.Config.ScalingFactor), std.MulScalar(v.Config.ScalingFactor)}
	})
	return Posterior{Mean: out[0], Std: out[1]}
}

// Decode maps latents to pixels, about [-1,1] but not clamped.
func (v *VAE) Decode(latents torch.Tensor) torch.Tensor {
	return torch.Scope(func() torch.Tensor {
		return v.inTiles(v.unscaled(latents), v.Config.SampleSize/v.Config.Factor(), v.Config.SampleSize, v.pixels)
	})
}

// DecodeStages is Decode of one image in stages, for torch.BackwardStages: latents to pixels. Tiles, which
// overlap, are one stage.
func (v *VAE) DecodeStages(latents torch.Tensor) []torch.Stage {
	if v.tiled(latents, v.Config.SampleSize/v.Config.Factor()) {
		return []torch.Stage{one(v.Decode)}
	}
	first := func(latents torch.Tensor) torch.Tensor {
		raw := laidOut(v.unscaled(latents))
		if v.postQuantConv != nil {
			raw = v.postQuantConv.Forward(raw)
		}
		return raw
	}
	return append([]torch.Stage{one(first)}, v.decoder.stages()...)
}

// Images maps latents [B,C,h,w] to images [B,3,H,W] in [0,1], float32 both, one at a time to save memory.
func (v *VAE) Images(latents torch.Tensor) torch.Tensor {
	return torch.Scope(func() torch.Tensor {
		var images []torch.Tensor
		for i := range latents.Size(0) {
			images = append(images, torch.Scope(func() torch.Tensor {
				return toImage(v.Decode(latents.Narrow(0, i, 1).To(v.DType())))
			}))
		}
		return torch.Cat(images, 0)
	})
}

// ImageStages is Images of one image in stages, for torch.BackwardStages.
func (v *VAE) ImageStages(latents torch.Tensor) []torch.Stage {
	stages := []torch.Stage{one(func(latents torch.Tensor) torch.Tensor { return latents.To(v.DType()) })}
	return append(append(stages, v.DecodeStages(latents)...), one(toImage))
}

// toImage maps pixels to [0,1], float32.
func toImage(pixels torch.Tensor) torch.Tensor {
	return pixels.To(torch.Float32).MulScalar(0.5).AddScalar(0.5).Clamp(0, 1)
}

// one is a stage whose state is a single tensor.
func one(f func(torch.Tensor) torch.Tensor) torch.Stage {
	return func(xs []torch.Tensor) []torch.Tensor { return []torch.Tensor{f(xs[0])} }
}

// unscaled takes latents back to what the encoder put out.
func (v *VAE) unscaled(latents torch.Tensor) torch.Tensor {
	return torch.Scope(func() torch.Tensor {
		raw := latents.DivScalar(v.Config.ScalingFactor)
		if v.Config.LatentsMean != nil {
			raw = raw.Mul(v.perChannel(v.Config.LatentsStd, raw)).Add(v.perChannel(v.Config.LatentsMean, raw))
		}
		if v.Config.ShiftFactor != 0 {
			raw = raw.AddScalar(v.Config.ShiftFactor)
		}
		return raw
	})
}

// perChannel lays numbers, one a channel, out beside latents [B,C,h,w].
func (v *VAE) perChannel(numbers []float64, latents torch.Tensor) torch.Tensor {
	return torch.From(numbers, 1, int64(len(numbers)), 1, 1).ToDevice(latents.Device(), latents.DType())
}

// DType is the element type that the VAE computes in.
func (v *VAE) DType() torch.DType { return v.decoder.convIn.Weight.DType() }

func (v *VAE) moments(pixels torch.Tensor) torch.Tensor {
	h := v.encoder.forward(laidOut(pixels))
	if v.quantConv != nil {
		h = v.quantConv.Forward(h)
	}
	return h
}

func (v *VAE) pixels(raw torch.Tensor) torch.Tensor {
	raw = laidOut(raw)
	if v.postQuantConv != nil {
		raw = v.postQuantConv.Forward(raw)
	}
	return v.decoder.forward(raw)
}

// inTiles maps x through f whole, or in tiles if the image is large.
func (v *VAE) inTiles(x torch.Tensor, side, to int64, f func(torch.Tensor) torch.Tensor) torch.Tensor {
	if !v.tiled(x, side) {
		return f(x)
	}
	return tiles(x, side, to, f)
}

// tiled reports whether x is mapped in tiles of that side.
func (v *VAE) tiled(x torch.Tensor, side int64) bool {
	H, W := x.Size(2)*v.Config.SampleSize/side, x.Size(3)*v.Config.SampleSize/side // pixels
	return v.TileAbove > 0 && H*W > v.TileAbove && max(H, W) > v.Config.SampleSize
}
