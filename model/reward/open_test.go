package reward

import (
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"focusnfix/model/nn/nntest"
	"focusnfix/model/torch"
	"focusnfix/model/torch/torchtest"
)

// TestOpenRefuses: one line that names what is wrong and what to do about it.
func TestOpenRefuses(t *testing.T) {
	torchtest.Need(t)
	cases, _ := references(t)
	write := func(name, text string) string {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	pickle := write("prompts.p", "\x80\x03cnumpy.core.multiarray\n_reconstruct\n")
	clip, vision, vit := folder(t, "clip", cases["clip"]), folder(t, "vision", cases["q16"]), folder(t, "vit", cases["vit"])
	other := folder(t, "clip", cases["pickscore"])
	writeWeights(t, filepath.Join(other, "model.safetensors"), cases["q16"].Shapes, nil)
	small := folder(t, "vit", cases["vit"])
	if err := os.WriteFile(filepath.Join(small, "preprocessor_config.json"), []byte(`{"size": 384, "resample": 2}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for spec, want := range map[string]string{
		"beauty:/x":                              `reward "beauty:/x": unknown, want builtin:nsfw-mid or builtin:nsfw-small, clip:DIR`,
		"builtin:sfw":                            `no network "sfw" is built in`,
		"clip":                                   "no path, want clip:DIR; weights: `focusnfix pull openai/clip-vit-large-patch14`",
		"clip:/nowhere":                          "no such file or directory; want clip:DIR; weights: `focusnfix pull",
		"pickscore:/nowhere":                     "focusnfix pull yuvalkirstain/PickScore_v1",
		"clip:" + clip:                           "no vocab.json and no tokenizer.json; is it the tokenizer folder of a model?; ?tokenizer=DIR names another",
		"clip:" + clip + "?lvl=3":                "unknown option lvl, want clip:DIR",
		"clip:" + clip + "?level=x":              "level=x, want a number",
		"clip:" + clip + "?a;b":                  "want key=value&key=value",
		"clip:" + other + "?" + learnedTokenizer: "missing text_model.embeddings.token_embedding.weight",
		"hpsv2:/nowhere/hps.safetensors":         "no such file or directory; is the path right?; want hpsv2:FILE?tokenizer=DIR",
		"hpsv2:" + write("HPS_v2.pt", "PK\x03\x04abcd"):          "is a Python pickle; `focusnfix convert ",
		"hpsv2:" + vision + "/model.safetensors":                 "missing, want a CLIP in OpenCLIP's layout",
		"q16:" + pickle:                                          "is a Python pickle; `focusnfix convert ",
		"q16:/nowhere/prompts.safetensors":                       "want q16:FILE?clip=DIR; weights: data/ViT-L-14/prompts.p of",
		"q16:" + vision + "/model.safetensors":                   "missing prompts",
		"aesthetic:" + head(t, cases["q16"]) + "?clip=" + vision: "missing layers.0.weight",
		"safety:" + clip:                                         "missing concept_embeds",
		"vit:" + vit:                                             "label \"\", want ?label= with the one that is the fault, of drawing, normal, nsfw",
		"vit:" + vit + "?label=violence":                         "of drawing, normal, nsfw",
		"vit:" + clip + "?label=nsfw":                            `model_type "clip", want vit`,
		"vit:" + small + "?label=nsfw":                           "images of 384 x 384 pixels, the network's config.json wants 28 x 28",
		"torchscript:/nowhere.pt":                                "torch.jit.save of a module with score(images) and heatmap(images)",
		"torchscript:../torch/testdata/bare.pt":                  "no method heatmap, want score(images) and heatmap(images)",
		"torchscript:" + write("x.pt", "PK\x03\x04ab"):           "not a TorchScript file",
	} {
		r, err := Open(spec, torchtest.Device())
		if r != nil || err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: error %v\n want one line with %q", spec, err, want)
		}
	}
	if live := torch.Live(); live != 0 {
		t.Errorf("%d tensors alive after rewards that did not open", live)
	}
}

// TestOpenMore opens a kind that another package brings.
func TestOpenMore(t *testing.T) {
	mine := Kind{Name: "mine", Use: "mine:NAME", Open: func(path string, _ url.Values, _ torch.Device) (Reward, error) {
		if path != "bright" {
			t.Errorf("path %q, want bright", path)
		}
		return meanBrightness{}, nil
	}}
	if r, err := Open("mine:bright", torch.CPU, mine); r != (meanBrightness{}) || err != nil {
		t.Errorf("opened %v, %v", r, err)
	}
	if _, err := Open("yours:bright", torch.CPU, mine); err == nil || !strings.HasSuffix(err.Error(), ", mine:NAME") {
		t.Errorf("error %v, want one that knows mine:NAME", err)
	}
}

// TestClosedRewardsLeaveNothing: scores, heatmaps and remembered prompts are gone after Close.
func TestClosedRewardsLeaveNothing(t *testing.T) {
	torchtest.Need(t)
	cases, prompts := references(t)
	before := torch.Live()
	for _, c := range tinyRewards {
		r, err := Open(c.spec(t, folder(t, c.config, cases[c.name]), cases[c.name]), torchtest.Device())
		if err != nil {
			t.Fatal(err)
		}
		torchtest.Run(t, func() {
			r.Score(pieces(t), prompts)
			r.Heatmap(pieces(t), prompts)
		})
		r.Close()
		if live := torch.Live(); live != before {
			t.Errorf("%s: %d tensors alive, want %d", c.name, live, before)
		}
	}
}

// TestHeatmapFollowsPrompt: each image of a batch is judged by its own prompt alone.
func TestHeatmapFollowsPrompt(t *testing.T) {
	torchtest.Need(t)
	cases, prompts := references(t)
	r, err := Open(whole("clip")(t, folder(t, "clip", cases["clip"]), cases["clip"]), torchtest.Device())
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	torchtest.Run(t, func() {
		x := pieces(t)
		both, second := r.Heatmap(x, prompts), r.Heatmap(x.Narrow(0, 1, 1), prompts[1:])
		if d := torchtest.MaxDiff(both.Narrow(0, 1, 1), second); d > 1e-5 {
			t.Errorf("alone the second picture's map differs by %g", d)
		}
		other := r.Heatmap(x.Narrow(0, 1, 1), prompts[:1])
		if d := torchtest.MaxDiff(second, other); d < 1e-3 {
			t.Error("another prompt gives the same map")
		}
	})
	err = torch.Run(func() { r.Score(torch.Zeros(torch.Float32, torchtest.Device(), 2, 3, 8, 8), prompts[:1]) })
	if err == nil || err.Error() != "reward: 1 prompts for 2 images, want as many" {
		t.Errorf("error %v", err)
	}
}

// TestScript runs a user's TorchScript: -(mean of (x·[1,2,3])²), and a heatmap of x·[1,2,3]/6.
func TestScript(t *testing.T) {
	torchtest.Need(t)
	r, err := Open("torchscript:../torch/testdata/script.pt", torchtest.Device())
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	torchtest.Run(t, func() {
		x := torch.Full(0.5, torch.Float32, torchtest.Device(), 2, 3, 4, 5)
		closeTo(t, "score", r.Score(x, nil).Doubles(), []float64{-9, -9}, 1e-6)
		heat := r.Heatmap(x, nil)
		if got := heat.String(); got != "float32[2,1,4,5]" || heat.Min().Item() != 0.5 || heat.Max().Item() != 0.5 {
			t.Errorf("heatmap %s from %g to %g, want all .5", got, heat.Min().Item(), heat.Max().Item())
		}
		if grad := gradient(r, x, nil); grad.Max().Item() >= 0 {
			t.Error("no gradient reaches the pixels")
		}
	})
	err = torch.Run(func() { r.Heatmap(nntest.Uniform("x", 1, 2, 4, 4), nil) })
	if err == nil {
		t.Error("a picture of two channels was judged")
	}
}
