package weights

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"encoding/json"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// loraReference is one file in testdata/ref/lora.json.gz.
type loraReference struct {
	Shapes map[string][]int64
	Read   map[string]string // "unet.MODULE.lora_A.weight" by key
}

func readLoRAReference(t testing.TB) map[string]loraReference {
	t.Helper()
	packed, err := os.Open("testdata/ref/lora.json.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer packed.Close()
	unpacked, err := gzip.NewReader(packed)
	if err != nil {
		t.Fatal(err)
	}
	var all struct{ Files map[string]loraReference }
	if err := json.NewDecoder(unpacked).Decode(&all); err != nil {
		t.Fatal(err)
	}
	if len(all.Files) != 7 {
		t.Fatalf("%d files, want 7", len(all.Files))
	}
	return all.Files
}

func floatTensor(key string, shape []int64, value float32) Tensor {
	count := int64(1)
	for _, n := range shape {
		count *= n
	}
	one := binary.LittleEndian.AppendUint32(nil, math.Float32bits(value))
	return Tensor{Name: key, Key: key, DType: F32, Shape: shape, Path: "x", Bytes: bytes.Repeat(one, int(count))}
}

// file makes a File of the reference; every alpha is 3.
func (r loraReference) file() *File {
	f := &File{Path: "x"}
	for _, key := range sortedKeys(r.Shapes) {
		f.Tensors = append(f.Tensors, floatTensor(key, r.Shapes[key], 3))
	}
	return f
}

func TestReadLoRAMatchesDiffusers(t *testing.T) {
	for name, ref := range readLoRAReference(t) {
		got, err := ReadLoRA(ref.file())
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if want := strings.Fields(name)[0]; !strings.HasPrefix(string(got.Dialect), want) {
			t.Errorf("%s: dialect %s", name, got.Dialect)
		}
		read := map[string]string{}
		for _, m := range got.Modules {
			read[m.Down.Key], read[m.Up.Key] = m.Name()+".lora_A.weight", m.Name()+".lora_B.weight"
			if want := map[bool]float64{true: 3, false: float64(m.Rank())}[got.Dialect == Kohya]; m.Alpha != want {
				t.Errorf("%s: %s: alpha %v, want %v", name, m.Name(), m.Alpha, want)
			}
		}
		for key, want := range ref.Read {
			want = strings.Replace(want, "text_encoder.encoder.", "text_encoder.text_model.encoder.", 1)
			if read[key] != want {
				t.Errorf("%s: %s is %q, want %q", name, key, read[key], want)
			}
		}
		if len(read) != len(ref.Read) {
			t.Errorf("%s: %d matrices, want %d", name, len(read), len(ref.Read))
		}
	}
}

// writeReference writes the modules of the PEFT file, with alphas 1, 2 and 3, in a
// dialect and opens the result.
func writeReference(t *testing.T, ref loraReference, dialect Dialect) (*LoRA, *File) {
	t.Helper()
	lora, err := ReadLoRA(ref.file())
	if err != nil {
		t.Fatal(err)
	}
	for i := range lora.Modules {
		lora.Modules[i].Alpha = float64(1 + i%3)
	}
	path := filepath.Join(t.TempDir(), "lora.safetensors")
	if err := WriteLoRA(path, dialect, lora.Modules, map[string]string{"run": "r1"}); err != nil {
		t.Fatal(err)
	}
	return lora, open(t, path)
}

func TestWriteLoRANamesAsDiffusersDoes(t *testing.T) {
	refs := readLoRAReference(t)
	for _, dialect := range []Dialect{PEFT, Diffusers, Kohya} {
		_, f := writeReference(t, refs["peft"], dialect)
		for _, tensor := range f.Tensors {
			// diffusers writes lora_te1_ even for models with one text encoder.
			key := strings.Replace(tensor.Name, "lora_te_", "lora_te1_", 1)
			want, ok := refs[string(dialect)].Shapes[key]
			if !ok || !slices.Equal(tensor.Shape, want) {
				t.Errorf("%s: %s %v, want %v", dialect, tensor.Name, tensor.Shape, want)
			}
		}
		if len(f.Tensors) != len(refs[string(dialect)].Shapes) {
			t.Errorf("%s: %d tensors, want %d", dialect, len(f.Tensors), len(refs[string(dialect)].Shapes))
		}
	}
}

func TestWriteLoRAIsReadBack(t *testing.T) {
	refs := readLoRAReference(t)
	for _, dialect := range []Dialect{PEFT, Diffusers, Kohya} {
		lora, f := writeReference(t, refs["peft"], dialect)
		again, err := ReadLoRA(f)
		if err != nil {
			t.Fatal(err)
		}
		if again.Dialect != dialect || f.Metadata["run"] != "r1" {
			t.Errorf("%s: dialect %s, metadata %v", dialect, again.Dialect, f.Metadata)
		}
		for i, m := range again.Modules {
			if want := lora.Modules[i]; m.Name() != want.Name() || m.Alpha != want.Alpha || !bytes.Equal(m.Up.Bytes, want.Up.Bytes) {
				t.Errorf("%s: read back %s alpha %v, want %s %v", dialect, m.Name(), m.Alpha, want.Name(), want.Alpha)
			}
		}
		if version := f.Metadata["ss_base_model_version"]; dialect == Kohya && version != "sd_v1" {
			t.Errorf("ss_base_model_version %q, want sd_v1", version)
		}
	}
}

// The file was saved by diffusers with lora_alpha 2 and alpha_pattern attn2.to_v: 8.
func TestReadLoRATakesAlphaFromTheHeader(t *testing.T) {
	lora, err := ReadLoRA(open(t, "testdata/ref/peft.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, m := range lora.Modules {
		got[m.Path[strings.LastIndex(m.Path, "attn2.")+6:]] = m.Alpha
	}
	if want := map[string]float64{"to_k": 2, "to_q": 2, "to_v": 8, "to_out.0": 2}; !maps.Equal(got, want) {
		t.Errorf("alphas %v, want %v", got, want)
	}
}

func TestAdapterConfig(t *testing.T) {
	m := &LoRAModule{Component: "unet", Path: "a.to_v", Method: PlainLoRA, Down: floatTensor("", []int64{4, 1}, 0)}
	for text, want := range map[string]float64{
		`{}`:                                 0,
		`{"r":4}`:                            0,
		`{"lora_alpha":2}`:                   2,
		`{"unet.lora_alpha":6}`:              6,
		`{"text_encoder.lora_alpha":6}`:      0,
		`{"lora_alpha":2,"use_rslora":true}`: 4, // 2 · √4
		`{"lora_alpha":2,"alpha_pattern":{"^a.to_v":9}}`: 9,
		`{"lora_alpha":2,"alpha_pattern":{"o_v":9}}`:     2,
		`{"lora_alpha":2,"lora_dropout":NaN}`:            2,
	} {
		config, err := readAdapterConfig([]byte(text))
		if alpha, _ := config.alpha(m); err != nil || alpha != want {
			t.Errorf("%s: alpha %v, %v, want %v", text, alpha, err, want)
		}
	}
	for text, want := range map[string]string{
		`{`:                                       "broken JSON",
		`{"alpha_pattern":{"(":1}}`:               "alpha_pattern",
		`{"alpha_pattern":{"a":"1"}}`:             "want a number above 0",
		`{"lora_alpha":0}`:                        "want a number above 0",
		`{"unet.bias":"all"}`:                     "unet.bias: all: trained biases are not read",
		`{"fan_in_fan_out":true}`:                 "weights stored as [in,out]: not supported",
		`{"modules_to_save":["a"]}`:               "whole modules saved beside the updates: not supported",
		`{"init_lora_weights":"pissa_niter_4"}`:   "changes the base model too",
		`{"peft_type":"VERA"}`:                    "VERA is not supported, want LORA, LOHA, LOKR or IA3",
		`{"tomorrow":1}`:                          "tomorrow: unknown key of a newer PEFT",
		`{"tomorrow":null,"kasa_config":{"k":1}}`: "KaSA: not supported",
	} {
		if _, err := readAdapterConfig([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}

// Every key of the configurations of PEFT's methods is in one of the three lists, and none is in two.
// peft_keys.py beside the file walks their constructors.
func TestAdapterConfigKnowsEveryKey(t *testing.T) {
	text, err := os.ReadFile("testdata/ref/peft_keys.json")
	if err != nil {
		t.Fatal(err)
	}
	var reference struct {
		Version string
		Keys    map[string][]string
	}
	if err := json.Unmarshal(text, &reference); err != nil {
		t.Fatal(err)
	}
	if len(reference.Keys) != 4 {
		t.Fatalf("%d methods, want 4", len(reference.Keys))
	}
	for method, keys := range reference.Keys {
		for _, key := range keys {
			lists := 0
			for _, in := range []bool{slices.Contains(configUsed, key), configIrrelevant[key] != "", configRefused[key] != ""} {
				if in {
					lists++
				}
			}
			if lists != 1 {
				t.Errorf("%s: %s is in %d lists, want 1 (peft %s)", method, key, lists, reference.Version)
			}
		}
	}
}

// shapesOf is the model's side of Check.
func shapesOf(ref layout) func(component, path string) ([]int64, bool) {
	return func(component, path string) ([]int64, bool) {
		at, ok := ref.Parts[component][path+".weight"]
		return at.Shape, ok
	}
}

func TestCheckFindsALoRAForAnotherModel(t *testing.T) {
	models := readLayouts(t)
	file := &File{Path: "xl.safetensors"}
	for name, origin := range models[SDXL].Parts["unet"] {
		if module, ok := strings.CutSuffix(name, ".weight"); ok && strings.Contains(name, ".attn") {
			file.Tensors = append(
				file.Tensors,
				floatTensor("unet."+module+".lora_A.weight", []int64{1, origin.Shape[1]}, 0),
				floatTensor("unet."+module+".lora_B.weight", []int64{origin.Shape[0], 1}, 0))
		}
	}
	lora, err := ReadLoRA(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := lora.Check(shapesOf(models[SDXL])); err != nil {
		t.Error(err)
	}
	for _, kind := range []Kind{SD1, SD2} {
		err := lora.Check(shapesOf(models[kind]))
		if err == nil {
			t.Errorf("fits %s", kind)
			continue
		}
		for _, want := range []string{
			"xl.safetensors: ", " of 560 modules do not fit the model: unet.down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k ([640,1]·[1,2048] for [640,",
			"unet.down_blocks.1.attentions.0.transformer_blocks.1.attn1.to_k,", " more; it was made for SDXL",
		} {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v, want %s", kind, err, want)
			}
		}
	}
}

func TestLoRAFits(t *testing.T) {
	for _, c := range []struct {
		down, up, weight []int64
		want             bool
	}{
		{[]int64{4, 8}, []int64{6, 4}, []int64{6, 8}, true},
		{[]int64{4, 8}, []int64{6, 4}, []int64{6, 8, 1, 1}, true},
		{[]int64{4, 8, 1, 1}, []int64{6, 4, 1, 1}, []int64{6, 8}, true},
		{[]int64{4, 8, 3, 3}, []int64{6, 4, 1, 1}, []int64{6, 8, 3, 3}, true},
		{[]int64{4, 8, 3, 3}, []int64{6, 4, 1, 1}, []int64{6, 8}, false},
		{[]int64{4, 8}, []int64{6, 4}, []int64{6, 9}, false},
		{[]int64{4, 8}, []int64{6, 4}, []int64{7, 8}, false},
		{[]int64{4, 8}, []int64{6, 4}, nil, false},
	} {
		m := LoRAModule{Down: Tensor{Shape: c.down}, Up: Tensor{Shape: c.up}}
		if got := m.fits(c.weight); got != c.want {
			t.Errorf("%v·%v for %v: %v, want %v", c.up, c.down, c.weight, got, c.want)
		}
	}
}

func TestReadLoRAErrors(t *testing.T) {
	down, up := floatTensor("unet.a.lora_A.weight", []int64{4, 8}, 0), floatTensor("unet.a.lora_B.weight", []int64{6, 4}, 0)
	for _, c := range []struct {
		tensors []Tensor
		meta    string
		want    string
	}{
		{nil, "", "x: holds no LoRA"},
		{[]Tensor{down}, "", "x: unet.a: one of its two matrices is missing"},
		{[]Tensor{down, floatTensor("unet.a.lora_B.weight", []int64{6, 5}, 0)}, "", "x: unet.a: shapes [4,8] and [6,5] have no common rank"},
		{[]Tensor{down, floatTensor("unet.a.lora_B.weight", []int64{6}, 0)}, "", "x: unet.a: shapes [4,8] and [6] are not those of a LoRA"},
		{[]Tensor{down, up, floatTensor("lora_unet_a.lora_up.weight", []int64{6, 4}, 0)}, "", "x: unet.a: both unet.a.lora_B.weight and lora_unet_a.lora_up.weight stand for it"},
		{[]Tensor{down, up, floatTensor("lora_unet_a.hada_w1_a", nil, 0)}, "", "x: unet.a: holds both LoRA and LoHa"},
		{[]Tensor{down, up, floatTensor("unet.a.oft_R.default.weight", nil, 0)}, "", "x: holds OFT (unet.a.oft_R.default.weight), which is not supported"},
		{[]Tensor{down, up, floatTensor("unet.a.something", nil, 0)}, "", "x: not a LoRA file, or of an unknown kind: cannot read unet.a.something"},
		{[]Tensor{floatTensor("vision_model.a", nil, 0)}, "", "x: not a LoRA: it is a CLIP"},
		{[]Tensor{floatTensor("lora_unet_double_blocks_0_img_attn_qkv.w_norm", nil, 0)}, "", "x: is a file for FLUX; want one for SD 1, SD 2, SDXL, Stable Diffusion 3 or Z-Image"},
		{[]Tensor{floatTensor("base_model.model.a.lora_A.weight", []int64{4, 8}, 0), floatTensor("base_model.model.a.lora_B.weight", []int64{6, 4}, 0)}, "", "x: saved by PEFT, and no adapter_config.json beside it tells lora_alpha; put that file there"},
		{[]Tensor{floatTensor("lora_unet_a.hada_w1_a", []int64{4, 2}, 0)}, "", "x: unet.a: factors that are missing or do not fit together: LoHa of [4,2]"},
		{[]Tensor{down, up, floatTensor("unet.a.alpha", []int64{2}, 0)}, "", "x: unet.a.alpha: F32 [2], want one number"},
		{[]Tensor{down, up, floatTensor("unet.a.alpha", nil, float32(math.Inf(1)))}, "", "x: unet.a.alpha: F32 [], want one number"},
		{[]Tensor{down, up}, "{", "x: lora_adapter_metadata: broken JSON: unexpected EOF"},
	} {
		f := &File{Path: "x", Tensors: c.tensors, Metadata: map[string]string{"lora_adapter_metadata": c.meta}}
		if _, err := ReadLoRA(f); err == nil || err.Error() != c.want {
			t.Errorf("error %v, want %s", err, c.want)
		}
	}
	if err := WriteLoRA("x", attnProcs, nil, nil); err == nil || !strings.Contains(err.Error(), "want peft, diffusers, kohya or comfyui") {
		t.Errorf("unwritable dialect: %v", err)
	}
}

func TestLoRAModule(t *testing.T) {
	for name, want := range map[string]string{
		"base_model.model.mid_block.attentions.0.proj_in":                      "unet.mid_block.attentions.0.proj_in",
		"base_model.model.text_model.encoder.layers.0.mlp.fc1":                 "text_encoder.text_model.encoder.layers.0.mlp.fc1",
		"text_model.encoder.layers.0.self_attn.to_out.0":                       "text_encoder.text_model.encoder.layers.0.self_attn.out_proj",
		"text_encoder.encoder.layers.0.self_attn.q_proj":                       "text_encoder.text_model.encoder.layers.0.self_attn.q_proj",
		"lora_te_text_model_encoder_layers_11_self_attn_out_proj":              "text_encoder.text_model.encoder.layers.11.self_attn.out_proj",
		"lora_te1_text_model_encoder_layers_0_mlp_fc2":                         "text_encoder.text_model.encoder.layers.0.mlp.fc2",
		"lora_te2_text_projection":                                             "text_encoder_2.text_projection",
		"lora_unet_input_blocks_4_1_transformer_blocks_0_attn1_to_q":           "unet.down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q",
		"lora_unet_output_blocks_2_2_conv":                                     "unet.up_blocks.0.upsamplers.0.conv",
		"lora_unet_something_new":                                              "unet.something.new",
		"diffusion_model.middle_block.1.proj_in":                               "unet.mid_block.attentions.0.proj_in",
		"model.diffusion_model.time_embed.0":                                   "unet.time_embedding.linear_1",
		"unet.base_model.model.mid_block.attentions.0.proj_in":                 "unet.mid_block.attentions.0.proj_in",
		"lora_unet_mid_block.attentions.0.proj_in":                             "unet.mid_block.attentions.0.proj_in",
		"lora_unet.mid_block.attentions.0.proj_in":                             "unet.mid_block.attentions.0.proj_in",
		"lycoris_mid_block_attentions_0_proj_in":                               "unet.mid_block.attentions.0.proj_in",
		"lora_te1.text_model.encoder.layers.0.mlp.fc1":                         "text_encoder.text_model.encoder.layers.0.mlp.fc1",
		"text_encoders.clip_l.transformer.text_model.encoder.layers.0.mlp.fc1": "text_encoder.text_model.encoder.layers.0.mlp.fc1",
		"text_encoders.clip_g.transformer.text_model.encoder.layers.0.mlp.fc1": "text_encoder_2.text_model.encoder.layers.0.mlp.fc1",
	} {
		if component, module := loraModule(name); component+"."+module != want {
			t.Errorf("%s: %s.%s, want %s", name, component, module, want)
		}
	}
}

func TestParseLoRAKey(t *testing.T) {
	for key, want := range map[string]loraKey{
		"unet.a.b.lora_A.weight":                      {"unet", "a.b", factorDown, PEFT},
		"unet.a.b.lora_B":                             {"unet", "a.b", factorUp, PEFT},
		"unet.a.b.lora_A.default_0.weight":            {"unet", "a.b", factorDown, PEFT},
		"base_model.model.a.b.lora_magnitude_vector":  {"unet", "a.b", Magnitude, PEFT},
		"base_model.model.a.b.hada_w1_a.default":      {"unet", "a.b", HadaW1A, Kohya},
		"unet.a.b.lora_B.default.bias":                {"unet", "a.b", LoRABias, PEFT},
		"lora_unet_mid_block_proj_in.weight":          {"unet", "mid_block.proj_in", IA3Shift, Kohya},
		"lora_unet_mid_block_proj_in.lora_mid.weight": {"unet", "mid_block.proj_in", Mid, Kohya},
	} {
		if got, ok := parseLoRAKey(key); !ok || got != want {
			t.Errorf("%s: %+v, want %+v", key, got, want)
		}
	}
	for _, key := range []string{"unet.a.b.weight", "layer.weight", "lora_unet_x.a1.weight", ".alpha", "a.oft_R.weight"} {
		if got, ok := parseLoRAKey(key); ok {
			t.Errorf("%s: read as %+v", key, got)
		}
	}
}

func FuzzParseLoRAKey(f *testing.F) {
	f.Add("lora_unet_input_blocks_4_1_transformer_blocks_0_attn1_to_q.lora_down.weight")
	f.Add("text_encoder.text_model.encoder.layers.0.self_attn.to_out_lora.up.weight")
	f.Add("base_model.model.unet.a.processor.to_q_lora.down.weight")
	f.Fuzz(func(t *testing.T, key string) {
		k, ok := parseLoRAKey(key)
		if ok && (k.module == "" || k.component == "" || k.factor == "") {
			t.Errorf("%q: %+v", key, k)
		}
	})
}

func FuzzAdapterConfig(f *testing.F) {
	f.Add(`{"unet.lora_alpha":2,"unet.alpha_pattern":{"a":1},"unet.use_rslora":true}`)
	f.Fuzz(func(_ *testing.T, text string) {
		if config, err := readAdapterConfig([]byte(text)); err == nil {
			config.alpha(&LoRAModule{Component: "unet", Path: "a", Down: Tensor{Shape: []int64{4, 1}}})
		}
	})
}
