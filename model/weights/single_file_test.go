package weights

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// layout is one kind of model in testdata/ref/single_file.json.gz.
type layout struct {
	Single map[string][]int64 // shape by key of the original layout
	Parts  map[string]map[string]struct {
		From  string // the key it comes from
		Shape []int64
	}
}

func readLayouts(t testing.TB) map[Kind]layout {
	t.Helper()
	packed, err := os.Open("testdata/ref/single_file.json.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer packed.Close()
	unpacked, err := gzip.NewReader(packed)
	if err != nil {
		t.Fatal(err)
	}
	var all struct{ Kinds map[Kind]layout }
	if err := json.NewDecoder(unpacked).Decode(&all); err != nil {
		t.Fatal(err)
	}
	if len(all.Kinds) != 3 {
		t.Fatalf("%d kinds, want 3", len(all.Kinds))
	}
	return all.Kinds
}

// file makes a File of the original layout without bytes.
func (l layout) file() *File {
	f := &File{Path: "model.safetensors"}
	for _, key := range sortedKeys(l.Single) {
		f.Tensors = append(f.Tensors, Tensor{Name: key, Key: key, DType: F16, Shape: l.Single[key], Path: f.Path})
	}
	return f
}

func TestSplitCheckpointMatchesDiffusers(t *testing.T) {
	for kind, ref := range readLayouts(t) {
		f := ref.file()
		for _, key := range []string{"model_ema.decay", "betas", "alphas_cumprod_prev", "cond_stage_model.logit_scale"} {
			f.Tensors = append(f.Tensors, Tensor{Name: key, Key: key, DType: F32})
		}
		f.Tensors = append(f.Tensors, Tensor{Name: "model.diffusion_model.strange", Key: "model.diffusion_model.strange"})
		got, err := SplitCheckpoint(f)
		if err != nil {
			t.Fatal(err)
		}
		if got.Kind != kind || len(got.Parts) != len(ref.Parts) {
			t.Errorf("%s: kind %s, %d parts, want %d", kind, got.Kind, len(got.Parts), len(ref.Parts))
		}
		if !slices.Equal(got.Unknown, []string{"model.diffusion_model.strange"}) {
			t.Errorf("%s: unknown %q", kind, got.Unknown)
		}
		for part, want := range ref.Parts {
			found := map[string]bool{}
			for _, tensor := range got.Parts[part] {
				if tensor.Name == "text_model.embeddings.position_ids" {
					continue // diffusers drops it in the converter, our loaders on use
				}
				w, ok := want[tensor.Name]
				if !ok || found[tensor.Name] || tensor.Key != w.From || !slices.Equal(tensor.Shape, w.Shape) {
					t.Errorf("%s %s: %s from %s %v, want from %s %v", kind, part, tensor.Name, tensor.Key, tensor.Shape, w.From, w.Shape)
				}
				found[tensor.Name] = true
			}
			if len(found) != len(want) {
				t.Errorf("%s %s: %d tensors, want %d", kind, part, len(found), len(want))
			}
		}
	}
}

// Only what diffusers leaves out is missing after the way there and back.
func TestJoinCheckpointIsTheInverse(t *testing.T) {
	for kind, ref := range readLayouts(t) {
		split, err := SplitCheckpoint(ref.file())
		if err != nil {
			t.Fatal(err)
		}
		entries, err := JoinCheckpoint(kind, split.Parts)
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]bool{}
		for _, e := range entries {
			if want, ok := ref.Single[e.Name]; !ok || !slices.Equal(e.Shape, want) || got[e.Name] {
				t.Errorf("%s: %s %v, want %v", kind, e.Name, e.Shape, want)
			}
			got[e.Name] = true
		}
		for key := range ref.Single {
			dropped := strings.Contains(key, "logit_scale") ||
				kind == SD2 && (strings.Contains(key, ".resblocks.23.") || strings.HasSuffix(key, "model.text_projection"))
			if got[key] == dropped {
				t.Errorf("%s: %s: written %v, want %v", kind, key, got[key], !dropped)
			}
		}
	}
}

// splitReference takes the tiny text encoder apart that diffusers converted.
func splitReference(t *testing.T) (ref *File, second []Tensor) {
	t.Helper()
	ref = open(t, "testdata/ref/openclip.safetensors")
	c := &Checkpoint{Kind: SDXL}
	for _, tensor := range ref.Tensors {
		if key, ok := strings.CutPrefix(tensor.Name, "in."); ok {
			tensor.Name, tensor.Key = key, key
			_, as, err := c.place(tensor)
			if err != nil {
				t.Fatal(err)
			}
			second = append(second, as...)
		}
	}
	return ref, second
}

