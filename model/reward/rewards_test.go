package reward

import (
	"encoding/json"
	"math"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"focusnfix/model/nn/nntest"
	"focusnfix/model/torch"
	"focusnfix/model/torch/torchtest"
	"focusnfix/model/weights"
)

// reference is what an original program made of tiny weights (testdata/ref/rewards.py).
type reference struct {
	Shapes map[string][]int64   // of the checkpoint
	Head   map[string][]int64   // of the small file beside it
	Values map[string][]float64 // of tensors that are not hashed
	Score  []float64
	Heat   [][][]float64 // [2,g,g]
	Level  float64
	Unsafe []bool
}

// references reads every case and the two prompts.
func references(t *testing.T) (map[string]reference, []string) {
	t.Helper()
	var file struct {
		Prompts []string
		Cases   map[string]reference
	}
	for _, name := range []string{"rewards.json", "judges.json"} {
		text, err := os.ReadFile(filepath.Join("testdata/ref", name))
		if err == nil {
			err = json.Unmarshal(text, &file) // adds cases to those that are there
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return file.Cases, file.Prompts
}

// writeWeights writes a checkpoint of hashed weights.
func writeWeights(t *testing.T, path string, shapes map[string][]int64, values map[string][]float64) {
	t.Helper()
	var entries []weights.Entry
	torchtest.Run(t, func() {
		for name, shape := range shapes {
			var x torch.Tensor
			if list, ok := values[name]; ok {
				x = torch.From(list, shape...).To(torch.Float32)
			} else {
				x = nntest.Weight(name, shape...)
			}
			bytes := x.Bytes()
			entries = append(entries, weights.Entry{Name: name, DType: weights.F32, Shape: shape, Data: weights.FromBytes(bytes)})
		}
	})
	if err := weights.Write(path, nil, entries); err != nil {
		t.Fatal(err)
	}
}

// folder is a user's folder with the checkpoint of a case and the config.json beside its script.
func folder(t *testing.T, config string, r reference) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(filepath.Join("testdata/ref", config))); err != nil {
		t.Fatal(err)
	}
	writeWeights(t, filepath.Join(dir, "model.safetensors"), r.Shapes, r.Values)
	return dir
}

const learnedTokenizer = "tokenizer=../clip/testdata/learned"

// tinyRewards lists every reward of the user's disk: which folder it has, and how it is opened.
var tinyRewards = []struct {
	name, config string
	spec         func(t *testing.T, dir string, r reference) string
	open         func(string, url.Values, place) (Reward, error)
}{
	{"clip", "clip", whole("clip"), openCLIPScore},
	{"pickscore", "pickscore", whole("pickscore"), openPickScore},
	{"zeroshot", "clip", func(_ *testing.T, dir string, _ reference) string {
		return "clip-zeroshot:" + dir + "?" + learnedTokenizer +
			"&safe=a peaceful picture&safe=a dog&unsafe=a violent picture&unsafe=a gun&unsafe=a fight"
	}, openZeroShot},
	{"hpsv2", "clip", func(_ *testing.T, dir string, r reference) string {
		return "hpsv2:" + dir + "/model.safetensors?level=" + number(r.Level) + "&" + learnedTokenizer
	}, openHPSv2},
	{"aesthetic", "vision", func(t *testing.T, dir string, r reference) string {
		return "aesthetic:" + head(t, r) + "?clip=" + dir + "&level=" + number(r.Level)
	}, openAesthetic},
	{"q16", "vision", func(t *testing.T, dir string, r reference) string {
		return "q16:" + head(t, r) + "?clip=" + dir
	}, openQ16},
	{"safety", "safety", plain("safety"), openSafetyChecker},
	{"safety_pass", "safety", plain("safety"), openSafetyChecker},
	{"imagereward", "imagereward", func(_ *testing.T, dir string, r reference) string {
		return "imagereward:" + dir + "/model.safetensors?level=" + number(r.Level)
	}, openImageReward},
	{"multihead", "vision", func(t *testing.T, dir string, r reference) string {
		return "multihead:" + head(t, r) + "?clip=" + dir
	}, openMultiHead},
	{"eva", "eva", func(_ *testing.T, dir string, _ reference) string { return "eva:" + dir + "?label=medium" }, openEVA},
	{"segformer", "segformer", plain("segformer"), openSegFormer},
	{"segformer_labels", "segformer_labels", func(_ *testing.T, dir string, _ reference) string {
		return "segformer:" + dir + "?label=artifact"
	}, openSegFormer},
	{"vit", "vit", func(_ *testing.T, dir string, _ reference) string { return "vit:" + dir + "?label=nsfw" }, openViT},
}

