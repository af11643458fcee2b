package reward

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"slices"
	"strings"

	"focusnfix/model/torch"
)

// Kind is one sort of reward that Open knows.
type Kind struct {
	Name    string   // what stands before the colon
	Use     string   // "clip:DIR"
	Weights string   // where they come from, or how they are converted
	Options []string // that may follow a question mark

	// Open loads the reward that lies at path, which is what stands behind the colon.
	Open func(path string, options url.Values, device torch.Device) (Reward, error)
}

const (
	fromCLIP   = "`focusnfix pull openai/clip-vit-large-patch14`"
	withOption = "; its CLIP is that of clip=DIR: " + fromCLIP
)

// kinds are those of this package, in float32: a reward's gradients are small.
var kinds = []Kind{
	{Name: "builtin", Use: "builtin:nsfw-mid or builtin:nsfw-small", Weights: "part of the program", Open: openBuiltin},
	{
		Name: "clip", Use: "clip:DIR", Weights: fromCLIP,
		Options: []string{"level", "tokenizer"}, Open: inFloat32(openCLIPScore),
	},
	{
		Name: "clip-zeroshot", Use: "clip-zeroshot:DIR?safe=PROMPT&unsafe=PROMPT", Weights: fromCLIP,
		Options: []string{"safe", "unsafe", "tokenizer"}, Open: inFloat32(openZeroShot),
	},
	{
		Name: "pickscore", Use: "pickscore:DIR", Weights: "`focusnfix pull yuvalkirstain/PickScore_v1`",
		Options: []string{"level", "tokenizer"}, Open: inFloat32(openPickScore),
	},
	{
		Name: "hpsv2", Use: "hpsv2:FILE?tokenizer=DIR", Weights: "HPS_v2.1_compressed.pt of huggingface.co/xswu/HPSv2, converted to safetensors",
		Options: []string{"level", "tokenizer"}, Open: inFloat32(openHPSv2),
	},
	{
		Name: "aesthetic", Use: "aesthetic:FILE?clip=DIR", Weights: "sac+logos+ava1-l14-linearMSE.pth of christophschuhmann/improved-aesthetic-predictor, converted to safetensors" + withOption,
		Options: []string{"level", "clip"}, Open: inFloat32(openAesthetic),
	},
	{
		Name: "imagereward", Use: "imagereward:FILE?tokenizer=DIR", Weights: "ImageReward.pt of huggingface.co/THUDM/ImageReward, converted to safetensors; tokenizer.json of google-bert/bert-base-uncased",
		Options: []string{"level", "tokenizer"}, Open: inFloat32(openImageReward),
	},
	{
		Name: "safety", Use: "safety:DIR", Weights: "the safety_checker folder of a Stable Diffusion 1.5",
		Open: inFloat32(openSafetyChecker),
	},
	{
		Name: "q16", Use: "q16:FILE?clip=DIR", Weights: "data/ViT-L-14/prompts.p of github.com/ml-research/Q16, converted to safetensors" + withOption,
		Options: []string{"clip"}, Open: inFloat32(openQ16),
	},
	{
		Name: "vit", Use: "vit:DIR?label=LABEL", Weights: "`focusnfix pull Falconsai/nsfw_image_detection` (label nsfw), or any ViTForImageClassification",
		Options: []string{"label"}, Open: inFloat32(openViT),
	},
	{
		Name: "multihead", Use: "multihead:FILE?clip=DIR", Weights: "checkpoints/multi-headed/violent.pt, sexual.pt or disturbing.pt of github.com/YitingQu/unsafe-diffusion, converted to safetensors" + withOption,
		Options: []string{"clip"}, Open: inFloat32(openMultiHead),
	},
	{
		Name: "eva", Use: "eva:DIR?label=LABEL", Weights: "`focusnfix pull Freepik/nsfw_image_detector` (label high), or any EVA-02 classifier of timm",
		Options: []string{"label"}, Open: inFloat32(openEVA),
	},
	{
		Name: "segformer", Use: "segformer:DIR?label=LABEL", Weights: "a SegformerForSemanticSegmentation folder with one label, or several: the map of faulty pixels",
		Options: []string{"label"}, Open: inFloat32(openSegFormer),
	},
	{
		Name: "torchscript", Use: "torchscript:FILE", Weights: "torch.jit.save of a module with score(images) and heatmap(images)",
		Open: inFloat32(openScript),
	},
}

func inFloat32(open func(path string, options url.Values, at place) (Reward, error)) func(string, url.Values, torch.Device) (Reward, error) {
	return func(path string, options url.Values, device torch.Device) (Reward, error) {
		return open(path, options, place{device, torch.Float32})
	}
}

func openBuiltin(name string, _ url.Values, device torch.Device) (Reward, error) {
	switch name {
	case "nsfw-mid":
		return NewNSFWMid(device)
	case "nsfw-small":
		return NewNSFWSmall(device)
	}
	return nil, fmt.Errorf("no network %q is built in", name)
}

// Open loads the reward that a configuration names: its kind, a colon, the path of its weights and
// options, "vit:/models/nsfw?label=nsfw". More kinds than this package's may be given. An error is one
// line that says what is known, or where the weights come from.
func Open(spec string, device torch.Device, more ...Kind) (Reward, error) {
	known := slices.Concat(kinds, more)
	name, rest, _ := strings.Cut(spec, ":")
	i := slices.IndexFunc(known, func(k Kind) bool { return k.Name == name })
	if i < 0 {
		uses := make([]string, len(known))
		for i, k := range known {
			uses[i] = k.Use
		}
		return nil, fmt.Errorf("reward %q: unknown, want %s", spec, strings.Join(uses, ", "))
	}
	r, err := known[i].open(rest, device)
	if err != nil {
		return nil, fmt.Errorf("reward %q: %w", spec, oneLine(err))
	}
	return r, nil
}

func (k Kind) open(rest string, device torch.Device) (Reward, error) {
	path, query, _ := strings.Cut(rest, "?")
	options, err := url.ParseQuery(query)
	if err != nil {
		return nil, fmt.Errorf("options %q: %w, want key=value&key=value", query, err)
	}
	for key := range options {
		if !slices.Contains(k.Options, key) {
			return nil, fmt.Errorf("unknown option %s, want %s", key, k.Use)
		}
	}
	if path == "" {
		return nil, fmt.Errorf("no path, want %s; weights: %s", k.Use, k.Weights)
	}
	r, err := k.Open(path, options, device)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%w; want %s; weights: %s", err, k.Use, k.Weights)
	case err != nil:
		return nil, err
	}
	return r, nil
}

// MapPaths returns a spec of Open's with every file and folder in it as change says; one of a kind that
// is not known here, or that comes with the program, as it is. code reports that the file is a program,
// which runs when it is loaded.
func MapPaths(spec string, change func(path string, code bool) string) string {
	name, rest, found := strings.Cut(spec, ":")
	known := slices.IndexFunc(kinds, func(k Kind) bool { return k.Name == name })
	if !found || known < 0 || name == "builtin" {
		return spec
	}
	path, query, hasQuery := strings.Cut(rest, "?")
	mapped := name + ":" + change(path, name == "torchscript")
	if !hasQuery {
		return mapped
	}
	options := strings.Split(query, "&")
	for i, option := range options {
		key, value, _ := strings.Cut(option, "=")
		if plain, err := url.QueryUnescape(value); err == nil && (key == "clip" || key == "tokenizer") {
			options[i] = key + "=" + url.QueryEscape(change(plain, false))
		}
	}
	return mapped + "?" + strings.Join(options, "&")
}
