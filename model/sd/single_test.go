package sd

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"focusnfix/model/backbone"
	"focusnfix/model/clip"
	"focusnfix/model/nn"
	"focusnfix/model/nn/nntest"
	"focusnfix/model/torch"
	"focusnfix/model/torch/torchtest"
	"focusnfix/model/weights"
)

// The built-in UNets are those of unet.py, which TestFullSizeParameters compares with diffusers; the
// other parts have as many parameters as the published ones.
func TestBuiltInConfigurations(t *testing.T) {
	golden := readUNetGolden(t)
	for _, c := range []struct {
		kind             weights.Kind
		prediction, unet string
		sampleSize       int64
		pads             []int64 // of each tokenizer
		text             []int64 // parameters of each text encoder
	}{
		{weights.SD1, "", "sd15", 64, []int64{49407}, []int64{123_060_480}},
		{weights.SD2, "", "sd21", 96, []int64{0}, []int64{340_387_840}},
		{weights.SD2, "epsilon", "sd21", 64, []int64{0}, []int64{340_387_840}},
		{weights.SDXL, "", "sdxl", 128, []int64{49407, 0}, []int64{123_060_480, 694_659_840}},
	} {
		dir := builtInFolder(c.kind, c.prediction)
		t.Run(dir.name, func(t *testing.T) {
			got, err := dir.sub("unet").unetConfig()
			if err != nil {
				t.Fatal(err)
			}
			want, err := ParseUNetConfig(c.unet, golden.Lists[c.unet].Config)
			if err != nil {
				t.Fatal(err)
			}
			want.SampleSize = c.sampleSize
			if !reflect.DeepEqual(got, want) {
				t.Errorf("unet %+v, want %+v", got, want)
			}
			checkBuiltInScheduler(t, dir, c.kind, c.prediction)
			torchtest.Run(t, func() {
				vae, err := dir.sub("vae").vaeConfig()
				if n := numbers(func(p nn.Params) { NewVAE(vae, p) }); err != nil || n != 83_653_863 {
					t.Errorf("vae of %d numbers, %v, want 83653863", n, err)
				}
				for i, want := range c.text {
					suffix := []string{"", "_2"}[i]
					text, err := dir.sub("text_encoder" + suffix).textConfig()
					if n := numbers(func(p nn.Params) { clip.NewText(text, p) }); err != nil || n != want {
						t.Errorf("text_encoder%s of %d numbers, %v, want %d", suffix, n, err, want)
					}
					tokenizer, err := dir.sub("tokenizer" + suffix).tokenizer()
					if err != nil {
						t.Fatal(err)
					}
					if ids := tokenizer.Encode("a cat").IDs; !slices.Equal(ids[:5], []int64{49406, 320, 2368, 49407, c.pads[i]}) || len(ids) != 77 {
						t.Errorf("tokenizer%s: %d ids, %v", suffix, len(ids), ids[:5])
					}
				}
			})
		})
	}
}

func checkBuiltInScheduler(t *testing.T, dir folder, kind weights.Kind, prediction string) {
	t.Helper()
	name, text, err := dir.sub("scheduler").read("scheduler_config.json")
	if err != nil {
		t.Fatal(err)
	}
	got, err := ParseSchedulerConfig(name, text, "")
	want := SchedulerConfig{
		Class: PNDM, NumTrainTimesteps: 1000, BetaStart: 0.00085, BetaEnd: 0.012, BetaSchedule: "scaled_linear",
		PredictionType: "epsilon", TimestepSpacing: "leading", StepsOffset: 1, FinalSigmasType: "zero", LowerOrderFinal: true,
		SkipPRKSteps: true,
	}
	if kind == weights.SD2 && prediction == "" {
		want.Class, want.PredictionType, want.SkipPRKSteps = DDIM, "v_prediction", false
	}
	if kind == weights.SDXL {
		want.Class, want.SkipPRKSteps = Euler, false
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("scheduler %+v, %v, want %+v", got, err, want)
	}
}