func whole(kind string) func(*testing.T, string, reference) string {
	return func(_ *testing.T, dir string, r reference) string {
		return kind + ":" + dir + "?level=" + number(r.Level) + "&" + learnedTokenizer
	}
}

func plain(kind string) func(*testing.T, string, reference) string {
	return func(_ *testing.T, dir string, _ reference) string { return kind + ":" + dir }
}

func number(v float64) string {
	text, _ := json.Marshal(v)
	return string(text)
}

// head writes the small file of a reward that reads embeddings.
func head(t *testing.T, r reference) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "head.safetensors")
	writeWeights(t, path, r.Head, r.Values)
	return path
}

// pieces are the two pieces of photographs that the references judge, [2,3,28,28].
func pieces(t *testing.T) torch.Tensor {
	t.Helper()
	cut := func(name string, top, left int64) torch.Tensor {
		return picture(t, name).Narrow(2, top, 28).Narrow(3, left, 28)
	}
	return torch.Cat([]torch.Tensor{cut("1_astronaut.png", 60, 90), cut("2_cat.png", 90, 80)}, 0)
}

// TestRewards compares every score and heatmap with those of the original programs, on the same
// weights, in float32. Log-odds of 100 times a cosine lose two digits.
func TestRewards(t *testing.T) {
	torchtest.Need(t)
	cases, prompts := references(t)
	for _, c := range tinyRewards {
		t.Run(c.name, func(t *testing.T) {
			want := cases[c.name]
			r, err := Open(c.spec(t, folder(t, c.config, want), want), torchtest.Device())
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			torchtest.Run(t, func() {
				x := pieces(t)
				score := r.Score(x, prompts)
				closeTo(t, "score", score.Doubles(), want.Score, 2e-4)
				heat := r.Heatmap(x, prompts)
				g := int64(len(want.Heat[0]))
				small := torch.From(flatten(want.Heat), 2, 1, g, g)
				closeTo(t, "heatmap", heat.Doubles(), small.ResizeBilinear(28, 28, torch.Resize{}).Doubles(), 1e-3)
				for i, unsafe := range want.Unsafe {
					if got := score.Doubles()[i] < 0; got != unsafe {
						t.Errorf("picture %d: unsafe %v, the original says %v", i, got, unsafe)
					}
				}
			})
		})
	}
}

// TestRewardGradients compares gradients that reach the pixels with finite differences, in float64, on
// an image that has to be resized and cut.
func TestRewardGradients(t *testing.T) {
	torchtest.Need(t)
	cases, prompts := references(t)
	for _, c := range tinyRewards {
		t.Run(c.name, func(t *testing.T) {
			want := cases[c.name]
			_, rest, _ := strings.Cut(c.spec(t, folder(t, c.config, want), want), ":")
			path, query, _ := strings.Cut(rest, "?")
			options, err := url.ParseQuery(query)
			if err != nil {
				t.Fatal(err)
			}
			r, err := c.open(path, options, place{torchtest.Device(), torch.Float64})
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			torchtest.Run(t, func() {
				x := nntest.Uniform("picture", 1, 3, 5, 4).To(torch.Float64).MulScalar(0.2).AddScalar(0.5)
				torchtest.CheckGrad(t, 1e-5, func(xs []torch.Tensor) torch.Tensor {
					return r.Score(xs[0], prompts[:1]).Sum()
				}, x)
				if grad := gradient(r, x, prompts[:1]); grad.Abs().Max().Item() < 1e-6 {
					t.Errorf("largest gradient %g: nothing reaches the pixels", grad.Abs().Max().Item())
				}
			})
		})
	}
}

func gradient(r Reward, images torch.Tensor, prompts []string) torch.Tensor {
	x := images.Leaf()
	return torch.Grad([]torch.Tensor{r.Score(x, prompts).Sum()}, []torch.Tensor{x}, nil)[0]
}

// TestHeatmapIsPlacedBack: of a wide image the middle was judged, so its sides stay 0; the map has
// the image's size.
func TestHeatmapIsPlacedBack(t *testing.T) {
	torchtest.Run(t, func() {
		p := clipPreparation(28)
		heat := p.undo(torch.Ones(torch.Float32, torchtest.Device(), 1, 1, 4, 4), 56, 112)
		if got := torch.ShapeString(heat.Shape()); got != "[1,1,56,112]" {
			t.Fatalf("shape %s", got)
		}
		side, middle := heat.Narrow(3, 0, 24).Max().Item(), heat.Narrow(3, 32, 48).Min().Item()
		if side > 1e-6 || math.Abs(middle-1) > 1e-6 {
			t.Errorf("at the side %g, in the middle %g; want 0 and 1", side, middle)
		}
	})
}

