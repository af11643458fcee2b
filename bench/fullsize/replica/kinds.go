package replica

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"focusnfix/model/clip"
	"focusnfix/model/mmdit"
	"focusnfix/model/nn"
	"focusnfix/model/qwen"
	"focusnfix/model/sd"
	"focusnfix/model/t5"
	"focusnfix/model/zimage"
)

// Kinds are the models that a Replica can be of.
const Kinds = "sd15, sd21, sdxl, sd35 (medium, without T5), sd35-t5 or zimage"

// model is what a folder consists of.
type model struct {
	class                     string // of the pipeline
	scheduler, schedulerClass string
	parts                     []part
	tokenizers                map[string]tokenizer // by folder
}

// part is a network: its folder, its class and configuration as on the hub, and what builds it from the latter.
type part struct {
	name, library, class, config string
	build                        func(config []byte, p nn.Params) error
}

// tokenizer is one of a test, which the repository's folder model has: a folder, or a zipped tokenizer.json.
type tokenizer struct{ class, from string }

var (
	clipTokenizer = tokenizer{"CLIPTokenizer", "sd/testdata/ref/sd1/tokenizer"}
	t5Tokenizer   = tokenizer{"T5TokenizerFast", "tokenizer/testdata/ref/unigram.json.gz"}
	qwenTokenizer = tokenizer{"Qwen2Tokenizer", "tokenizer/testdata/ref/bpe.json.gz"}
)

const (
	ddim = `{"_class_name": "DDIMScheduler", "beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear",
	"clip_sample": false, "set_alpha_to_one": false, "steps_offset": 1}`
	flowMatching = `{"_class_name": "FlowMatchEulerDiscreteScheduler", "num_train_timesteps": 1000, "shift": 3.0}`
)

// model is what the kind consists of.
func (r Replica) model() (model, error) {
	small := clipText("text_encoder", "CLIPTextModel", "quick_gelu", 768, 12, 12)
	m := model{
		class: "StableDiffusionPipeline", scheduler: ddim, schedulerClass: "DDIMScheduler",
		tokenizers: map[string]tokenizer{"tokenizer": clipTokenizer},
	}
	big := clipText("text_encoder_2", "CLIPTextModelWithProjection", "gelu", 1280, 32, 20)
	switch r.Kind {
	case "sd15":
		m.parts = []part{small}
	case "sd21":
		m.parts = []part{clipText("text_encoder", "CLIPTextModel", "gelu", 1024, 23, 16)}
	case "sdxl":
		m.class, m.parts, m.tokenizers["tokenizer_2"] = "StableDiffusionXLPipeline", []part{small, big}, clipTokenizer
	case "sd35", "sd35-t5":
		return mediumModel(r.Kind == "sd35-t5", big), nil
	case "zimage":
		return zImageModel(), nil
	default:
		return m, fmt.Errorf("no kind %q, want %s", r.Kind, Kinds)
	}
	unet, err := r.unet()
	m.parts = append(m.parts, unet, vae(`"latent_channels": 4`))
	return m, err
}

// mediumModel is Stable Diffusion 3.5 medium.
func mediumModel(withT5 bool, big part) model {
	m := model{
		class: "StableDiffusion3Pipeline", scheduler: flowMatching, schedulerClass: "FlowMatchEulerDiscreteScheduler",
		tokenizers: map[string]tokenizer{"tokenizer": clipTokenizer, "tokenizer_2": clipTokenizer},
		parts: []part{
			clipText("text_encoder", "CLIPTextModelWithProjection", "quick_gelu", 768, 12, 12), big,
			{"transformer", "diffusers", "SD3Transformer2DModel", `{"_class_name": "SD3Transformer2DModel", "sample_size": 128, "patch_size": 2,
	"in_channels": 16, "out_channels": 16, "num_layers": 24, "attention_head_dim": 64, "num_attention_heads": 24, "joint_attention_dim": 4096,
	"caption_projection_dim": 1536, "pooled_projection_dim": 2048, "pos_embed_max_size": 384, "qk_norm": "rms_norm",
	"dual_attention_layers": [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]}`, buildMMDiT},
			vae(`"latent_channels": 16, "scaling_factor": 1.5305, "shift_factor": 0.0609, "use_quant_conv": false, "use_post_quant_conv": false`),
		},
	}
	if withT5 {
		m.tokenizers["tokenizer_3"] = t5Tokenizer
		m.parts = append(m.parts, part{"text_encoder_3", "transformers", "T5EncoderModel", `{"architectures": ["T5EncoderModel"], "model_type": "t5",
	"d_model": 4096, "d_kv": 64, "d_ff": 10240, "num_layers": 24, "num_heads": 64, "feed_forward_proj": "gated-gelu", "vocab_size": 32128,
	"tie_word_embeddings": false}`, buildT5})
	}
	return m
}