// numbers counts the parameters of a network without making them.
func numbers(network func(nn.Params)) (n int64) {
	p := nn.NewParams(nntest.Weightless{})
	defer p.Drop()
	network(p)
	for _, tensor := range p.All() {
		n += tensor.Numel()
	}
	return n
}

// A single file needs no folder beside it to become one: configuration and vocabulary are built in.
func TestConvertSingleWithoutFolder(t *testing.T) {
	for _, c := range []struct {
		kind       weights.Kind
		prediction string // asked for
		want       string
		sampleSize int64
		warned     bool
	}{
		{weights.SD1, "", "epsilon", 64, false},
		{weights.SD1, "v_prediction", "v_prediction", 64, false},
		{weights.SD2, "", "v_prediction", 96, false}, // Convert has left a mark
		{weights.SD2, "epsilon", "epsilon", 64, false},
		{weights.SDXL, "", "epsilon", 128, false},
	} {
		t.Run(string(c.kind)+c.prediction, func(t *testing.T) {
			single, out := filepath.Join(t.TempDir(), "single.safetensors"), filepath.Join(t.TempDir(), "out")
			if err := Convert(narrow(t, c.kind), single, ConvertOptions{}); err != nil {
				t.Fatal(err)
			}
			var warnings []string
			warn := func(line string) { warnings = append(warnings, line) }
			if err := Convert(single, out, ConvertOptions{Prediction: c.prediction, ShardBytes: 1 << 30, Warn: warn}); err != nil {
				t.Fatal(err)
			}
			if (len(warnings) == 1) != c.warned || len(warnings) > 1 {
				t.Errorf("warnings %q", warnings)
			}
			again := single + ".again.safetensors"
			if err := Convert(single, again, ConvertOptions{Prediction: c.prediction}); err != nil {
				t.Fatal(err)
			}
			if a, b := read(t, single), read(t, again); c.prediction == "" && string(a) != string(b) {
				t.Error("the single file made of the single file differs")
			}
			dir := diskFolder(out)
			var scheduler map[string]any
			if err := dir.readJSON("scheduler/scheduler_config.json", &scheduler); err != nil || scheduler["prediction_type"] != c.want {
				t.Errorf("scheduler %v, %v, want %s", scheduler, err, c.want)
			}
			if unet, err := dir.sub("unet").unetConfig(); err != nil || unet.SampleSize != c.sampleSize {
				t.Errorf("sample_size %d, %v, want %d", unet.SampleSize, err, c.sampleSize)
			}
			builtIn, err := builtInFolder(c.kind, c.prediction).sub("tokenizer").tokenizer()
			if err != nil {
				t.Fatal(err)
			}
			saved, err := dir.sub("tokenizer").tokenizer()
			if err != nil {
				t.Fatal(err)
			}
			const prompt = "A café, isn't it? <|StartOfText|> 猫 !"
			if got, want := saved.Encode(prompt), builtIn.Encode(prompt); !reflect.DeepEqual(got, want) {
				t.Errorf("tokens %v, want %v", got, want)
			}
			_, err = Load(single, backbone.LoadOptions{Device: torchtest.Device(), DType: torch.Float32}) // which has thin layers
			if err == nil || !strings.Contains(err.Error(), "single.safetensors (text_encoder)") {
				t.Errorf("error %v, want the shapes of the first part", err)
			}
		})
	}
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// withoutWeights copies a folder without the weights in it.
func withoutWeights(t *testing.T, folder string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "configs")
	if err := os.CopyFS(dir, os.DirFS(folder)); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*", "*.safetensors"))
	if err != nil || len(files) < 3 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// The parts that a single file lacks come from a folder, or a VAE from wherever it lies, under the
// names of either layout.
func TestIncompleteSingleFile(t *testing.T) {
	folder := narrow(t, weights.SD1)
	configs, dir := withoutWeights(t, folder), t.TempDir()
	whole, onlyUNet := filepath.Join(dir, "whole.safetensors"), filepath.Join(dir, "unet.safetensors")
	noVAE, bareVAE := filepath.Join(dir, "novae.safetensors"), filepath.Join(dir, "vae.safetensors")
	for _, file := range []string{whole, onlyUNet, noVAE, bareVAE} {
		if err := Convert(folder, file, ConvertOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	keep := func(file, prefix, newPrefix string, kept bool) {
		editWeights(t, file, func(entries []weights.Entry) (left []weights.Entry) {
			for _, e := range entries {
				if strings.HasPrefix(e.Name, prefix) == kept {
					e.Name = newPrefix + strings.TrimPrefix(e.Name, prefix)
					left = append(left, e)
				}
			}
			return left
		})
	}
	keep(onlyUNet, "model.diffusion_model.", "model.diffusion_model.", true)
	keep(noVAE, "first_stage_model.", "", false)
	keep(bareVAE, "first_stage_model.", "", true)

	want := draw(t, folder, backbone.LoadOptions{})
	for name, got := range map[string][]byte{
		"all else from a folder":  draw(t, onlyUNet, backbone.LoadOptions{Config: folder}),
		"folder of a VAE":         draw(t, noVAE, backbone.LoadOptions{Config: configs, VAE: filepath.Join(folder, "vae")}),
		"folder of a model":       draw(t, noVAE, backbone.LoadOptions{Config: configs, VAE: folder}),
		"file of diffusers":       draw(t, noVAE, backbone.LoadOptions{Config: configs, VAE: filepath.Join(folder, "vae", "model.safetensors")}),
		"file of the original":    draw(t, noVAE, backbone.LoadOptions{Config: configs, VAE: bareVAE}),
		"whole checkpoint":        draw(t, noVAE, backbone.LoadOptions{Config: configs, VAE: whole}),
		"folder with another VAE": draw(t, folder, backbone.LoadOptions{VAE: bareVAE}),
	} {
		checkSame(t, name, got, want)
	}
	const vae, text = "--vae FILE or FOLDER", "--config FOLDER, a diffusers folder of SD 1 with its weights"
	for want, o := range map[string]backbone.LoadOptions{
		"unet.safetensors: no vae, no text_encoder in it, want " + vae + " and " + text: {Config: configs},
		"unet.safetensors: no text_encoder in it, want " + text:                         {VAE: bareVAE},
		"novae.safetensors: no decoder.conv_in.weight, want a VAE":                      {VAE: noVAE},
	} {
		o.Device = torchtest.Device()
		if _, err := Load(onlyUNet, o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %s", err, want)
		}
	}
}

// diffusers' pipeline of SD 1 and 2 sets steps_offset to 1 whatever the folder says.
func TestStepsOffsetIsForced(t *testing.T) {
	dir := copyTiny(t, "sd1")
	edit(t, `"steps_offset": 1`, `"steps_offset": 0`, dir, "scheduler", "scheduler_config.json")
	p, err := Load(dir, backbone.LoadOptions{Device: torchtest.Device(), DType: torch.Float32})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if p.Scheduler.StepsOffset != 1 {
		t.Errorf("steps_offset %d, want 1", p.Scheduler.StepsOffset)
	}
}

// What is built in is JSON that diffusers can read: every folder names its parts.
func TestBuiltInIndexNamesItsParts(t *testing.T) {
	for _, kind := range []weights.Kind{weights.SD1, weights.SD2, weights.SDXL} {
		dir := builtInFolder(kind, "")
		var index map[string]json.RawMessage
		if err := dir.readJSON("model_index.json", &index); err != nil {
			t.Fatal(err)
		}
		c := checkpoint{configs: dir}
		parts, err := c.partNames()
		if err != nil || len(parts) < 5 {
			t.Fatal(parts, err)
		}
		for _, part := range parts {
			if _, ok := index[part]; !ok {
				t.Errorf("%s: model_index.json does not name %s", dir.name, part)
			}
		}
	}
}