// TestPreparations compares with the image processors of transformers, torchvision and OpenCLIP on a
// photograph. PIL rounds to 8 bits after each of its two passes, and the second pass may enlarge what
// the first one rounded: 1.5 of 255. torchvision resizes floats as we do.
func TestPreparations(t *testing.T) {
	golden := nntest.OpenGolden(t, "testdata/ref/preparations.safetensors")
	half := []float32{0.5, 0.5, 0.5}
	stretch := preparation{height: 40, width: 40, fit: fitStretch, bilinear: true, mean: half, std: half}
	torchvision, longest := clipPreparation(41), clipPreparation(41)
	torchvision.halfEven = true
	longest.fit, longest.unclamped = fitLongest, true
	for name, c := range map[string]struct {
		p    preparation
		most float64 // difference in steps of 8 bits
	}{
		"clip_wide": {clipPreparation(40), 1.5}, "clip_tall": {clipPreparation(40), 1.5}, "clip_small": {clipPreparation(64), 1.5},
		"vit_wide": {stretch, 1.5}, "vit_small": {stretch, 1.5},
		"torchvision_wide": {torchvision, 1.5}, "longest_wide": {longest, 0.01},
	} {
		torchtest.Run(t, func() {
			x := picture(t, "2_cat.png")
			switch {
			case strings.HasSuffix(name, "_small"):
				x = x.Narrow(2, 60, 41).Narrow(3, 90, 60)
			case strings.HasSuffix(name, "_tall"):
				x = x.Narrow(2, 0, 150).Transpose(2, 3)
			default:
				x = x.Narrow(2, 0, 150)
			}
			got := c.p.apply(x, torchtest.Device(), torch.Float32)
			like := func(v []float32) torch.Tensor { return torchtest.Place(torch.From(v, 3, 1, 1)) }
			got = got.Mul(like(c.p.std)).Add(like(c.p.mean)).MulScalar(255)
			want := golden.Tensor(t, name)
			if name == "longest_wide" {
				want = want.MulScalar(255)
			}
			if d := torchtest.MaxDiff(got, want); d > c.most {
				t.Errorf("%s: differs by %.3g of 255, want at most %g (got %v, want %v)", name, d, c.most, got, want)
			} else {
				t.Logf("%s: largest difference %.3g of 255", name, d)
			}
		})
	}
}

// TestReadPreparation reads the files that published folders hold, old and new.
func TestReadPreparation(t *testing.T) {
	half := []float32{0.5, 0.5, 0.5}
	square := preparation{height: 224, width: 224, fit: fitStretch, bilinear: true, mean: half, std: half}
	clip := clipPreparation(224)
	larger := clip
	larger.edge = 256
	for name, c := range map[string]struct {
		text  string
		start preparation
		want  preparation
		fails string
	}{
		"none":            {"", clip, clip, ""},
		"old clip":        {`{"crop_size":224,"do_center_crop":true,"do_normalize":true,"do_resize":true,"resample":3,"size":224}`, clip, clip, ""},
		"new clip":        {`{"crop_size":{"height":224,"width":224},"size":{"shortest_edge":256},"resample":3}`, clip, larger, ""},
		"vit":             {`{"do_resize":true,"image_mean":[0.5,0.5,0.5],"resample":2,"size":{"height":224,"width":224}}`, square, square, ""},
		"old vit":         {`{"size":224,"resample":2}`, square, square, ""},
		"other size":      {`{"crop_size":336,"size":336}`, clip, clip, "images of 336 x 336 pixels, the network's config.json wants 224 x 224"},
		"other filter":    {`{"resample":1}`, clip, clip, "resample 1, want 2 (bilinear) or 3 (bicubic)"},
		"not normalised":  {`{"do_normalize":false}`, clip, clip, "must all be true"},
		"not cut":         {`{"do_center_crop":false}`, clip, clip, "do_center_crop must be true"},
		"one colour":      {`{"image_mean":[0.5]}`, clip, clip, "image_mean and image_std have 1 and 3 numbers"},
		"no JSON":         {`{`, clip, clip, "preprocessor_config.json: unexpected end"},
		"size is no size": {`{"size":"big"}`, clip, clip, "preprocessor_config.json"},
	} {
		dir := t.TempDir()
		if c.text != "" {
			if err := os.WriteFile(filepath.Join(dir, "preprocessor_config.json"), []byte(c.text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		got, err := readPreparation(dir, c.start)
		switch {
		case c.fails != "" && (err == nil || !strings.Contains(err.Error(), c.fails)):
			t.Errorf("%s: error %v, want %q", name, err, c.fails)
		case c.fails == "" && (err != nil || !reflect.DeepEqual(got, c.want)):
			t.Errorf("%s: %+v, %v; want %+v", name, got, err, c.want)
		}
	}
}