func zImageModel() model {
	return model{
		class: "ZImagePipeline", scheduler: flowMatching, schedulerClass: "FlowMatchEulerDiscreteScheduler",
		tokenizers: map[string]tokenizer{"tokenizer": qwenTokenizer},
		parts: []part{
			{"text_encoder", "transformers", "Qwen3Model", `{"architectures": ["Qwen3Model"], "model_type": "qwen3", "vocab_size": 151936,
	"hidden_size": 2560, "intermediate_size": 9728, "num_hidden_layers": 36, "num_attention_heads": 32, "num_key_value_heads": 8, "head_dim": 128,
	"rms_norm_eps": 1e-6, "rope_theta": 1000000, "max_position_embeddings": 40960, "tie_word_embeddings": true}`, buildQwen},
			{"transformer", "diffusers", "ZImageTransformer2DModel", `{"_class_name": "ZImageTransformer2DModel"}`, buildZImage},
			vae(`"latent_channels": 16, "scaling_factor": 0.3611, "shift_factor": 0.1159, "use_quant_conv": false, "use_post_quant_conv": false`),
		},
	}
}

func clipText(name, class, act string, width, layers, heads int) part {
	config := fmt.Sprintf(`{"architectures": [%q], "model_type": "clip_text_model", "hidden_act": %q, "hidden_size": %d, "intermediate_size": %d,
	"num_hidden_layers": %d, "num_attention_heads": %d, "projection_dim": %d, "eos_token_id": 2}`, class, act, width, 4*width, layers, heads, width)
	return part{name, "transformers", class, config, buildCLIP}
}

func vae(more string) part {
	return part{"vae", "diffusers", "AutoencoderKL", `{"_class_name": "AutoencoderKL", "block_out_channels": [128, 256, 512, 512], "layers_per_block": 2,
	"sample_size": 512, "down_block_types": ["DownEncoderBlock2D", "DownEncoderBlock2D", "DownEncoderBlock2D", "DownEncoderBlock2D"],
	"up_block_types": ["UpDecoderBlock2D", "UpDecoderBlock2D", "UpDecoderBlock2D", "UpDecoderBlock2D"], ` + more + `}`, buildVAE}
}

// unet is the kind's, of the configuration that model/sd's test of full sizes has.
func (r Replica) unet() (part, error) {
	var list struct {
		Lists map[string]struct{ Config json.RawMessage }
	}
	raw, err := os.ReadFile(filepath.Join(r.Model, "sd/testdata/ref/unet.json"))
	if err == nil {
		err = json.Unmarshal(raw, &list)
	}
	return part{"unet", "diffusers", "UNet2DConditionModel", string(list.Lists[r.Kind].Config), buildUNet}, err
}

// file is what errors call a configuration.
const file = "config.json"

func buildUNet(config []byte, p nn.Params) error {
	c, err := sd.ParseUNetConfig(file, config)
	if err == nil {
		sd.NewUNet(c, p)
	}
	return err
}

func buildVAE(config []byte, p nn.Params) error {
	c, err := sd.ParseVAEConfig(file, config)
	if err == nil {
		sd.NewVAE(c, p)
	}
	return err
}

func buildCLIP(config []byte, p nn.Params) error {
	c, err := clip.ParseTextConfig(file, config)
	if err == nil {
		clip.NewText(c, p)
	}
	return err
}

func buildMMDiT(config []byte, p nn.Params) error {
	c, err := mmdit.ParseConfig(file, config)
	if err == nil {
		mmdit.NewTransformer(c, p)
	}
	return err
}

func buildZImage(config []byte, p nn.Params) error {
	c, err := zimage.ParseConfig(file, config)
	if err == nil {
		zimage.NewTransformer(c, p)
	}
	return err
}

func buildT5(config []byte, p nn.Params) error {
	c, err := t5.ParseConfig(file, config)
	if err == nil {
		t5.NewEncoder(c, p)
	}
	return err
}

// buildQwen adds the norm behind the last layer, which drawing has no use for.
func buildQwen(config []byte, p nn.Params) error {
	c, err := qwen.ParseConfig(file, config)
	if err == nil {
		qwen.NewDecoder(c, c.NumHiddenLayers, p)
		p.Param("norm.weight", nn.Ones, c.HiddenSize)
	}
	return err
}
