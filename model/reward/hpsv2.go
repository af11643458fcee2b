package reward

import (
	"fmt"
	"math"
	"net/url"
	"path/filepath"

	"focusnfix/model/clip"
	"focusnfix/model/weights"
)

// hpsLevel is near the mean of HPSv2 over images of Stable Diffusion.
const hpsLevel = 0.27

// Width of one attention head in OpenCLIP's ViT-H/14; the file does not tell.
const (
	openCLIPVisionHead = 80
	openCLIPTextHead   = 64
)

// openHPSv2 opens the Human Preference Score v2 or v2.1 (Wu et al., arXiv 2306.09341): an OpenCLIP
// ViT-H/14 in one file. The score is the bare cosine, as its authors print it.
func openHPSv2(path string, options url.Values, at place) (Reward, error) {
	level, err := levelOption(options, hpsLevel)
	if err != nil {
		return nil, err
	}
	file, err := weights.Open(path)
	if err != nil {
		return nil, err
	}
	tensors, err := weights.FromOpenCLIP(file)
	if err != nil {
		_ = file.Close()
		return nil, err
	}
	config, err := openCLIPConfig(path, tensors)
	if err != nil {
		_ = file.Close()
		return nil, err
	}
	// Its program resizes to the longest side and pads with black, on floats.
	prepare := clipPreparation(config.Vision.ImageSize)
	prepare.fit, prepare.unclamped = fitLongest, true
	s := &clipScore{level: level}
	err = s.load(file, tensors, config, prepare, tokenizerDir(filepath.Dir(path), options), at)
	s.unit = 1
	return s, err
}

// openCLIPConfig reads the sizes of both encoders off the shapes of their tensors.
func openCLIPConfig(path string, tensors []weights.Tensor) (clip.Config, error) {
	shapes := map[string][]int64{}
	layers := map[string]int{}
	for _, t := range tensors {
		shapes[t.Name] = t.Shape
		for _, tower := range []string{"vision_model", "text_model"} {
			var n int
			if _, err := fmt.Sscanf(t.Name, tower+".encoder.layers.%d.", &n); err == nil {
				layers[tower] = max(layers[tower], n+1)
			}
		}
	}
	var missing error
	size := func(name string, dim int) int64 {
		if s := shapes[name]; dim < len(s) && s[dim] > 0 {
			return s[dim]
		}
		if missing == nil {
			missing = fmt.Errorf("%s: %s: missing, want a CLIP in OpenCLIP's layout (visual.conv1.weight, transformer.resblocks...)", path, name)
		}
		return 1
	}
	patch := size("vision_model.embeddings.patch_embedding.weight", 3)
	tokens := size("vision_model.embeddings.position_embedding.weight", 0) - 1
	c := clip.Config{ProjectionDim: size("visual_projection.weight", 0)}
	c.Vision = clip.VisionConfig{
		HiddenSize:       size("vision_model.embeddings.patch_embedding.weight", 0),
		IntermediateSize: size("vision_model.encoder.layers.0.mlp.fc1.weight", 0),
		NumHiddenLayers:  layers["vision_model"], NumChannels: 3, PatchSize: patch,
		ImageSize: patch * int64(math.Round(math.Sqrt(float64(tokens)))),
		HiddenAct: "gelu", LayerNormEps: 1e-5, ProjectionDim: c.ProjectionDim,
	}
	c.Text = clip.TextConfig{
		VocabSize:             size("text_model.embeddings.token_embedding.weight", 0),
		HiddenSize:            size("text_model.embeddings.token_embedding.weight", 1),
		IntermediateSize:      size("text_model.encoder.layers.0.mlp.fc1.weight", 0),
		MaxPositionEmbeddings: size("text_model.embeddings.position_embedding.weight", 0),
		NumHiddenLayers:       layers["text_model"], EOSTokenID: 2, // the end token is the greatest id
		HiddenAct: "gelu", LayerNormEps: 1e-5, ProjectionDim: c.ProjectionDim, Architectures: []string{"CLIPModel"},
	}
	if missing != nil {
		return c, missing
	}
	if c.Vision.HiddenSize%openCLIPVisionHead != 0 || c.Text.HiddenSize%openCLIPTextHead != 0 {
		return c, fmt.Errorf("%s: encoders of width %d and %d, want multiples of %d and %d: is it a ViT-H/14?",
			path, c.Vision.HiddenSize, c.Text.HiddenSize, openCLIPVisionHead, openCLIPTextHead)
	}
	c.Vision.NumAttentionHeads = c.Vision.HiddenSize / openCLIPVisionHead
	c.Text.NumAttentionHeads = c.Text.HiddenSize / openCLIPTextHead
	return c, nil
}
