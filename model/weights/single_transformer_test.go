package weights

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"
)

// tinyTransformer are the tensors of a reference's transformer, each number its place in the file.
func tinyTransformer(t *testing.T, name string) []Tensor {
	t.Helper()
	text, err := os.ReadFile("../flow/testdata/ref/pipelines.json")
	if err != nil {
		t.Fatal(err)
	}
	var reference struct {
		Models map[string]struct {
			Parts map[string]struct{ Shapes map[string][]int64 }
		}
	}
	if err := json.Unmarshal(text, &reference); err != nil {
		t.Fatal(err)
	}
	var all []Tensor
	shapes := reference.Models[name].Parts["transformer"].Shapes
	for _, key := range sortedKeys(shapes) {
		values := make([]float32, product(shapes[key]))
		for i := range values {
			values[i] = float32(len(all)*100_000 + i)
		}
		one := float32Tensor(shapes[key], values)
		one.Name, one.Key = key, key
		all = append(all, one)
	}
	return all
}

// original writes tensors as the transformer's own program does: other names, fused projections, and shift before
// scale in the last layers.
func original(t *testing.T, prefix string, tensors []Tensor) *File {
	t.Helper()
	whole := map[string][3]Tensor{}
	f := &File{Path: "x.safetensors"}
	add := func(key string, one Tensor) {
		one.Name, one.Key = prefix+key, prefix+key
		f.Tensors = append(f.Tensors, one)
	}
	zImage := strings.NewReplacer("all_x_embedder.2-1", "x_embedder", "all_final_layer.2-1", "final_layer",
		"attention.to_out.0", "attention.out", "attention.norm_q", "attention.q_norm", "attention.norm_k", "attention.k_norm")
	for _, one := range tensors {
		module, ending := one.Name, ""
		if i := strings.LastIndexByte(module, '.'); slices.Contains([]string{".weight", ".bias"}, module[max(i, 0):]) {
			module, ending = module[:i], module[i:]
		}
		name, third := originalName(module)
		if i := slices.IndexFunc(zImageFused.thirds[:], func(part string) bool { return strings.HasSuffix(module, part) }); i >= 0 {
			name, third = strings.TrimSuffix(module, zImageFused.thirds[i])+zImageFused.whole, i
		}
		if third >= 0 {
			parts := whole[name+ending]
			parts[third] = one
			whole[name+ending] = parts
			continue
		}
		if module == "norm_out.linear" || module == "transformer_blocks.1.norm1_context.linear" { // the last of two blocks
			half := len(one.Bytes) / 2
			one.Bytes = slices.Concat(one.Bytes[half:], one.Bytes[:half])
		}
		add(zImage.Replace(name)+ending, one)
	}
	for key, parts := range whole {
		all := parts[0]
		all.Shape = append([]int64{3 * all.Shape[0]}, all.Shape[1:]...)
		all.Bytes = slices.Concat(parts[0].Bytes, parts[1].Bytes, parts[2].Bytes)
		add(key, all)
	}
	return f
}

// A single file of any layout comes apart into what the folder has, bit for bit.
func TestSplitTransformer(t *testing.T) {
	for name, kind := range map[string]Kind{"sd3": SD3, "sd35": SD3, "zimage": ZImage} {
		tensors := tinyTransformer(t, name)
		for layout, f := range map[string]*File{
			"original": original(t, "model.diffusion_model.", tensors), "bare": original(t, "", tensors), "diffusers": {Path: "x", Tensors: tensors},
		} {
			split, err := SplitTransformer(f)
			if err != nil || split.Kind != kind || len(split.Unknown) > 0 {
				t.Fatalf("%s, %s: %v of %v, without a place: %v", name, layout, err, split.Kind, split.Unknown)
			}
			got := map[string]Tensor{}
			for _, one := range split.Parts["transformer"] {
				got[one.Name] = one
			}
			if len(got) != len(tensors) {
				t.Errorf("%s, %s: %d tensors, want %d", name, layout, len(got), len(tensors))
			}
			for _, want := range tensors {
				if !sameValues(t, got[want.Name], want) {
					t.Errorf("%s, %s: %s %v differs from the folder's %v", name, layout, want.Name, got[want.Name].Shape, want.Shape)
				}
			}
		}
	}
	if _, err := SplitTransformer(&File{Path: "x", Tensors: []Tensor{floatTensor("double_blocks.0.img_attn.qkv.weight", []int64{3, 1}, 0)}}); err == nil ||
		!strings.Contains(err.Error(), "no transformer of Stable Diffusion 3 or Z-Image in it") {
		t.Errorf("a FLUX: %v", err)
	}
}

func sameValues(t *testing.T, a, b Tensor) bool {
	t.Helper()
	x, err := a.Float32s()
	if err != nil {
		return false
	}
	y, err := b.Float32s()
	if err != nil {
		t.Fatal(err)
	}
	return slices.Equal(x, y) && slices.Equal(a.Shape, b.Shape)
}
