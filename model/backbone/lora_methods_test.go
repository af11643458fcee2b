package backbone

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"focusnfix/model/nn"
	"focusnfix/model/nn/nntest"
	"focusnfix/model/torch"
	"focusnfix/model/torch/torchtest"
	"focusnfix/model/weights"
)

const methodsReference = "testdata/ref/lora_methods.safetensors"

// methodCase is one adapter of the reference with what its library makes of the weights.
func methodCase(t *testing.T, all *weights.File, name string, configs map[string]json.RawMessage) (adapter *weights.File, want map[string]weights.Tensor) {
	t.Helper()
	dir := t.TempDir()
	if text, ok := configs[name]; ok {
		if err := os.WriteFile(filepath.Join(dir, "adapter_config.json"), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	adapter, want = &weights.File{Path: filepath.Join(dir, "adapter_model.safetensors")}, map[string]weights.Tensor{}
	for _, tensor := range all.Tensors {
		key, ok := strings.CutPrefix(tensor.Name, name+"/")
		if !ok {
			continue
		}
		if layer, ok := strings.CutPrefix(key, "want/"); ok {
			want[layer] = tensor
			continue
		}
		tensor.Name, tensor.Key = key, key
		adapter.Tensors = append(adapter.Tensors, tensor)
	}
	if len(adapter.Tensors) == 0 || len(want) == 0 {
		t.Fatalf("%s: not in the reference", name)
	}
	return adapter, want
}

// Every method of LyCORIS and PEFT that is read makes of a linear layer and two convolutions what its own
// library makes of them: outputs of size 1 within float32's rounding of sums of some 36 products.
func TestLoRAMethods(t *testing.T) {
	torchtest.Need(t)
	all, err := weights.Open(methodsReference)
	if err != nil {
		t.Fatal(err)
	}
	defer all.Close()
	var configs map[string]json.RawMessage
	if err := json.Unmarshal([]byte(all.Metadata["configs"]), &configs); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{
		"locon", "locon tucker", "locon dora", "locon dora out", "loha", "loha tucker", "loha dora", "lokr", "lokr both",
		"lokr tucker", "lokr whole", "ia3 in", "ia3 out", "full", "peft lora", "peft dora", "peft bias", "peft loha",
		"peft lokr", "peft lokr whole", "peft ia3",
	} {
		t.Run(name, func(t *testing.T) {
			file, want := methodCase(t, all, name, configs)
			checkMethod(t, all, file, want)
		})
	}
}

func checkMethod(t *testing.T, all, file *weights.File, want map[string]weights.Tensor) {
	t.Helper()
	lora, err := weights.ReadLoRA(file)
	if err != nil {
		t.Fatal(err)
	}
	var base []weights.Tensor
	for _, tensor := range all.Tensors {
		if name, ok := strings.CutPrefix(tensor.Name, "base/"); ok {
			tensor.Name = name
			base = append(base, tensor)
		}
	}
	params := nn.FromWeights(weights.NewSource("base", base), torch.Float32, torch.CPU)
	defer params.Drop()
	var lin *nn.Linear
	var conv, point *nn.Conv2d
	torchtest.Run(t, func() {
		lin = nn.NewLinear(12, 8, params.Sub("lin"))
		conv = nn.NewConv2d(4, 6, 3, torch.Conv{Padding: 1}, params.Sub("conv"))
		point = nn.NewConv2d(4, 6, 1, torch.Conv{}, params.Sub("point"))
	})
	parts := map[string]nn.Params{"unet": params}
	shapes := weightShapes(parts)
	if err := lora.Check(func(part, layer string) ([]int64, bool) { s, ok := shapes[part+"."+layer]; return s, ok }); err != nil {
		t.Fatal(err)
	}
	adapters, err := attach(parts, lora, 1, shapes)
	if err != nil {
		t.Fatal(err)
	}
	torchtest.Run(t, func() {
		value := func(key string) torch.Tensor {
			tensor, ok := want[key]
			if !ok {
				return params.Param(key, nil, map[string]int64{"lin.bias": 8, "conv.bias": 6, "point.bias": 6}[key])
			}
			values, err := tensor.Float32s()
			if err != nil {
				t.Fatal(err)
			}
			return torch.From(values, tensor.Shape...)
		}
		x, image := nntest.Uniform("x", 5, 12), nntest.Uniform("image", 2, 4, 7, 5)
		for name, pair := range map[string][2]func() torch.Tensor{
			"lin": {func() torch.Tensor { return lin.Forward(x) }, func() torch.Tensor { return x.Linear(value("lin.weight"), value("lin.bias")) }},
			"conv": {func() torch.Tensor { return conv.Forward(image) }, func() torch.Tensor {
				return image.Conv2d(value("conv.weight"), value("conv.bias"), torch.Conv{Padding: 1})
			}},
			"point": {func() torch.Tensor { return point.Forward(image) }, func() torch.Tensor { return image.Conv2d(value("point.weight"), value("point.bias"), torch.Conv{}) }},
		} {
			if _, ok := want[name+".weight"]; !ok {
				continue
			}
			got, right := pair[0](), pair[1]()
			if d := got.Sub(right).Abs().Max().Item(); !(d < 1e-5) {
				t.Errorf("%s: off by %g", name, d)
			}
		}
		adapters[0].Remove()
		if d := lin.Forward(x).Sub(x.Linear(params.Param("lin.weight", nil, 8, 12), params.Param("lin.bias", nil, 8))).Abs().Max().Item(); d != 0 {
			t.Errorf("without the adapter off by %g", d)
		}
	})
}
