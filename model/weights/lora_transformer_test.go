package weights

import (
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// transformerModules are updates of layers of both transformers, with numbers that differ everywhere.
func transformerModules(paths ...string) []LoRAModule {
	numbers := func(from int, shape ...int64) Tensor {
		values := make([]float32, product(shape))
		for i := range values {
			values[i] = float32(math.Sin(float64(from + i)))
		}
		return float32Tensor(shape, values)
	}
	var all []LoRAModule
	for i, path := range paths {
		rows := int64(6)
		if strings.HasSuffix(path, "linear") {
			rows = 12 // a shift and a scale
		}
		all = append(all, LoRAModule{Component: transformerPart, Path: path, Alpha: 3, Down: numbers(100*i, 2, 6), Up: numbers(100*i+50, rows, 2)})
	}
	return all
}

// delta is alpha/rank · up · down, row by row, with the rows where the network has them.
func delta(t *testing.T, m LoRAModule) []float64 {
	t.Helper()
	up, err := m.Up.Float32s()
	if err != nil {
		t.Fatal(err)
	}
	down, err := m.Down.Float32s()
	if err != nil {
		t.Fatal(err)
	}
	rank, width := int(m.Down.Shape[0]), int(m.Down.Shape[1])
	sum := make([]float64, len(up)/rank*width)
	for i := range sum {
		for r := range rank {
			sum[i] += float64(up[i/width*rank+r]) * float64(down[r*width+i%width]) * m.Alpha / float64(rank)
		}
	}
	return sum
}

// What any dialect writes of a transformer's updates, ReadLoRA reads as the same updates, and Written tells.
func TestTransformerLoRAIsReadBack(t *testing.T) {
	families := map[Kind][]string{
		SD3: {
			"transformer_blocks.0.attn.to_q", "transformer_blocks.0.attn.to_k", "transformer_blocks.0.attn.to_v", "transformer_blocks.0.attn.to_out.0",
			"transformer_blocks.0.attn.add_q_proj", "transformer_blocks.0.attn.add_v_proj", "transformer_blocks.0.attn.to_add_out",
			"transformer_blocks.0.attn2.to_q", "transformer_blocks.0.attn2.to_k", "transformer_blocks.0.attn2.to_v", "transformer_blocks.0.attn2.to_out.0",
			"transformer_blocks.1.ff.net.0.proj", "transformer_blocks.1.ff.net.2", "transformer_blocks.1.ff_context.net.0.proj", "transformer_blocks.1.ff_context.net.2",
			"transformer_blocks.1.norm1_context.linear", "time_text_embed.timestep_embedder.linear_1", "norm_out.linear",
		},
		ZImage: {
			"layers.0.attention.to_q", "layers.0.attention.to_k", "layers.0.attention.to_v", "layers.0.attention.to_out.0",
			"noise_refiner.1.feed_forward.w1", "context_refiner.0.feed_forward.w2", "layers.11.feed_forward.w3",
		},
	}
	for kind, paths := range families {
		modules := transformerModules(paths...)
		for _, dialect := range []Dialect{PEFT, Diffusers, Kohya, ComfyUI} {
			path := filepath.Join(t.TempDir(), "lora.safetensors")
			if err := WriteLoRA(path, dialect, slices.Clone(modules), nil); err != nil {
				t.Fatalf("%s %s: %v", kind, dialect, err)
			}
			file, err := Open(path)
			if err != nil {
				t.Fatal(err)
			}
			lora, err := ReadLoRA(file)
			if err != nil {
				t.Fatalf("%s %s: %v", kind, dialect, err)
			}
			if got, ok := lora.Kind(); !ok || got != kind {
				t.Errorf("%s %s: read as one for %q", kind, dialect, got)
			}
			written, err := dialect.Written(modules)
			if err != nil {
				t.Fatal(err)
			}
			checkDeltas(t, string(kind)+" "+string(dialect), lora.Modules, modules)
			checkDeltas(t, string(kind)+" "+string(dialect)+", told", written, modules)
			if err := file.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}

// checkDeltas compares updates by the name of their module; those that are zero may be missing in want.
func checkDeltas(t *testing.T, name string, got, want []LoRAModule) {
	t.Helper()
	all := map[string][]float64{}
	for _, m := range got {
		all[m.Name()] = delta(t, m)
	}
	for _, m := range want {
		values, ok := all[m.Name()]
		right := delta(t, m)
		if !ok || len(values) != len(right) {
			t.Errorf("%s: %s: %d numbers, want %d", name, m.Name(), len(values), len(right))
			continue
		}
		for i := range right {
			if math.Abs(values[i]-right[i]) > 1e-6 { // a product of two factors that were rounded to float32
				t.Errorf("%s: %s: number %d is %g, want %g", name, m.Name(), i, values[i], right[i])
				break
			}
		}
		delete(all, m.Name())
	}
	for left, values := range all {
		if slices.ContainsFunc(values, func(v float64) bool { return v != 0 }) {
			t.Errorf("%s: %s is updated and should not be", name, left)
		}
	}
}

// Names of transformers' modules, as programs write them.
func TestTransformerLoRANames(t *testing.T) {
	for name, want := range map[string]string{
		"transformer.transformer_blocks.3.attn.add_k_proj":             "transformer.transformer_blocks.3.attn.add_k_proj",
		"base_model.model.transformer_blocks.3.attn.to_out.0":          "transformer.transformer_blocks.3.attn.to_out.0",
		"lora_unet_joint_blocks_22_context_block_mlp_fc1":              "transformer.transformer_blocks.22.ff_context.net.0.proj",
		"lora_unet_joint_blocks_0_x_block_attn_proj":                   "transformer.transformer_blocks.0.attn.to_out.0",
		"lora_unet_joint_blocks_0_x_block_adaLN_modulation_1":          "transformer.transformer_blocks.0.norm1.linear",
		"lora_unet_joint_blocks_0_x_block_attn_qkv":                    "transformer.joint_blocks.0.x_block.attn.qkv", // comes apart later
		"diffusion_model.joint_blocks.5.x_block.attn2.proj":            "transformer.transformer_blocks.5.attn2.to_out.0",
		"lora_transformer_transformer_blocks_0_attn_to_add_out":        "transformer.transformer_blocks.0.attn.to_add_out",
		"diffusion_model.layers.29.attention.to_out.0":                 "transformer.layers.29.attention.to_out.0",
		"diffusion_model.layers.29.attention.out":                      "transformer.layers.29.attention.to_out.0",
		"lora_unet_layers_3_feed_forward_w2":                           "transformer.layers.3.feed_forward.w2",
		"lora_unet_noise_refiner_1_attention_to_q":                     "transformer.noise_refiner.1.attention.to_q",
		"transformer.context_refiner.0.adaLN_modulation.0":             "transformer.context_refiner.0.adaLN_modulation.0",
		"lora_te3_encoder_block_0_layer_0_SelfAttention_q":             "text_encoder_3.encoder.block.0.layer.0.SelfAttention.q",
		"lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_ff": "unet.down_blocks.0.attentions.0.transformer_blocks.0.ff",
	} {
		if component, module := loraModule(name); component+"."+module != want {
			t.Errorf("%s: %s.%s, want %s", name, component, module, want)
		}
	}
}

// What cannot be taken apart or fused is refused with its name.
func TestTransformerLoRARefuses(t *testing.T) {
	const qkv = "lora_unet_joint_blocks_0_x_block_attn_qkv"
	for want, tensors := range map[string][]Tensor{
		"want three times as many rows":              {floatTensor(qkv+".lora_down.weight", []int64{2, 6}, 1), floatTensor(qkv+".lora_up.weight", []int64{7, 2}, 1)},
		"LoHa of a fused layer is not supported":     {floatTensor(qkv+".hada_w1_a", []int64{18, 2}, 1), floatTensor(qkv+".hada_w1_b", []int64{2, 6}, 1), floatTensor(qkv+".hada_w2_a", []int64{18, 2}, 1), floatTensor(qkv+".hada_w2_b", []int64{2, 6}, 1)},
		"with dora_scale of a fused layer is not su": {floatTensor(qkv+".lora_down.weight", []int64{2, 6}, 1), floatTensor(qkv+".lora_up.weight", []int64{18, 2}, 1), floatTensor(qkv+".dora_scale", []int64{18, 1}, 1)},
	} {
		if _, err := ReadLoRA(&File{Path: "x", Tensors: tensors}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	unet := LoRAModule{Component: "unet", Path: "mid_block.attentions.0.proj_in", Alpha: 1, Down: floatTensor("", []int64{1, 2}, 1), Up: floatTensor("", []int64{2, 1}, 1)}
	if err := WriteLoRA(filepath.Join(t.TempDir(), "x"), ComfyUI, []LoRAModule{unet}, nil); err == nil || !strings.Contains(err.Error(), "comfyui is for transformers") {
		t.Errorf("a UNet in ComfyUI's names: %v", err)
	}
}