// The values of a fused projection and of the turned text_projection.
func TestOpenCLIPMatchesDiffusers(t *testing.T) {
	ref, second := splitReference(t)
	raw, err := os.ReadFile(ref.Path)
	if err != nil {
		t.Fatal(err)
	}
	for _, got := range second {
		want, ok := ref.Tensor("out." + got.Name)
		if !ok {
			t.Errorf("%s is not what diffusers makes", got.Name)
			continue
		}
		g, err1 := got.Float32s()
		w, err2 := want.Float32s()
		if err1 != nil || err2 != nil || !slices.Equal(g, w) || !slices.Equal(got.Shape, want.Shape) {
			t.Errorf("%s %v differs from diffusers' %v, %v, %v", got.Name, got.Shape, want.Shape, err1, err2)
		}
		if !bytes.Equal(raw[got.Offset:][:len(got.Bytes)], got.Bytes) {
			t.Errorf("%s: offset %d does not lead to its bytes", got.Name, got.Offset)
		}
	}
	if len(second) != 5+16*2 {
		t.Errorf("%d tensors compared, want 37", len(second))
	}
}

func TestOpenCLIPGoesBack(t *testing.T) {
	ref, second := splitReference(t)
	entries, err := JoinCheckpoint(SDXL, map[string][]Tensor{"text_encoder_2": second})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "back.safetensors")
	if err := Write(path, nil, entries); err != nil {
		t.Fatal(err)
	}
	for _, got := range open(t, path).Tensors {
		want, ok := ref.Tensor("in." + got.Name)
		if !ok || !bytes.Equal(got.Bytes, want.Bytes) || !slices.Equal(got.Shape, want.Shape) {
			t.Errorf("%s %v differs from what it was, %v", got.Name, got.Shape, want.Shape)
		}
	}
	// A tensor that was never transposed turns too.
	plain, _ := ref.Tensor("out.text_projection.weight")
	plain.Name = "text_projection.weight"
	e, _ := plain.joinedOpenCLIP(nil)
	var turned bytes.Buffer
	original, _ := ref.Tensor("in.conditioner.embedders.1.model.text_projection")
	if err := e.Data(&turned); err != nil || !bytes.Equal(turned.Bytes(), original.Bytes) {
		t.Errorf("text_projection was not turned, %v", err)
	}
}

func TestSplitCheckpointRefuses(t *testing.T) {
	toK := "model.diffusion_model.input_blocks.4.1.transformer_blocks.0.attn2.to_k.weight"
	inProj := "conditioner.embedders.1.model.transformer.resblocks.0.attn.in_proj_weight"
	for _, c := range []struct {
		name    string
		tensors []Tensor
		want    string
	}{
		{"nothing", nil, "m: not a checkpoint of Stable Diffusion 1, 2 or XL base"},
		{"refiner", []Tensor{{Key: toK, Shape: []int64{1, 1280}}}, "m: not a checkpoint of Stable Diffusion 1, 2 or XL base"},
		{
			"fused",
			[]Tensor{{Key: toK, Shape: []int64{1, 2048}}, {Key: inProj, DType: F16, Shape: []int64{7, 2}}},
			"m: " + inProj + ": F16 [7,2] cannot be cut into query, key and value",
		},
	} {
		if _, err := SplitCheckpoint(&File{Path: "m", Tensors: c.tensors}); err == nil || err.Error() != c.want {
			t.Errorf("%s: %v, want %s", c.name, err, c.want)
		}
	}
	_, err := JoinCheckpoint(SD1, map[string][]Tensor{"unet": {{Name: "strange.weight"}}})
	if err == nil || err.Error() != "unet: strange.weight: has no place in a single file of SD 1" {
		t.Errorf("%v", err)
	}
}

