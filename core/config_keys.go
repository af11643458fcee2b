package core

import (
	"reflect"
	"slices"
)

// Key is one setting: what it is called, what turning it up does, and what it may be.
type Key struct {
	Name  string // "train.learning_rate"; "reward.violence.weight" for one of [[reward]]
	Doc   string // what it does and costs; one line or more
	Value any    // current: string, bool, int, float64, []string or Size

	Min, Max float64  // of a number; both 0 where there is no range
	Options  []string // of a word or a list of words; none where any will do
}

// rule is what holds for a key in every configuration. Keys of [[reward]] are written "reward.weight".
type rule struct {
	name, doc string
	min, max  float64
	options   []string
}

// rules has every key, in the order of config.toml; a test holds it to the fields of Config.
var rules = []rule{
	{name: "model.path", doc: `"builtin:scenes", a diffusers folder, or a single .safetensors file.`},
	{name: "model.config", doc: "Diffusers folder of the same kind of model, from which a single file takes its\nconfiguration and tokenizer."},
	{name: "model.prediction", doc: "What the UNet predicts. Auto is what the model says; a single file that says nothing predicts\nepsilon, and v-prediction models draw noise then.", options: []string{"auto", "epsilon", "v_prediction", "sample"}},
	{name: "model.zero_snr", doc: "Whether the noise ends at zero signal: rescaled betas and trailing timesteps. Auto is what the\nmodel says.", options: []string{"auto", "on", "off"}},
	{name: "model.dtype", doc: "Data type of the frozen weights; LoRA is always trained in float32. Auto is float16 on a GPU, of\ntransformers bfloat16, and float32 on the CPU.", options: []string{"auto", "float32", "bfloat16", "float16"}},
	{name: "model.device", doc: `"auto" (the first GPU, or the CPU), "cpu", "cuda" or "cuda:1".`},
	{name: "model.keep_text_encoder", doc: "Whether T5 or Qwen3 stay in memory after the prompts are encoded: new prompts are then encoded\nat once. The CLIPs of Stable Diffusion 1.x, 2.x and SDXL always stay."},

	{name: "sample.scheduler", doc: "Order and size of the denoising steps. Training needs a single-step sampler: ddim, ddpm,\neuler, euler_a, lcm, tcd, dpm++_1, or their other spacings. Turbo and Lightning models want\neuler_trailing; Stable Diffusion 3.x and Z-Image have euler only.", options: []string{
		"ddim", "ddim_trailing", "ddpm", "pndm", "euler", "euler_karras", "euler_exponential", "euler_beta", "euler_trailing",
		"euler_a", "euler_a_trailing", "heun", "heun_karras", "lcm", "tcd", "dpm++", "dpm++_karras", "dpm++_exponential",
		"dpm++_beta", "dpm++_1", "dpm++_3", "dpm++_3_karras", "dpm++_sde", "dpm++_sde_karras", "unipc", "unipc_karras", "deis",
	}},
	{name: "sample.num_steps", doc: "Denoising steps of one image: more is finer, and takes time in proportion.", min: 1, max: 999},
	{name: "sample.guidance_scale", doc: "How closely images follow the prompt. Above 1 each denoising step takes two passes.", min: 0, max: 50},
	{name: "sample.guidance_rescale", doc: "Share by which guided outputs get the contrast of unguided ones back; models with zero_snr\nlike 0.7.", min: 0, max: 1},
	{name: "sample.eta", doc: "DDIM's noise: 0 is deterministic, 1 as noisy as DDPM.", min: 0, max: 1},
	{name: "sample.size", doc: "Width and height in pixels, \"512x768\"; multiples of 8. Empty is what the model was\ntrained on."},
	{name: "sample.preview", doc: "Shows images of prompt tests while they are drawn: a TAESD, which is a folder or file such as\n\"taesd\" or \"taesdxl\", or \"vae\" for the model's own decoder, which is exact and slow. Empty\nshows none."},

	{name: "lora.rank", doc: "Rank of the LoRA matrices: higher can change more, and overfits sooner.", min: 1, max: 1024},
	{name: "lora.alpha", doc: "LoRA is scaled by alpha / rank.", min: 1e-3, max: 1024},
	{name: "lora.targets", doc: "Layers of the network that are updated. Convolutions, which UNets have, repair more and\npreserve less. Text is the attention of the text encoders of UNets.", options: []string{"attention", "feedforward", "convolution", "time", "text"}},

	{name: "reward.aspect", doc: "Name of the fault; a layer's [[reward]] tables replace those before, and a known aspect\nkeeps the keys that the layer does not set."},
	{name: "reward.model", doc: "Scores the images: \"scenes\" for the shipped model, or kind:path."},
	{name: "reward.weight", doc: "Weight of this reward in the objective. 0 measures the aspect without training on it.", min: 0, max: 1e6},
	{name: "reward.heatmap", doc: "Where the heatmap comes from: the reward itself, its class activation map, the\ngradient of its score, or how the UNet attends to the prompt's words while it draws;\n\"attention:hand, knife\" takes these words alone.", options: []string{"head", "cam", "saliency", "attention"}},
	{name: "reward.threshold", doc: "Heatmap in [0,1]; above it a pixel is faulty. Higher makes smaller masks.", min: 0, max: 1},
	{name: "reward.dilate", doc: "Pixels that the mask grows on every side.", min: 0, max: 512},
	{name: "reward.min_area", doc: "Share of the image; a smaller mask counts as no fault.", min: 0, max: 1},
	{name: "reward.mask", doc: "Whether the faults that it finds are to be repaired. If false, the reward only guards: it\ncounts in the objective, but adds nothing to the mask."},
	{name: "reward.held_out", doc: "A reward that is never trained on, for the gate and for eval. Empty is none."},

	{name: "region.weight", doc: "Pull toward the base image outside the mask. 0 is plain DRaFT.", min: 0, max: 1e6},
	{name: "region.norm", doc: "How the difference outside the mask is measured: rms does not depend on the size of the\nimage, frobenius is the paper's, local sees small new objects best.", options: []string{"rms", "frobenius", "local"}},
	{name: "region.max_coverage", doc: "Share of the image; a mask that covers more raises an alarm.", min: 0, max: 1},

	{name: "train.steps", doc: "Updates of the LoRA weights.", min: 1, max: 1e7},
	{name: "train.batch", doc: "Images at once: memory grows with it.", min: 1, max: 4096},
	{name: "train.accumulate", doc: "Batches before each update: the effect of a larger batch without its memory.", min: 1, max: 4096},
	{name: "train.learning_rate", doc: "Too high shows as images that drift outside the mask.", min: 1e-9, max: 1},
	{name: "train.schedule", doc: "Schedule of the learning rate: constant, warmup (rises over the first 10 steps), or cosine\n(the same, then falls to 0 at the last).", options: []string{"constant", "warmup", "cosine"}},
	{name: "train.gradient", doc: "How a reward's gradient reaches the denoising steps: chained goes back through the last\nones (DRaFT-K), sparse straight to some out of all, drawn anew each time, so that\nlayout learns too; as many steps cost about the same.", options: []string{"chained", "sparse"}},
	{name: "train.backprop_steps", doc: "K: denoising steps that learn from an image, at most sample.num_steps. Time grows with it,\nand memory up to 3 if gradients are chained.", min: 1, max: 999},
	{name: "train.noised_copies", doc: "DRaFT-LV: further noised copies of the last step, for backprop_steps = 1.", min: 0, max: 64},
	{name: "train.augment", doc: "Show rewards each image a little shifted, mirrored and noisy; without it they are deceived\nby invisible patterns."},
	{name: "train.grad_clip", doc: "Largest norm of the gradient; 0 does not clip.", min: 0, max: 1e6},
	{name: "train.ema", doc: "Decay of the moving average of the LoRA weights, which is what is judged and exported:\nhigher is steadier and later, 0.9 follows about 10 steps; 0 takes the weights themselves.", min: 0, max: 0.9999},
	{name: "train.faulty_share", doc: "Share of each step's images that the base model draws with a fault: higher repairs sooner,\nand holds the rest less; 0 takes images as they come. References of pairs that are passed\nover cost time once.", min: 0, max: 1},
	{name: "train.workers", doc: "Pairs of images that are worked on at the same time on a CPU, each pair on its own core;\nthe result is the same for any number. 0 is one for each core, as far as memory allows.", min: 0, max: 1024},
	{name: "train.seed", doc: "Random seed; every random choice follows from it.", min: 0, max: 1 << 53},
	{name: "train.prompts", doc: "A list that `focusnfix presets` names, or a text file with one prompt per line; those after\na line \"[held out]\" are kept for evaluation."},
	{name: "train.seeds_per_prompt", doc: "Images per prompt. Prompts times seeds should be at least 48.", min: 1, max: 1e6},
	{name: "train.checkpoint_every", doc: "Steps between checkpoints; the gate judges there.", min: 1, max: 1e7},
	{name: "train.images_every", doc: "Steps between the images that are saved for the screen.", min: 1, max: 1e7},

	{name: "gate.held_out_drop", doc: "How far what a held-out judge says may get worse than on base images, in standard\ndeviations there; of a probability of faults, .10 at least.", min: 0, max: 100},
	{name: "gate.statistics_range", doc: "How far brightness, edges, colors and diversity may move from those of the base images, in\nstandard deviations.", min: 0, max: 100},
	{name: "gate.action", doc: "When a judge falls or a statistic leaves its range: warn, stop, or go back to the last\ngood checkpoint and stop.", options: []string{"warn", "stop", "rollback"}},
}

