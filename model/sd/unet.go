package sd

import (
	"fmt"

	"focusnfix/model/nn"
	"focusnfix/model/torch"
)

// UNet is diffusers' UNet2DConditionModel (Ronneberger et al., arXiv 1505.04597, with attention as in
// Rombach et al., arXiv 2112.10752): it tells noise from image in latents. Fields follow the keys of
// its checkpoint.
type UNet struct {
	Config UNetConfig

	convIn        *nn.Conv2d
	timeEmbedding *nn.TimeEmbedding
	addEmbedding  *nn.TimeEmbedding // nil but for SDXL
	condProj      *nn.Linear        // of the embedded guidance scale, time_embedding.cond_proj; nil but for distilled models
	downBlocks    []*unetBlock
	midBlock      *unetBlock
	upBlocks      []*unetBlock
	convNormOut   *nn.GroupNorm
	convOut       *nn.Conv2d
}

// NewUNet builds a UNet of a validated configuration.
func NewUNet(cfg UNetConfig, p nn.Params) *UNet {
	widths := cfg.BlockOutChannels
	time := 4 * widths[0]
	u := &UNet{
		Config:        cfg,
		convIn:        nn.NewConv2d(cfg.InChannels, widths[0], 3, torch.Conv{Padding: 1}, p.Sub("conv_in")),
		timeEmbedding: nn.NewTimeEmbedding(widths[0], time, p.Sub("time_embedding")),
	}
	if cfg.TimeCondProjDim > 0 {
		u.condProj = nn.NewLinearNoBias(cfg.TimeCondProjDim, widths[0], p.Sub("time_embedding").Sub("cond_proj"))
	}
	if cfg.AdditionEmbedType != "" {
		u.addEmbedding = nn.NewTimeEmbedding(cfg.AdditionInputDim, time, p.Sub("add_embedding"))
	}
	last := len(widths) - 1
	in := widths[0]
	for i, out := range widths {
		l := level{cfg, i, out, time, cfg.DownBlockTypes[i] == crossAttnDown, p.Sub("down_blocks").At(i)}
		u.downBlocks, in = append(u.downBlocks, newDownBlock(l, in, i == last)), out
	}
	u.midBlock = newMidBlock(level{cfg, last, in, time, true, p.Sub("mid_block")})
	for i := range widths {
		at := last - i
		l := level{cfg, at, widths[at], time, cfg.UpBlockTypes[i] == crossAttnUp, p.Sub("up_blocks").At(i)}
		u.upBlocks, in = append(u.upBlocks, newUpBlock(l, in, widths[max(at-1, 0)], i == last)), widths[at]
	}
	u.convNormOut = nn.NewGroupNorm(cfg.NormNumGroups, in, cfg.NormEps, p.Sub("conv_norm_out"))
	u.convOut = nn.NewConv2d(in, cfg.OutChannels, 3, torch.Conv{Padding: 1}, p.Sub("conv_out"))
	return u
}

// Forward predicts noise (or velocity, as it was trained) in latents [B,C,H,W] at one timestep.
// context is the text encoder's states [B,N,D]; SDXL also takes the pooled text [B,P] and the time
// ids [B,6], others no tensor. It computes and answers in the element type of its weights.
func (u *UNet) Forward(latents torch.Tensor, timestep float64, context, pooled, timeIDs torch.Tensor) torch.Tensor {
	return u.ForwardEach(latents, []float64{timestep}, context, pooled, timeIDs)
}

// ForwardEach is Forward with a timestep of its own for every image.
func (u *UNet) ForwardEach(latents torch.Tensor, timesteps []float64, context, pooled, timeIDs torch.Tensor) torch.Tensor {
	return u.ForwardWith(latents, timesteps, context, Added{Pooled: pooled, TimeIDs: timeIDs})
}

