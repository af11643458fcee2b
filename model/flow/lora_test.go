package flow

import (
	"encoding/binary"
	"math"
	"path/filepath"
	"strings"
	"testing"

	"focusnfix/model/backbone"
	"focusnfix/model/flow/flowtest"
	"focusnfix/model/nn/nntest"
	"focusnfix/model/torch"
	"focusnfix/model/torch/torchtest"
	"focusnfix/model/weights"
)

// drawWithLoRA are the colors of an image; a LoRA of "" is none.
func drawWithLoRA(t *testing.T, folder, lora string) []uint8 {
	t.Helper()
	before := torch.Live()
	p, err := Load(folder, backbone.LoadOptions{Device: torch.CPU})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Prepare([]string{"a chef"}, nil); err != nil { // without it
		t.Fatal(err)
	}
	if lora != "" {
		if _, err := p.AttachLoRA(lora, 1); err != nil {
			t.Fatal(err)
		}
	}
	images, err := backbone.Generate(t.Context(), p, backbone.Request{
		Wording: backbone.Wording{Prompts: []string{"a chef"}, GuidanceScale: 3, Width: 32, Height: 32}, NumSteps: 3, Seeds: []uint64{1},
	})
	if err != nil {
		t.Fatal(err)
	}
	p.Close()
	if now := torch.Live(); lora == "" && now != before {
		t.Errorf("%d tensors are alive after Close, %d before", now, before)
	}
	return images[0].Pix
}

// addRankOne adds up times down to a layer's weights in a folder, and returns it as an update.
func addRankOne(t *testing.T, r flowtest.Reference, folder, part, layer string) (update weights.LoRAModule) {
	t.Helper()
	path := filepath.Join(folder, part, r.Parts[part].File)
	file, err := weights.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	var entries []weights.Entry
	for _, tensor := range file.Tensors {
		values, err := tensor.Float32s()
		if err != nil {
			t.Fatal(err)
		}
		if tensor.Key == layer+".weight" {
			rows, columns := tensor.Shape[0], tensor.Shape[1]
			torchtest.Run(t, func() {
				up, down := nntest.Uniform(layer+".up", rows, 1), nntest.Uniform(layer+".down", 1, columns)
				update = weights.LoRAModule{Component: part, Path: layer, Alpha: 1, Up: floats(up.Doubles(), rows, 1), Down: floats(down.Doubles(), 1, columns)}
				for i, v := range up.MatMul(down).Doubles() {
					values[i] += float32(v)
				}
			})
		}
		tensor.Name = tensor.Key
		entry := weights.Entry{Name: tensor.Key, DType: weights.F32, Shape: tensor.Shape, Data: weights.FromBytes(floats(values, tensor.Shape...).Bytes)}
		entries = append(entries, entry)
	}
	if update.Path == "" {
		t.Fatalf("%s: no %s", path, layer)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	if err := weights.Write(path, nil, entries); err != nil {
		t.Fatal(err)
	}
	return update
}

func floats[T float32 | float64](values []T, shape ...int64) weights.Tensor {
	var bytes []byte
	for _, v := range values {
		bytes = binary.LittleEndian.AppendUint32(bytes, math.Float32bits(float32(v)))
	}
	return weights.Tensor{DType: weights.F32, Shape: shape, Bytes: bytes}
}

// A LoRA file that updates the CLIPs of an SD 3, too, draws what a model with merged weights draws, though prompts were encoded
// before; one that updates a T5 is refused by name.
func TestLoRAOnTextEncoders(t *testing.T) {
	torchtest.Need(t)
	r := read(t).Models["sd35"]
	folder, merged := r.WriteFolder(t), r.WriteFolder(t)
	layers := map[string]string{
		"text_encoder":   "text_model.encoder.layers.0.self_attn.q_proj",
		"text_encoder_2": "text_model.encoder.layers.0.mlp.fc1",
		"transformer":    "transformer_blocks.0.attn.to_q",
	}
	var modules []weights.LoRAModule
	for part, layer := range layers {
		modules = append(modules, addRankOne(t, r, merged, part, layer))
	}
	base, want := drawWithLoRA(t, folder, ""), drawWithLoRA(t, merged, "")
	for _, dialect := range []weights.Dialect{weights.PEFT, weights.Kohya} {
		file := filepath.Join(t.TempDir(), string(dialect)+".safetensors")
		if err := weights.WriteLoRA(file, dialect, modules, nil); err != nil {
			t.Fatal(err)
		}
		got := drawWithLoRA(t, folder, file)
		if d := farthest(got, want); d > 1 {
			t.Errorf("%s: off by %d of 255 from merged weights, which change the image by %d", dialect, d, farthest(base, want))
		}
		if d := farthest(base, got); d < 8 {
			t.Errorf("%s changes the image by %d of 255, too little to tell", dialect, d)
		}
	}
	file := filepath.Join(t.TempDir(), "t5.safetensors")
	modules[0].Component, modules[0].Path = t5Part, "encoder.block.0.layer.0.SelfAttention.q"
	if err := weights.WriteLoRA(file, weights.PEFT, modules[:1], nil); err != nil {
		t.Fatal(err)
	}
	p, err := Load(folder, backbone.LoadOptions{Device: torch.CPU})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if _, err := p.AttachLoRA(file, 1); err == nil || !strings.Contains(err.Error(), "text_encoder_3") {
		t.Errorf("on a T5: %v", err)
	}
}

func farthest(a, b []uint8) (most int) {
	for i := range a {
		most = max(most, int(a[i])-int(b[i]), int(b[i])-int(a[i]))
	}
	return most
}
