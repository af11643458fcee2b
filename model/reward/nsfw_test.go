package reward

import (
	"encoding/json"
	"image"
	_ "image/png"
	"math"
	"os"
	"path/filepath"
	"testing"

	"focusnfix/model/nn"
	"focusnfix/model/torch"
	"focusnfix/model/torch/torchtest"
)

// golden is what the original library and an independent PyTorch model said of one image.
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

// image is [1,3,H,W] in [0,1].
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

// inFloat64 gives the weights of a network in the reference's type.
type inFloat64 struct{ *quantizedSource }

func (s inFloat64) Param(name string, init nn.Init, shape []int64) torch.Tensor {
	single := s.quantizedSource.Param(name, init, shape)
	defer torch.Drop(single)
	return torch.Own(torch.Scope(func() torch.Tensor { return single.To(torch.Float64) }))
}

// gradientTolerance is relative to the norm of the gradient. The network runs in float64 here, whose
// roundings of 1.1e-16 grow to about 1e-13 through sums of up to 2,000 products in 54 layers, and back.
// They decide no bend of ReLU6: the wave spreads the inputs of its few million bends evenly over a
// range of some 10, so that the nearest lies about 1e-6 from its bend. In float32, with roundings of
// 6e-8 that grow to 1e-5, a few fall on the wrong side; by how much that turns the gradient is
// bentTolerance: three of a million paths, each of which carries its share of one of the last layers'
// 10,000 places, move it by sqrt(3/10,000) = 0.02. A wrong kernel moves it by 1.
const (
	gradientTolerance = 1e-11
	bentTolerance     = 0.05
)

// TestNSFWGradients compares gradients with respect to pixels with those that PyTorch finds, on images
// with the same small wave (testdata/ref/nsfw_gradients.py says why).
func TestNSFWGradients(t *testing.T) {
	torchtest.Need(t)
	source, err := nsfwMid.open(torchtest.Device())
	if err != nil {
		t.Fatal(err)
	}
	n, err := nsfwMid.build(inFloat64{source})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	single, err := NewNSFWMid(torchtest.Device())
	if err != nil {
		t.Fatal(err)
	}
	defer single.Close()
	type gradient struct {
		File    string
		LogOdds float64 `json:"log_odds"`
		L2      float64
		AbsMean float64      `json:"abs_mean"`
		At      [][4]float64 `json:"at_c_y_x"`
	}
	for _, want := range goldens[gradient](t, "ref/nsfw_gradients") {
		torchtest.Run(t, func() {
			// Byte/255 in float64, as the reference has it: float32 would move it by 3e-8.
			image := picture(t, want.File).MulScalar(255).Round().To(torch.Float64).DivScalar(255)
			wave := torch.Arange(0, float64(image.Numel()), 1, torch.Float64, torchtest.Device()).Sin().Reshape(image.Shape()...)
			x := image.AddScaled(wave, 1e-3).Leaf()
			score, grad := oddsGradient(n, x)
			_, bent := oddsGradient(single, x.To(torch.Float32).Leaf())
			if d := bent.To(torch.Float64).Sub(grad).Norm(2).Item() / want.L2; !(d <= bentTolerance) {
				t.Errorf("%s: float32's gradient is %.3g of its norm from float64's, want at most %g", want.File, d, bentTolerance)
			}
			tolerance := gradientTolerance * want.L2
			closeTo(t, want.File+": log-odds", score.Doubles(), []float64{want.LogOdds}, gradientTolerance*math.Abs(want.LogOdds))
			closeTo(t, want.File+": size of the gradient", []float64{grad.Norm(2).Item()}, []float64{want.L2}, tolerance)
			closeTo(t, want.File+": mean gradient", []float64{grad.Abs().Mean().Item()}, []float64{want.AbsMean}, tolerance)
			values, W := grad.Doubles(), x.Size(3)
			for _, at := range want.At {
				i := (int64(at[0])*x.Size(2)+int64(at[1]))*W + int64(at[2])
				closeTo(t, want.File+": gradient of a pixel", values[i:i+1], at[3:], tolerance)
			}
		})
	}
}

// oddsGradient gives the log-odds of an unsafe image x, and their gradient.
func oddsGradient(n *NSFW, x torch.Tensor) (odds, gradient torch.Tensor) {
	odds = n.Score(x, nil).Neg()
	return odds, torch.Grad([]torch.Tensor{odds}, []torch.Tensor{x}, nil)[0]
}