// field is one setting inside a Config.
type field struct {
	rule
	name  string // with the aspect: "reward.violence.weight"
	value reflect.Value
}

// fields lists the settings of a configuration; their values can be set.
func (c *Config) fields() []field {
	var all []field
	add := func(section, prefix string, v reflect.Value) {
		for i := range v.NumField() {
			key := v.Type().Field(i).Tag.Get("toml")
			r := slices.IndexFunc(rules, func(r rule) bool { return r.name == section+"."+key })
			if r >= 0 {
				all = append(all, field{rules[r], prefix + key, v.Field(i)})
			}
		}
	}
	sections := reflect.ValueOf(c).Elem()
	for i := range sections.NumField() {
		section := sections.Type().Field(i).Tag.Get("toml")
		if section != "reward" {
			add(section, section+".", sections.Field(i))
			continue
		}
		for r := range c.Reward {
			add(section, "reward."+c.Reward[r].Aspect+".", reflect.ValueOf(&c.Reward[r]).Elem())
		}
	}
	return all
}

// Keys lists every setting with its present value, in the order of config.toml.
func (c *Config) Keys() []Key {
	var keys []Key
	for _, f := range c.fields() {
		keys = append(keys, Key{f.name, f.doc, f.value.Interface(), f.min, f.max, f.options})
	}
	return keys
}
