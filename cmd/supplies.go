package cmd

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"

	"focusnfix/core"
	"focusnfix/model/sd"
	"focusnfix/model/weights"
)

// supplies are the files and folders that presets, and rewards in docs/rewards.md, name, with where they come from. What a user has under another
// name or place is theirs: only these names are fetched.
var supplies = []weights.Supply{
	{Name: "stable-diffusion-v1-5", Repo: "stable-diffusion-v1-5/stable-diffusion-v1-5"},
	{Name: "stable-diffusion-xl-base-1.0", Repo: "stabilityai/stable-diffusion-xl-base-1.0"},
	{Name: "stable-diffusion-3.5-medium", Repo: "stabilityai/stable-diffusion-3.5-medium"},
	{Name: "Z-Image-Turbo", Repo: "Tongyi-MAI/Z-Image-Turbo"},
	{Name: "sdxl-turbo", Repo: "stabilityai/sdxl-turbo"},
	{Name: "taesd", Repo: "madebyollin/taesd"},
	{Name: "taesdxl", Repo: "madebyollin/taesdxl"},
	{Name: "taesd3", Repo: "madebyollin/taesd3"},
	{Name: "taef1", Repo: "madebyollin/taef1"},
	{Name: "clip-vit-large-patch14", Repo: "openai/clip-vit-large-patch14"},
	{Name: "PickScore_v1", Repo: "yuvalkirstain/PickScore_v1"},
	{Name: "nsfw_image_detection", Repo: "Falconsai/nsfw_image_detection"},
	{Name: "q16.safetensors", Repo: "ml-research/Q16", File: "data/ViT-L-14/prompts.p", GitHub: true},
	{Name: "hpsv2.safetensors", Repo: "xswu/HPSv2", File: "HPS_v2.1_compressed.pt"},
	{
		Name: "aesthetic.safetensors", Repo: "christophschuhmann/improved-aesthetic-predictor",
		File: "sac+logos+ava1-l14-linearMSE.pth", GitHub: true,
	},
	{Name: "imagereward.safetensors", Repo: "THUDM/ImageReward", File: "ImageReward.pt"},
	{Name: "bert-base-uncased", Repo: "google-bert/bert-base-uncased"},
	{Name: "stable-diffusion-safety-checker", Repo: "CompVis/stable-diffusion-safety-checker"},
	{Name: "nsfw_image_detector", Repo: "Freepik/nsfw_image_detector"},
}

// namedBy lists the files and folders of a configuration: the model, and what its rewards read. Parts of the
// program are left out.
func namedBy(c core.Config) []string {
	var names []string
	add := func(name string) {
		if name != "" && !strings.HasPrefix(name, "builtin:") && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	add(c.Model.Path)
	if c.Sample.Preview != sd.OwnDecoder {
		add(c.Sample.Preview)
	}
	for _, r := range c.Reward {
		for _, spec := range []string{r.Model, r.HeldOut} {
			kind, rest, ok := strings.Cut(spec, ":")
			if !ok || kind == "builtin" {
				continue
			}
			file, query, _ := strings.Cut(rest, "?")
			add(file)
			options, err := url.ParseQuery(query)
			if err != nil {
				continue // opening the reward says so
			}
			for _, key := range []string{"clip", "tokenizer"} {
				add(options.Get(key))
			}
		}
	}
	return names
}

// supplyOf finds where a name comes from.
func supplyOf(name string) (weights.Supply, bool) {
	i := slices.IndexFunc(supplies, func(s weights.Supply) bool { return s.Name == strings.TrimSuffix(name, "/") })
	if i < 0 {
		return weights.Supply{}, false
	}
	return supplies[i], true
}

// requireFiles refuses a configuration whose files are missing, with the command that fetches them.
func requireFiles(c core.Config, preset string) error {
	var missing []string
	known := false
	for _, name := range namedBy(c) {
		if _, err := os.Stat(name); err != nil && errors.Is(err, os.ErrNotExist) {
			missing = append(missing, name)
			_, ok := supplyOf(name)
			known = known || ok
		}
	}
	if !known {
		return nil // what else is missing, loading it says, and where it comes from
	}
	err := fmt.Errorf("not in this folder: %s", strings.Join(missing, ", "))
	return hintedError{err, fmt.Sprintf("focusnfix pull -p %s fetches them; --dry-run says from where, how much and under which license", preset)}
}
