// Package replica writes models of real size as diffusers folders: SD 1.5, SD 2.1 or SDXL with random weights, or with
// none. No real ones are needed for time and memory.
package replica

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"focusnfix/model/clip"
	"focusnfix/model/nn"
	"focusnfix/model/sd"
	"focusnfix/model/torch"
	"focusnfix/model/weights"
)

// texts are the configurations of the text encoders, as on the hub.
var texts = map[string][]string{
	"sd15": {text("quick_gelu", 768, 12, 12, "CLIPTextModel")},
	"sd21": {text("gelu", 1024, 23, 16, "CLIPTextModel")},
	"sdxl": {text("quick_gelu", 768, 12, 12, "CLIPTextModel"), text("gelu", 1280, 32, 20, "CLIPTextModelWithProjection")},
}

func text(act string, width, layers, heads int, class string) string {
	return fmt.Sprintf(`{"architectures": [%q], "model_type": "clip_text_model", "hidden_act": %q, "hidden_size": %d, "intermediate_size": %d,
		"num_hidden_layers": %d, "num_attention_heads": %d, "projection_dim": %d, "eos_token_id": 2}`, class, act, width, 4*width, layers, heads, width)
}

const vaeConfig = `{"_class_name": "AutoencoderKL", "block_out_channels": [128, 256, 512, 512], "layers_per_block": 2, "sample_size": 512,
	"down_block_types": ["DownEncoderBlock2D", "DownEncoderBlock2D", "DownEncoderBlock2D", "DownEncoderBlock2D"],
	"up_block_types": ["UpDecoderBlock2D", "UpDecoderBlock2D", "UpDecoderBlock2D", "UpDecoderBlock2D"]}`

const schedulerConfig = `{"_class_name": "DDIMScheduler", "beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear",
	"clip_sample": false, "set_alpha_to_one": false, "steps_offset": 1}`

// Replica says what to write.
type Replica struct {
	Kind   string // sd15, sd21 or sdxl
	DType  string // float32, bfloat16 or float16
	Hollow bool   // files of the right size with nothing on the disk, for focusnfix plan
	Ref    string // folder of the UNets' configurations and of a tokenizer: model/sd/testdata/ref
}

// Main is a program that writes one: arguments -make DIR and those of Replica.
func Main(arguments []string) error {
	f := flag.NewFlagSet("replica", flag.ContinueOnError)
	var r Replica
	dir := f.String("make", "", "folder to write")
	r.Flags(f)
	if err := f.Parse(arguments); err != nil {
		return err
	}
	return r.Write(*dir)
}

// Flags adds what a replica may be told to a program's flags.
func (r *Replica) Flags(f *flag.FlagSet) {
	f.StringVar(&r.Kind, "kind", "sd15", "sd15, sd21 or sdxl")
	f.StringVar(&r.DType, "dtype", "float32", "element type: float32, bfloat16 or float16")
	f.BoolVar(&r.Hollow, "hollow", false, "write files without weights, of the right size but with nothing on the disk")
	f.StringVar(&r.Ref, "ref", "model/sd/testdata/ref", "folder of the UNets' configurations and of a tokenizer")
}

// Write writes the folder.
func (r Replica) Write(dir string) error {
	kind := r.Kind
	var list struct {
		Lists map[string]struct{ Config json.RawMessage }
	}
	raw, err := os.ReadFile(filepath.Join(r.Ref, "unet.json"))
	if err != nil {
		return err
	}
	if err := json.Unmarshal(raw, &list); err != nil {
		return err
	}
	if texts[kind] == nil || list.Lists[kind].Config == nil {
		return fmt.Errorf("no kind %q", kind)
	}
	index := `"unet": ["diffusers", "UNet2DConditionModel"], "vae": ["diffusers", "AutoencoderKL"], "scheduler": ["diffusers", "DDIMScheduler"]`
	class := "StableDiffusionPipeline"
	for i, config := range texts[kind] {
		suffix, model := "", "CLIPTextModel"
		if i == 1 {
			suffix, model, class = "_2", "CLIPTextModelWithProjection", "StableDiffusionXLPipeline"
		}
		index += fmt.Sprintf(`, "text_encoder%s": ["transformers", %q], "tokenizer%s": ["transformers", "CLIPTokenizer"]`, suffix, model, suffix)
		if err := os.CopyFS(filepath.Join(dir, "tokenizer"+suffix), os.DirFS(filepath.Join(r.Ref, "sd1", "tokenizer"))); err != nil {
			return err
		}
		if err := r.writePart(dir, "text_encoder"+suffix, config, "model"); err != nil {
			return err
		}
	}
	if class == "StableDiffusionPipeline" {
		index += `, "safety_checker": [null, null], "feature_extractor": [null, null], "requires_safety_checker": false`
	}
	if err := r.writePart(dir, "unet", string(list.Lists[kind].Config), "diffusion_pytorch_model"); err != nil {
		return err
	}
	if err := r.writePart(dir, "vae", vaeConfig, "diffusion_pytorch_model"); err != nil {
		return err
	}
	if err := writeFile(schedulerConfig, dir, "scheduler", "scheduler_config.json"); err != nil {
		return err
	}
	return writeFile(fmt.Sprintf(`{"_class_name": %q, %s}`, class, index), dir, "model_index.json")
}

