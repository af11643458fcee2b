package clip

import (
	"encoding/binary"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"focusnfix/model/nn"
	"focusnfix/model/nn/nntest"
	"focusnfix/model/torch"
	"focusnfix/model/torch/torchtest"
	"focusnfix/model/weights"
)

// tolerance is the project's for layers, relative to the largest element: three layers of float32.
const tolerance = 1e-5

// modelReference is one folder of testdata/ref: a checkpoint of transformers and what it computes.
type modelReference struct {
	*testing.T
	dir    string
	golden *nntest.Golden
}

func openReference(t *testing.T, name string) modelReference {
	t.Helper()
	dir := filepath.Join("testdata", "ref", name)
	return modelReference{t, dir, nntest.OpenGolden(t, filepath.Join(dir, "golden.safetensors"))}
}

func (r modelReference) config() string { return filepath.Join(r.dir, "config.json") }

// build makes a network of the folder's checkpoint and checks that every tensor was used.
func (r modelReference) build(dtype torch.DType, network func(nn.Params)) {
	r.Helper()
	file, err := weights.Open(filepath.Join(r.dir, "model.safetensors"))
	if err != nil {
		r.Fatal(err)
	}
	r.Cleanup(func() { _ = file.Close() })
	source := weights.NewSource(file.Path, file.Tensors)
	p := nn.FromWeights(source, dtype, torch.CPU)
	r.Cleanup(p.Drop)
	torchtest.Run(r, func() { network(p) })
	if err := source.Done(); err != nil {
		r.Fatal(err)
	}
}

func (r modelReference) tensor(name string) torch.Tensor { return r.golden.Tensor(r, name) }

func (r modelReference) compare(name string, got torch.Tensor, tolerance float64) {
	r.Helper()
	r.golden.Check(r, name, got, tolerance)
}

// ids are whole numbers, which no network has as weights.
func (r modelReference) ids() [][]int64 {
	r.Helper()
	file, err := weights.Open(filepath.Join(r.dir, "golden.safetensors"))
	if err != nil {
		r.Fatal(err)
	}
	defer file.Close()
	ids, ok := file.Tensor("ids")
	if !ok || ids.DType != weights.I64 {
		r.Fatal("golden.safetensors: no ids")
	}
	rows := make([][]int64, ids.Shape[0])
	for i := range ids.Shape[0] * ids.Shape[1] {
		row := i / ids.Shape[1]
		rows[row] = append(rows[row], int64(binary.LittleEndian.Uint64(ids.Bytes[8*i:])))
	}
	return rows
}

func TestTextEncoders(t *testing.T) {
	for _, name := range []string{"text_l", "text_h", "text_bigg"} {
		t.Run(name, func(t *testing.T) {
			r := openReference(t, name)
			cfg, err := LoadTextConfig(r.config())
			if err != nil {
				t.Fatal(err)
			}
			var text *Text
			r.build(torch.Float32, func(p nn.Params) { text = NewText(cfg, p) })
			torchtest.Run(t, func() {
				out := text.Forward(r.ids())
				for i, state := range out.States {
					r.compare("hidden_states."+strconv.Itoa(i), state, tolerance)
				}
				r.compare("last_hidden_state", out.Last, tolerance)
				r.compare("pooled", out.Pooled, tolerance)
				r.compare("clip_skip_1", text.FinalNorm(out.States[len(out.States)-2]), tolerance)
			})
		})
	}
}

// In bfloat16 (8 bits of precision) norms and softmax stay float32: three layers keep within 5 %.
func TestTextEncoderBFloat16(t *testing.T) {
	r := openReference(t, "text_h")
	cfg, err := LoadTextConfig(r.config())
	if err != nil {
		t.Fatal(err)
	}
	var text *Text
	r.build(torch.BFloat16, func(p nn.Params) { text = NewText(cfg, p) })
	torchtest.Run(t, func() { r.compare("last_hidden_state", text.Forward(r.ids()).Last, 0.05) })
}

func TestVisionEncoders(t *testing.T) {
	for _, name := range []string{"vision_l", "vision_h"} {
		t.Run(name, func(t *testing.T) {
			r := openReference(t, name)
			cfg, err := LoadVisionConfig(r.config())
			if err != nil {
				t.Fatal(err)
			}
			var vision *Vision
			r.build(torch.Float32, func(p nn.Params) { vision = NewVision(cfg, p) })
			torchtest.Run(t, func() {
				out := vision.Forward(r.tensor("pixels"))
				last := out.States[len(out.States)-1]
				r.compare("last_hidden_state", last, tolerance)
				r.compare("pooled", out.Pooled, tolerance)
				r.compare("image_embeds", out.Embeds, tolerance)
				r.compare("image_embeds", vision.Project(last).Select(1, 0), tolerance)
			})
		})
	}
}

func TestWholeCLIP(t *testing.T) {
	r := openReference(t, "clip_l")
	cfg, err := LoadConfig(r.config())
	if err != nil {
		t.Fatal(err)
	}
	var text *Text
	var vision *Vision
	var scale torch.Tensor
	r.build(torch.Float32, func(p nn.Params) {
		text, vision = NewText(cfg.Text, p), NewVision(cfg.Vision, p)
		scale = p.Param("logit_scale", nn.Ones)
	})
	torchtest.Run(t, func() {
		unit := func(x torch.Tensor) torch.Tensor { return x.Div(x.Mul(x).SumKeep(-1).Sqrt()) }
		image, words := unit(vision.Forward(r.tensor("pixels")).Embeds), unit(text.Forward(r.ids()).Pooled)
		r.compare("image_embeds", image, tolerance)
		r.compare("text_embeds", words, tolerance)
		r.compare("logits_per_image", image.MatMul(words.Transpose(0, 1)).Mul(scale.Exp()), tolerance)
	})
}

func TestTextForwardRefuses(t *testing.T) {
	torchtest.Need(t)
	cfg := TextConfig{
		VocabSize: 10, HiddenSize: 4, IntermediateSize: 8, NumHiddenLayers: 1, NumAttentionHeads: 1,
		MaxPositionEmbeddings: 3, HiddenAct: "gelu", LayerNormEps: 1e-5, EOSTokenID: 9,
	}
	p, err := nn.Random(1, torch.Float32, torch.CPU)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Drop()
	var text *Text
	torchtest.Run(t, func() { text = NewText(cfg, p) })
	for want, ids := range map[string][][]int64{
		"no tokens":                    {},
		"4 tokens, want at most 3":     {{1, 2, 3, 9}},
		"prompt 1 has 1 tokens":        {{1, 9}, {9}},
		"token id 10, want 0 to 9":     {{1, 10}},
		"belongs to another model":     {{-1, 9}},
		"prompt 1 has 3 tokens, want ": {{1, 9}, {1, 2, 9}},
	} {
		err := torch.Run(func() { text.Forward(ids) })
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: error %v, want %q", ids, err, want)
		}
	}
}
