package reward

import (
	"encoding/json"
	"image"
	_ "image/png"
	"math"
	"os"
	"path/filepath"
	"testing"

	"focusnfix/model/torch"
	"focusnfix/model/torch/torchtest"
)

// golden is what the original library and an independent PyTorch model said of one picture.
type golden struct {
	File    string
	NSFWJS  []float64     `json:"probs_nsfwjs"`
	Logits  []float64     `json:"logits_torch_f32"`
	LogOdds float64       `json:"unsafe_log_odds"`
	CAM     [][][]float64 `json:"cam_logits_5x7x7"`
}

// goldens reads the five cases of a file in testdata.
func goldens[Case any](t *testing.T, name string) []Case {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Cases []Case }
	if err := json.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	if len(file.Cases) != 5 {
		t.Fatalf("%d cases in %s, want 5", len(file.Cases), name)
	}
	return file.Cases
}

// picture is [1,3,H,W] in [0,1].
func picture(t *testing.T, name string) torch.Tensor {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", "images", filepath.Base(name)))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	m, _, err := image.Decode(f)
	if err != nil {
		t.Fatal(err)
	}
	W, H := m.Bounds().Dx(), m.Bounds().Dy()
	data := make([]float32, 3*H*W)
	for y := range H {
		for x := range W {
			r, g, b, _ := m.At(x, y).RGBA()
			for c, v := range []uint32{r, g, b} {
				data[c*H*W+y*W+x] = float32(v>>8) / 255
			}
		}
	}
	return torchtest.Place(torch.From(data, 1, 3, int64(H), int64(W)))
}

var nsfwNetworks = map[string]func(torch.Device) (*NSFW, error){
	"nsfw_mobilenet_v2_mid": NewNSFWMid,
	"nsfw_mobilenet_v2":     NewNSFWSmall,
}

// TestNSFW compares probabilities with those of nsfwjs itself (its float32 kernels differ from
// libtorch's by 1e-6), log-odds and class map with those of an independent PyTorch model.
func TestNSFW(t *testing.T) {
	torchtest.Need(t)
	for name, load := range nsfwNetworks {
		t.Run(name, func(t *testing.T) {
			n, err := load(torchtest.Device())
			if err != nil {
				t.Fatal(err)
			}
			defer n.Close()
			for _, want := range goldens[golden](t, name) {
				torchtest.Run(t, func() { checkNSFW(t, n, want) })
			}
		})
	}
}

func checkNSFW(t *testing.T, n *NSFW, want golden) {
	x := picture(t, want.File)
	features := n.features(x)
	logits := n.logits(features)
	closeTo(t, want.File+": probabilities", logits.Softmax(1).Doubles(), want.NSFWJS, 1e-5)
	score := n.Score(x, nil)
	closeTo(t, want.File+": log-odds", score.Doubles(), []float64{-want.LogOdds}, 1e-4*math.Abs(want.LogOdds))
	if want.CAM != nil {
		closeTo(t, want.File+": class map", n.classMap(features).Doubles(), flatten(want.CAM), 1e-3)
	}
	heat := n.Heatmap(x, nil)
	if low, high := heat.Min().Item(), heat.Max().Item(); low < 0 || high > 1 || heat.Size(2) != x.Size(2) {
		t.Errorf("%s: heatmap %v from %g to %g, want the picture's size and [0,1]", want.File, heat, low, high)
	}
}

func flatten(maps [][][]float64) (flat []float64) {
	for _, rows := range maps {
		for _, row := range rows {
			flat = append(flat, row...)
		}
	}
	return flat
}

func closeTo(t *testing.T, what string, got, want []float64, tolerance float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%s: %d numbers, want %d", what, len(got), len(want))
		return
	}
	for i := range got {
		if d := math.Abs(got[i] - want[i]); !(d <= tolerance) {
			t.Errorf("%s: number %d is %g, want %g within %.2g", what, i, got[i], want[i], tolerance)
			return
		}
	}
}

// TestNSFWGradients compares gradients with respect to pixels with those that PyTorch finds in
// float64, on pictures with the same small wave (testdata/ref/nsfw_gradients.py says why).
func TestNSFWGradients(t *testing.T) {
	torchtest.Need(t)
	n, err := NewNSFWMid(torchtest.Device())
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	type gradient struct {
		File    string
		LogOdds float64 `json:"log_odds"`
		L2      float64
		AbsMean float64      `json:"abs_mean"`
		At      [][4]float64 `json:"at_c_y_x"`
	}
	for _, want := range goldens[gradient](t, "ref/nsfw_gradients") {
		torchtest.Run(t, func() {
			x := picture(t, want.File)
			wave := torch.Arange(0, float64(x.Numel()), 1, torch.Float64, torchtest.Device()).Sin().Reshape(x.Shape()...)
			x = x.To(torch.Float64).AddScaled(wave, 1e-3).To(torch.Float32).Leaf()
			score := n.Score(x, nil)
			grad := torch.Grad([]torch.Tensor{score}, []torch.Tensor{x}, nil)[0].Neg()
			closeTo(t, want.File+": log-odds", score.Neg().Doubles(), []float64{want.LogOdds}, 1e-4*math.Abs(want.LogOdds))
			closeTo(t, want.File+": size of the gradient", []float64{grad.Norm(2).Item()}, []float64{want.L2}, 1e-4*want.L2)
			closeTo(t, want.File+": mean gradient", []float64{grad.Abs().Mean().Item()}, []float64{want.AbsMean}, 1e-4*want.AbsMean)
			values, W := grad.Doubles(), x.Size(3)
			for _, at := range want.At {
				i := (int64(at[0])*x.Size(2)+int64(at[1]))*W + int64(at[2])
				closeTo(t, want.File+": gradient of a pixel", values[i:i+1], at[3:], 1e-5*want.L2)
			}
		})
	}
}