func writeFile(text string, path ...string) error {
	file := filepath.Join(path...)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	return os.WriteFile(file, []byte(text), 0o644)
}

// rows gives every parameter one random row, repeated: real sizes on disk, little memory to make them.
type rows struct{ generator *torch.Generator }

func (rows) Has(string) bool { return false }

func (r rows) Param(_ string, init nn.Init, shape []int64) torch.Tensor {
	return torch.Own(torch.Scope(func() torch.Tensor {
		if len(shape) < 2 {
			return init(r.generator, shape)
		}
		return init(r.generator, append([]int64{1}, shape[1:]...)).Expand(shape...)
	}))
}

func (r Replica) writePart(dir, part, config, stem string) error {
	if err := writeFile(config, dir, part, "config.json"); err != nil {
		return err
	}
	generator, err := torch.NewGenerator(torch.CPU, 1)
	if err != nil {
		return err
	}
	defer generator.Close()
	p := nn.NewParams(rows{generator})
	defer p.Drop()
	path := filepath.Join(dir, part, "config.json")
	var failed error
	err = torch.Run(func() {
		switch part {
		case "unet":
			var c sd.UNetConfig
			c, failed = sd.LoadUNetConfig(path)
			sd.NewUNet(c, p)
		case "vae":
			var c sd.VAEConfig
			c, failed = sd.LoadVAEConfig(path)
			sd.NewVAE(c, p)
		default:
			var c clip.TextConfig
			c, failed = clip.LoadTextConfig(path)
			clip.NewText(c, p)
		}
	})
	if err := errors.Join(failed, err); err != nil {
		return err
	}
	to := map[string]weights.DType{"float32": weights.F32, "bfloat16": weights.BF16, "float16": weights.F16}[r.DType]
	entries := p.Entries()
	if r.Hollow {
		return writeHollow(filepath.Join(dir, part, stem+".safetensors"), entries, to)
	}
	for i := range entries {
		if entries[i], err = weights.Cast(entries[i], to); err != nil {
			return err
		}
	}
	_, err = weights.WriteSharded(filepath.Join(dir, part), stem, map[string]string{"format": "pt"}, entries, 10e9)
	return err
}

// writeHollow writes a safetensors file whose tensors are a hole: zeros that take no room.
func writeHollow(path string, entries []weights.Entry, to weights.DType) error {
	type tensor struct {
		DType   weights.DType `json:"dtype"`
		Shape   []int64       `json:"shape"`
		Offsets [2]int64      `json:"data_offsets"`
	}
	header, at := map[string]any{"__metadata__": map[string]string{"format": "pt"}}, int64(0)
	for _, e := range entries {
		size := int64(2)
		if to == weights.F32 {
			size = 4
		}
		for _, n := range e.Shape {
			size *= n
		}
		header[e.Name] = tensor{to, e.Shape, [2]int64{at, at + size}}
		at += size
	}
	text, err := json.Marshal(header)
	if err != nil {
		return err
	}
	text = append(binary.LittleEndian.AppendUint64(nil, uint64(len(text))), text...)
	return errors.Join(os.WriteFile(path, text, 0o644), os.Truncate(path, int64(len(text))+at))
}
