package sd

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"focusnfix/model/config"
)

// pipelines are the classes whose parts are those of a Stable Diffusion model, SDXL or not. What an image
// is made from beside a prompt (another image, a mask) does not change the parts.
var pipelines = map[string]bool{
	"StableDiffusionPipeline": false, "StableDiffusionImg2ImgPipeline": false, "StableDiffusionInpaintPipeline": false,
	"LatentConsistencyModelPipeline": false, "LatentConsistencyModelImg2ImgPipeline": false,
	"StableDiffusionXLPipeline": true, "StableDiffusionXLImg2ImgPipeline": true, "StableDiffusionXLInpaintPipeline": true,
}

// indexKeys are the parameters of the pipelines' constructors; those of parts are lists of a library and a
// class, or of null.
var indexKeys = map[string]string{
	"vae": "", "unet": "", "scheduler": "", "text_encoder": "", "text_encoder_2": "", "tokenizer": "", "tokenizer_2": "",
	"force_zeros_for_empty_prompt": "",
	"safety_checker":               "looks at finished images", "feature_extractor": "of the safety checker",
	"image_encoder": "of image prompts", "requires_safety_checker": "about the safety checker", "add_watermarker": "of finished images",
	"requires_aesthetics_score": "of image-to-image with the refiner",
}

// readIndex reads a model_index.json. warn is told of a pipeline that is somebody's own.
func readIndex(file string, values map[string]any, warn func(string)) (index modelIndex, err error) {
	index.zerosForEmpty = true
	switch class := values["_class_name"].(type) {
	case []any: // a file of the folder, and the class in it
		warn(fmt.Sprintf("%s: names a pipeline of its own, %s, whose code is not run; drawn as Stable Diffusion", file, config.Show(class)))
	case string:
		if _, known := pipelines[class]; !known {
			return index, fmt.Errorf("%s: _class_name: %s %s, want one of Stable Diffusion 1.x, 2.x, XL, 3 or 3.5, or Z-Image", file, config.Show(class), strangers(class))
		}
		index.className = class
	default:
		return index, fmt.Errorf("%s: _class_name: %s, want StableDiffusionPipeline or StableDiffusionXLPipeline", file, config.Show(class))
	}
	for _, key := range slices.Sorted(maps.Keys(values)) {
		if _, known := indexKeys[key]; !known && key[:min(1, len(key))] != "_" && classOf(values[key]) != "" {
			return index, fmt.Errorf("%s: %.40s: %s: unknown part; it may change the images, so the model is refused", file, key, config.Show(values[key]))
		}
	}
	for _, part := range []string{"text_encoder", "text_encoder_2"} {
		if value, named := values[part]; classOf(value) != "" || !named && part == "text_encoder" {
			index.encoders = append(index.encoders, part[len("text_encoder"):])
		}
	}
	index.scheduler = classOf(values["scheduler"])
	if zeros, ok := values["force_zeros_for_empty_prompt"].(bool); ok {
		index.zerosForEmpty = zeros
	}
	return index, nil
}

// strangers says what a pipeline that is not drawn with belongs to.
func strangers(class string) string {
	for _, of := range []struct{ begin, family string }{
		{"Flux2", "FLUX.2"},
		{"Flux", "FLUX"},
		{"Chroma", "Chroma"},
		{"QwenImage", "Qwen-Image"},
		{"HiDream", "HiDream"},
		{"Sana", "Sana"},
		{"PixArt", "PixArt"},
		{"Lumina", "Lumina"},
		{"HunyuanDiT", "Hunyuan-DiT"},
		{"Kolors", "Kolors"},
		{"Kandinsky", "Kandinsky"},
		{"StableCascade", "Stable Cascade"},
		{"Wan", "Wan"},
		{"StableVideo", "Stable Video Diffusion"},
	} {
		if strings.HasPrefix(class, of.begin) {
			return "is a model of " + of.family
		}
	}
	return "is not supported"
}

// classOf is the class of a part, "" where there is none; other values stand for themselves.
func classOf(value any) string {
	switch v := value.(type) {
	case nil:
		return ""
	case []any:
		if len(v) == 2 {
			class, _ := v[1].(string)
			return class
		}
	}
	return config.Show(value)
}
