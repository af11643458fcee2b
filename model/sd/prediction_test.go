package sd

import (
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"focusnfix/model/backbone"
	"focusnfix/model/torch"
	"focusnfix/model/torch/torchtest"
	"focusnfix/model/weights"
)

// marked rewrites a single file with further tensors, others changed, and another header.
func marked(t *testing.T, from string, header map[string]string, change func(e *weights.Entry), more ...weights.Entry) string {
	t.Helper()
	f, err := weights.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	entries := more
	for _, tensor := range f.Tensors {
		if e := tensor.Entry(); e.Name != vPredKey && e.Name != ztsnrKey {
			change(&e)
			entries = append(entries, e)
		}
	}
	to := filepath.Join(t.TempDir(), "marked.safetensors")
	if err := weights.Write(to, header, entries); err != nil {
		t.Fatal(err)
	}
	return to
}

func mark(key string) weights.Entry {
	return weights.Entry{Name: key, DType: weights.F32, Shape: []int64{0}, Data: weights.FromBytes(nil)}
}

// biases gives a norm's biases the spread s.
func biases(s float32) func(e *weights.Entry) {
	return func(e *weights.Entry) {
		if e.Name != unetPrefixForTest+"output_blocks.11.1.transformer_blocks.0.norm1.bias" {
			return
		}
		values := make([]float32, e.Shape[0])
		for i := range values {
			values[i] = s * float32(1-2*(i%2))
		}
		e.DType, e.Data = weights.F32, weights.FromBytes(floatBytes(values))
	}
}

const unetPrefixForTest = "model.diffusion_model."

func floatBytes(values []float32) (b []byte) {
	for _, v := range values {
		bits := math.Float32bits(v)
		b = append(b, byte(bits), byte(bits>>8), byte(bits>>16), byte(bits>>24))
	}
	return b
}