// Added is what joins the time embedding of some UNets; no tensors for others.
type Added struct {
	Pooled, TimeIDs torch.Tensor // SDXL: [B,P] and [B,6]
	Guidance        torch.Tensor // distilled models: the embedded guidance scale, [B,TimeCondProjDim]

	// attended, if set, is shown how the image attends to the text on the way down and up; see text.
	attended func(weights torch.Tensor, H, W int64)
}

// ForwardWith is ForwardEach for all kinds of UNets.
func (u *UNet) ForwardWith(latents torch.Tensor, timesteps []float64, context torch.Tensor, added Added) torch.Tensor {
	return torch.Scope(func() torch.Tensor {
		return torch.RunStages(u.Stages(timesteps, context, added), []torch.Tensor{latents})[0]
	})
}

// Stages is ForwardWith in stages, one for each layer, for torch.BackwardStages: from latents to what it
// predicts. They live in the open scope.
func (u *UNet) Stages(timesteps []float64, context torch.Tensor, added Added) []torch.Stage {
	dtype := u.convIn.Weight.DType()
	reads := text{states: context.To(dtype)}
	watched := text{reads.states, added.attended}
	stages := []torch.Stage{func(xs []torch.Tensor) []torch.Tensor {
		timeAct := u.embedTime(xs[0], timesteps, added).SiLU() // [B,T]
		x := u.convIn.Forward(laidOut(xs[0].To(dtype)))
		return []torch.Tensor{x, timeAct, x}
	}}
	for _, b := range u.downBlocks {
		stages = append(stages, b.down(watched)...)
	}
	stages = append(stages, u.midBlock.middle(reads)...)
	for _, b := range u.upBlocks {
		stages = append(stages, b.up(watched)...)
	}
	return append(stages, one(func(x torch.Tensor) torch.Tensor { return u.convOut.Forward(u.convNormOut.ForwardSiLU(x)) }))
}

// embedTime is [B,T]; for SDXL it says pooled text and image sizes, too (arXiv 2307.01952, 2.2).
func (u *UNet) embedTime(latents torch.Tensor, timesteps []float64, added Added) torch.Tensor {
	pooled, timeIDs := added.Pooled, added.TimeIDs
	B := latents.Size(0)
	if n := int64(len(timesteps)); n != 1 && n != B {
		panic(&torch.Error{Op: "unet", Message: fmt.Sprintf("%d timesteps for %d images", n, B)})
	}
	if (u.addEmbedding != nil) != (pooled.Defined() && timeIDs.Defined()) {
		panic(&torch.Error{Op: "unet", Message: "pooled text and time ids go to SDXL, and only there"})
	}
	if (u.condProj != nil) != added.Guidance.Defined() {
		panic(&torch.Error{Op: "unet", Message: "an embedded guidance scale goes to distilled models, and only there"})
	}
	return torch.Scope(func() torch.Tensor {
		cfg := u.Config
		var t torch.Tensor
		if len(timesteps) == 1 { // written on the device: a copy from the CPU would wait for it
			t = torch.Full(timesteps[0], torch.Float32, latents.Device(), B)
		} else {
			t = torch.From(timesteps).ToDevice(latents.Device(), torch.Float32)
		}
		time := nn.Sinusoids(t, cfg.BlockOutChannels[0], cfg.FlipSinToCos, cfg.FreqShift)
		if u.condProj != nil {
			dtype := u.condProj.Weight.DType()
			time = time.To(dtype).Add(u.condProj.Forward(added.Guidance.To(dtype)))
		}
		embedded := u.timeEmbedding.Forward(time)
		if u.addEmbedding == nil {
			return embedded
		}
		sizes := nn.Sinusoids(timeIDs.Reshape(B*numTimeIDs), cfg.AdditionTimeEmbedDim, cfg.FlipSinToCos, cfg.FreqShift)
		added := torch.Cat([]torch.Tensor{pooled.To(torch.Float32), sizes.Reshape(B, numTimeIDs*cfg.AdditionTimeEmbedDim)}, 1)
		return embedded.Add(u.addEmbedding.Forward(added))
	})
}
