package workshop

import (
	"focusnfix/model/clip"
	"focusnfix/model/scenes"
	"focusnfix/model/sd"
)

// sizes are the widths of all networks and how long they learn.
type sizes struct {
	vae       sd.VAEConfig
	unet      sd.UNetConfig
	scheduler sd.SchedulerConfig
	text      clip.TextConfig
	vocab     int // most tokens
	context   int // tokens of a prompt
	judge     [2]scenes.JudgeWidths
	encoded   int               // scenes that the UNet learns from
	statistic int               // of them, those that latents are measured on
	pool      int               // scenes that judges see as the model draws them
	every     int               // steps between two events
	lessons   map[string]effort // on a GPU
	onCPU     map[string]effort // what two processors do in two hours
}

// effort is how long and how fast a network learns.
type effort struct {
	steps, batch int
	rate         float64
}

// shippedSizes are those of the model in the repository.
//
// The autoencoder has 8 latent channels, not 4: at f8 a latent pixel stands for 192 numbers of the
// image, and with 4 channels faces of 40 pixels stay blurred (DESIGN: 4 to 8 are allowed).
var shippedSizes = sizes{
	vae:       vaeConfig(8, 32, 64, 96, 128),
	unet:      unetConfig(8, 128, 48, 96, 192),
	scheduler: schedulerConfig(),
	text:      textConfig(128, 2, 24),
	vocab:     1000,
	context:   24,
	judge:     [2]scenes.JudgeWidths{{16, 32, 64, 96}, {24, 48, 96, 128}},
	encoded:   60_000,
	statistic: 2_000,
	pool:      16_000,
	every:     50,
	lessons: map[string]effort{
		"sight":             {3_000, 128, 2e-3},
		"vae":               {24_000, 64, 1.5e-3},
		"unet":              {30_000, 256, 1e-3},
		"judge":             {8_000, 128, 1.5e-3},
		"judge-heldout":     {8_000, 128, 1.5e-3},
		"alignment":         {8_000, 128, 1.5e-3},
		"alignment-heldout": {8_000, 128, 1.5e-3},
	},
	onCPU: map[string]effort{
		"sight":             {1_500, 32, 2e-3},
		"vae":               {2_500, 16, 2e-3},
		"unet":              {3_000, 64, 2e-3},
		"judge":             {1_500, 32, 1.5e-3},
		"judge-heldout":     {1_500, 32, 1.5e-3},
		"alignment":         {1_500, 32, 1.5e-3},
		"alignment-heldout": {1_500, 32, 1.5e-3},
	},
}

const normGroups = 8

func vaeConfig(latent int64, widths ...int64) sd.VAEConfig {
	cfg := sd.DefaultVAE()
	cfg.BlockOutChannels, cfg.LatentChannels, cfg.NormNumGroups, cfg.SampleSize = widths, latent, normGroups, scenes.Size
	cfg.ScalingFactor = 1       // the latents' spread is folded into the 1x1 convolutions around them
	cfg.ForceUpcast = new(bool) // no: it does not overflow
	return cfg
}

// unetConfig has one resnet and one transformer a level; heads are 24 channels wide.
func unetConfig(latent, context int64, widths ...int64) sd.UNetConfig {
	cfg := sd.UNetConfig{
		InChannels: latent, OutChannels: latent, SampleSize: scenes.Size / 8, BlockOutChannels: widths, LayersPerBlock: sd.PerLevel{1},
		NormNumGroups: normGroups, NormEps: 1e-5, CrossAttentionDim: context, TransformerLayers: sd.PerLayer{{1}},
		MidBlockType: "UNetMidBlock2DCrossAttn", FlipSinToCos: true,
	}
	for _, w := range widths {
		cfg.DownBlockTypes = append(cfg.DownBlockTypes, "CrossAttnDownBlock2D")
		cfg.UpBlockTypes = append(cfg.UpBlockTypes, "CrossAttnUpBlock2D")
		cfg.AttentionHeadDim = append(cfg.AttentionHeadDim, max(1, w/24))
	}
	return cfg
}

// schedulerConfig is Stable Diffusion's noise, ended at pure noise so that a night is dark and snow is
// bright (Lin et al., arXiv 2305.08891); that needs v-prediction and steps counted from the last.
func schedulerConfig() sd.SchedulerConfig {
	return sd.SchedulerConfig{
		Class: sd.DDIM, NumTrainTimesteps: 1000, BetaStart: 0.00085, BetaEnd: 0.012, BetaSchedule: "scaled_linear",
		PredictionType: "v_prediction", TimestepSpacing: "trailing", StepsOffset: 1, SetAlphaToOne: true, RescaleBetasToZero: true,
		FinalSigmasType: "zero", LowerOrderFinal: true,
	}
}

func textConfig(width int64, layers int, context int64) clip.TextConfig {
	return clip.TextConfig{
		HiddenSize: width, IntermediateSize: 4 * width, NumHiddenLayers: layers, NumAttentionHeads: 4,
		MaxPositionEmbeddings: context, HiddenAct: "quick_gelu", LayerNormEps: 1e-5, ProjectionDim: width,
		Architectures: []string{"CLIPTextModel"}, ModelType: "clip_text_model",
	}
}