// What a single file says of its prediction is what its folder says after Convert, and what is drawn with.
func TestMarksOfSingleFiles(t *testing.T) {
	singles := map[weights.Kind]string{}
	for _, kind := range []weights.Kind{weights.SD1, weights.SD2, weights.SDXL} {
		singles[kind] = filepath.Join(t.TempDir(), "single.safetensors")
		if err := Convert(narrow(t, kind), singles[kind], ConvertOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	same := func(*weights.Entry) {}
	yes, no := true, false
	for _, c := range []struct {
		name       string
		kind       weights.Kind
		header     map[string]string
		change     func(*weights.Entry)
		keys       []string
		options    ConvertOptions
		prediction string
		zeroSNR    bool
		warned     bool
	}{
		{"plain", weights.SDXL, nil, same, nil, ConvertOptions{}, "epsilon", false, false},
		{"v_pred", weights.SDXL, nil, same, []string{vPredKey}, ConvertOptions{}, "v_prediction", false, false},
		{"NoobAI", weights.SDXL, nil, same, []string{vPredKey, ztsnrKey}, ConvertOptions{}, "v_prediction", true, false},
		{"ztsnr alone", weights.SDXL, nil, same, []string{ztsnrKey}, ConvertOptions{}, "v_prediction", true, false},
		{"flag against the key", weights.SDXL, nil, same, []string{vPredKey, ztsnrKey}, ConvertOptions{Prediction: "epsilon"}, "epsilon", false, false},
		{"flag for zero SNR", weights.SDXL, nil, same, []string{vPredKey}, ConvertOptions{ZeroSNR: &yes}, "v_prediction", true, false},
		{"flag against zero SNR", weights.SDXL, nil, same, []string{vPredKey, ztsnrKey}, ConvertOptions{ZeroSNR: &no}, "v_prediction", false, false},
		{"header v", weights.SDXL, map[string]string{"modelspec.prediction_type": "v"}, same, nil, ConvertOptions{}, "v_prediction", false, false},
		{"header of SD 1", weights.SD1, map[string]string{"modelspec.predict_key": "v"}, same, nil, ConvertOptions{}, "v_prediction", false, false},
		{"key of SD 1", weights.SD1, nil, same, []string{vPredKey}, ConvertOptions{}, "v_prediction", false, false},
		{"header of SD 2", weights.SD2, map[string]string{"modelspec.prediction_type": "epsilon"}, biases(0.2), nil, ConvertOptions{}, "epsilon", false, false},
		{"spread of SD 2 v", weights.SD2, nil, biases(0.0901), nil, ConvertOptions{}, "v_prediction", false, true},
		{"spread of SD 2 epsilon", weights.SD2, nil, biases(0.0899), nil, ConvertOptions{}, "epsilon", false, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			var keys []weights.Entry
			for _, key := range c.keys {
				keys = append(keys, mark(key))
			}
			from, to := marked(t, singles[c.kind], c.header, c.change, keys...), filepath.Join(t.TempDir(), "out")
			warnings := 0
			c.options.ShardBytes, c.options.Warn = 1<<30, func(string) { warnings++ }
			if err := Convert(from, to, c.options); err != nil {
				t.Fatal(err)
			}
			if (warnings > 0) != c.warned {
				t.Errorf("%d warnings", warnings)
			}
			name, text, err := diskFolder(to).read("scheduler/scheduler_config.json")
			if err != nil {
				t.Fatal(err)
			}
			got, err := ParseSchedulerConfig(name, text, "")
			if err != nil || got.PredictionType != c.prediction || got.RescaleBetasToZero != c.zeroSNR || c.zeroSNR && got.TimestepSpacing != "trailing" {
				t.Errorf("%+v, %v, want %s, zero SNR %v", got, err, c.prediction, c.zeroSNR)
			}
			back := filepath.Join(t.TempDir(), "back.safetensors")
			if err := Convert(to, back, ConvertOptions{}); err != nil {
				t.Fatal(err)
			}
			checkMarks(t, back, c.prediction == "v_prediction", c.zeroSNR)
		})
	}
}

// checkMarks looks at the keys of a single file that Convert wrote.
func checkMarks(t *testing.T, path string, v, zeroSNR bool) {
	t.Helper()
	f, err := weights.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	has := func(key string) bool {
		return slices.ContainsFunc(f.Tensors, func(t weights.Tensor) bool { return t.Key == key })
	}
	if has(vPredKey) != v || has(ztsnrKey) != zeroSNR || (f.Metadata[specKey] == specVPred) != v {
		t.Errorf("v_pred %v, ztsnr %v, header %v", has(vPredKey), has(ztsnrKey), f.Metadata)
	}
}

func TestMarksThatAreRefused(t *testing.T) {
	torchtest.Need(t)
	folder, single := narrow(t, weights.SDXL), filepath.Join(t.TempDir(), "single.safetensors")
	if err := Convert(folder, single, ConvertOptions{}); err != nil {
		t.Fatal(err)
	}
	one := weights.FromBytes(floatBytes([]float32{120}))
	for want, c := range map[string]struct {
		header map[string]string
		more   []weights.Entry
		o      backbone.LoadOptions
	}{
		"edm_mean: the model is preconditioned as EDM":            {nil, []weights.Entry{{Name: "edm_mean", DType: weights.F32, Shape: []int64{1}, Data: one}}, backbone.LoadOptions{}},
		"edm_vpred.sigma_max: the model is preconditioned as EDM": {nil, []weights.Entry{{Name: "edm_vpred.sigma_max", DType: weights.F32, Shape: []int64{}, Data: one}}, backbone.LoadOptions{}},
		"edm_std: the model is preconditioned as EDM":             {nil, []weights.Entry{{Name: "edm_std", DType: weights.F32, Shape: []int64{1}, Data: one}}, backbone.LoadOptions{Prediction: "v_prediction"}},
		`modelspec.prediction_type: "flow"`:                       {map[string]string{specKey: "flow"}, nil, backbone.LoadOptions{}},
		"HeunDiscreteScheduler has no zero terminal SNR":          {nil, []weights.Entry{mark(ztsnrKey)}, backbone.LoadOptions{Scheduler: "heun"}},
	} {
		c.o.Device, c.o.Config = torch.CPU, folder
		p, err := Load(marked(t, single, c.header, func(*weights.Entry) {}, c.more...), c.o)
		if err == nil {
			p.Close()
		}
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

// A UNet alone, under either program's names, draws with the rest of a folder as the folder does.
func TestBareUNetFiles(t *testing.T) {
	torchtest.Need(t)
	folder := narrow(t, weights.SD1)
	single := filepath.Join(t.TempDir(), "single.safetensors")
	if err := Convert(folder, single, ConvertOptions{}); err != nil {
		t.Fatal(err)
	}
	f, err := weights.Open(single)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var entries []weights.Entry
	for _, tensor := range f.Tensors {
		e := tensor.Entry()
		e.Name = tensor.Key
		if name, ok := strings.CutPrefix(e.Name, unetPrefixForTest); ok {
			e.Name = name
			entries = append(entries, e)
		}
	}
	bare := filepath.Join(t.TempDir(), "bare.safetensors")
	if err := weights.Write(bare, nil, entries); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(folder, "unet", "*.safetensors"))
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	want := draw(t, folder, backbone.LoadOptions{})
	for _, path := range []string{bare, files[0]} {
		if !slices.Equal(draw(t, path, backbone.LoadOptions{Config: folder}), want) {
			t.Errorf("%s: another image", path)
		}
		p, err := Load(path, backbone.LoadOptions{Device: torch.CPU})
		if err == nil {
			p.Close()
		}
		if err == nil || !strings.Contains(err.Error(), "no vae, no text_encoder in it, want --vae FILE or FOLDER and --config FOLDER") {
			t.Errorf("without a folder: %v", err)
		}
	}
}