func FuzzCheckpointNames(f *testing.F) {
	f.Add("conditioner.embedders.1.model.transformer.resblocks.0.attn.in_proj_weight", int64(6))
	f.Add("model.diffusion_model.output_blocks.2.1.conv.weight", int64(3))
	f.Add("first_stage_model.decoder.up.3.block.0.nin_shortcut.weight", int64(1))
	f.Fuzz(func(t *testing.T, key string, rows int64) {
		rows = max(0, rows%100)
		tensor := Tensor{Name: key, Key: key, DType: U8, Shape: []int64{rows, 2}, Bytes: make([]byte, 2*rows)}
		for _, kind := range []Kind{SD1, SD2, SDXL} {
			c := &Checkpoint{Kind: kind}
			part, as, err := c.place(tensor)
			if err != nil || len(as) == 0 || strings.HasPrefix(part, "text") {
				continue
			}
			entries, err := JoinCheckpoint(kind, map[string][]Tensor{part: as})
			if err != nil {
				t.Errorf("%s became %s, which has no way back: %v", key, as[0].Name, err)
			}
			if again, _, err := c.place(Tensor{Key: entries[0].Name, DType: U8, Shape: tensor.Shape}); err != nil || again != part {
				t.Errorf("%s became %s and then %s of %q, %v", key, as[0].Name, entries[0].Name, again, err)
			}
		}
	})
}

// A VAE has diffusers' names and shapes whichever file it comes from.
func TestSplitVAE(t *testing.T) {
	ref := readLayouts(t)[SD1]
	whole, bare, ours := ref.file(), &File{Path: "bare"}, &File{Path: "ours"}
	for _, tensor := range whole.Tensors {
		if rest, ok := strings.CutPrefix(tensor.Key, vaePrefix); ok {
			tensor.Key = rest
			bare.Tensors = append(bare.Tensors, tensor)
		}
	}
	bare.Tensors = append(bare.Tensors, Tensor{Key: "loss.discriminator.main.0.bias"}, Tensor{Key: "model_ema.decay"})
	for name, want := range ref.Parts["vae"] {
		ours.Tensors = append(ours.Tensors, Tensor{Key: strings.Replace(name, ".to_q.", ".query.", 1), Shape: want.Shape})
	}
	for name, f := range map[string]*File{"checkpoint": whole, "of its own": bare, "of diffusers": ours} {
		got, err := SplitVAE(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, tensor := range got {
			if want, ok := ref.Parts["vae"][tensor.Name]; !ok || !slices.Equal(tensor.Shape, want.Shape) {
				t.Errorf("%s: %s %v, want %v", name, tensor.Name, tensor.Shape, want.Shape)
			}
		}
		if len(got) != len(ref.Parts["vae"]) {
			t.Errorf("%s: %d tensors, want %d", name, len(got), len(ref.Parts["vae"]))
		}
	}
	if _, err := SplitVAE(&File{Path: "x", Tensors: []Tensor{{Key: "unet.weight"}}}); err == nil || !strings.Contains(err.Error(), "x: no decoder.conv_in.weight") {
		t.Errorf("error %v", err)
	}
}

// Both encoders of a whole CLIP in OpenCLIP's layout: names, the cut of the fused projection and the
// turned ones. model/reward compares what such a file computes with OpenCLIP.
func TestFromOpenCLIP(t *testing.T) {
	f := &File{Path: "hps.safetensors"}
	add := func(key string, shape ...int64) {
		n := int64(1)
		for _, s := range shape {
			n *= s
		}
		f.Tensors = append(f.Tensors, Tensor{Name: key, Key: key, DType: U8, Shape: shape, Bytes: make([]byte, n)})
	}
	add("logit_scale")
	add("text_projection", 4, 6)
	add("token_embedding.weight", 9, 4)
	add("visual.class_embedding", 4)
	add("visual.proj", 4, 6)
	add("visual.transformer.resblocks.3.attn.in_proj_weight", 12, 4)
	add("transformer.resblocks.0.ln_1.bias", 4)
	got, err := FromOpenCLIP(f)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, tensor := range got {
		names = append(names, tensor.Name+" "+shapeString(tensor.Shape))
	}
	want := []string{
		"logit_scale []",
		"text_projection.weight [6,4]",
		"text_model.embeddings.token_embedding.weight [9,4]",
		"vision_model.embeddings.class_embedding [4]",
		"visual_projection.weight [6,4]",
		"vision_model.encoder.layers.3.self_attn.q_proj.weight [4,4]",
		"vision_model.encoder.layers.3.self_attn.k_proj.weight [4,4]",
		"vision_model.encoder.layers.3.self_attn.v_proj.weight [4,4]",
		"text_model.encoder.layers.0.layer_norm1.bias [4]",
	}
	if !slices.Equal(names, want) {
		t.Errorf("got  %q\nwant %q", names, want)
	}
	add("visual.transformer.resblocks.0.attn.in_proj_bias", 7)
	if _, err := FromOpenCLIP(f); err == nil || !strings.Contains(err.Error(), "cannot be cut into query, key and value") {
		t.Errorf("error %v", err)
	}
}
