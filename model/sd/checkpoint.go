package sd

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"focusnfix/model/backbone"
	"focusnfix/model/config"
	"focusnfix/model/weights"
)

// modelIndex is what we read of model_index.json.
type modelIndex struct {
	className     string
	scheduler     string // class; "" is what the scheduler's own file says
	encoders      []string
	zerosForEmpty bool
}

// checkpoint is where a model's parts lie: configurations in a folder or built in, weights in that
// folder or in single files.
type checkpoint struct {
	configs folder
	vae     folder // of a VAE that is not the model's own; else the zero value
	index   modelIndex
	whole   weights.Kind          // of a single file; "" for a folder
	single  map[string]partOfFile // parts that come out of single files
	marks   marks                 // of a single file, and what the user says
	warn    func(string)
	variant string
	files   []*weights.File
}

// partOfFile are the tensors of one part out of a single file, named as in a folder.
type partOfFile struct {
	name    string // what errors call it
	tensors []weights.Tensor
}

// modelParts are those that a pipeline cannot do without; only SDXL has the last one.
var modelParts = []string{"unet", "vae", "text_encoder", "text_encoder_2"}

func openCheckpoint(path string, o backbone.LoadOptions) (*checkpoint, error) {
	c := &checkpoint{configs: diskFolder(path), single: map[string]partOfFile{}, variant: o.Variant, warn: o.Warn}
	if c.warn == nil {
		c.warn = func(string) {}
	}
	if err := checkPrediction(o.Prediction, o.ZeroSNR); err != nil {
		return nil, err
	}
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: no such file or folder, want a diffusers folder or a .safetensors file; `focusnfix pull` fetches one", path)
	}
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		c.marks = c.marks.overrule(o.Prediction, o.ZeroSNR)
		err = checkVariant(path, o.Variant)
	} else {
		err = c.openSingle(path, o)
	}
	if err == nil {
		err = c.readIndex()
	}
	if err == nil && o.VAE != "" {
		err = c.openVAE(o.VAE)
	}
	if err == nil && c.whole != "" {
		err = c.complete(path)
	}
	if err != nil {
		return nil, errors.Join(err, c.close())
	}
	return c, nil
}

// checkVariant refuses a variant that no part of the folder has. One that some parts lack is fine: diffusers
// folders often have a VAE of one kind only.
func checkVariant(path, variant string) error {
	if variant == "" {
		return nil
	}
	found := map[string]bool{}
	for _, part := range modelParts {
		for _, v := range weights.Variants(filepath.Join(path, part)) {
			found[v] = true
		}
	}
	if found[variant] {
		return nil
	}
	delete(found, "")
	if len(found) == 0 {
		return fmt.Errorf("%s: no files of variant %q; there are plain ones only", path, variant)
	}
	return fmt.Errorf("%s: no files of variant %q; there are %s", path, variant, strings.Join(slices.Sorted(maps.Keys(found)), ", "))
}

func (c *checkpoint) openSingle(path string, o backbone.LoadOptions) error {
	if o.Variant != "" {
		return fmt.Errorf("%s: is a single file, which has no variants", path)
	}
	file, err := weights.Open(path)
	if err != nil {
		return err
	}
	c.files = append(c.files, file)
	split, err := splitFile(file)
	if err != nil {
		return err
	}
	if len(split.Unknown) > 0 {
		return fmt.Errorf("%s: no use for %s", path, strings.Join(split.Unknown[:min(8, len(split.Unknown))], ", "))
	}
	if err := checkChannels(path, split.Parts["unet"]); err != nil {
		return err
	}
	c.whole = split.Kind
	for part, tensors := range split.Parts {
		if len(tensors) > 0 {
			c.single[part] = partOfFile{path + " (" + part + ")", tensors}
		}
	}
	said, err := readMarks(file, split.Kind, split.Parts["unet"], o.Prediction != "")
	if err != nil {
		return err
	}
	if said.guess && o.Config != "" { // whose word counts more
		said.prediction, said.guess = "", false
	}
	c.marks = said.overrule(o.Prediction, o.ZeroSNR)
	if o.Config != "" {
		c.configs = diskFolder(o.Config)
		return nil
	}
	c.configs = builtInFolder(split.Kind, c.marks.prediction)
	if split.Kind == weights.SD2 && c.marks.prediction == "" {
		c.warn(path + ": nothing in this file of SD 2 says what it predicts; taken as v_prediction, like the models for 768 pixels; for those for 512, use --prediction epsilon")
	} else if c.marks.guess {
		c.warn(fmt.Sprintf("%s: taken as %s, by the spread of a norm's biases; --prediction overrides it", path, c.marks.prediction))
	}
	return nil
}

// splitFile takes a single file apart: a whole checkpoint, or a UNet alone, under the names of the original
// programs (as ComfyUI's folder of diffusion models has them) or of diffusers.
func splitFile(file *weights.File) (*weights.Checkpoint, error) {
	has := func(key string) bool {
		return slices.ContainsFunc(file.Tensors, func(t weights.Tensor) bool { return t.Key == key })
	}
	switch {
	case has("input_blocks.0.0.weight"):
		bare := *file
		bare.Tensors = slices.Clone(file.Tensors)
		for i := range bare.Tensors {
			bare.Tensors[i].Key = "model.diffusion_model." + bare.Tensors[i].Key
		}
		return weights.SplitCheckpoint(&bare)
	case has("conv_in.weight") && has("time_embedding.linear_1.weight"):
		split := &weights.Checkpoint{Parts: map[string][]weights.Tensor{"unet": weights.Rename(file.Tensors, weights.Canonical("unet"))}}
		for _, t := range file.Tensors {
			if strings.HasSuffix(t.Key, ".attn2.to_k.weight") && len(t.Shape) == 2 {
				split.Kind = map[int64]weights.Kind{768: weights.SD1, 1024: weights.SD2, 2048: weights.SDXL}[t.Shape[1]]
			}
		}
		if split.Kind == "" {
			return nil, fmt.Errorf("%s: a UNet of another model than Stable Diffusion 1, 2 or XL base", file.Path)
		}
		return split, nil
	}
	split, err := weights.SplitCheckpoint(file)
	if err != nil && slices.ContainsFunc(file.Tensors, isOfRefiner) {
		return nil, fmt.Errorf("%s: %w", file.Path, errRefiner)
	}
	return split, err
}

// isOfRefiner reports whether t attends to states of the width that only SDXL's refiner has.
func isOfRefiner(t weights.Tensor) bool {
	return strings.HasPrefix(t.Key, "model.diffusion_model.") && strings.HasSuffix(t.Key, ".attn2.to_k.weight") && len(t.Shape) == 2 && t.Shape[1] == 1280
}

var errRefiner = errors.New("is the SDXL refiner, which goes on from images of the base model and cannot be drawn with alone")

// checkChannels refuses UNets that want more than latents.
func checkChannels(path string, unet []weights.Tensor) error {
	i := slices.IndexFunc(unet, func(t weights.Tensor) bool { return t.Name == "conv_in.weight" })
	if i < 0 || len(unet[i].Shape) != 4 {
		return nil
	}
	if what := channelsOf[unet[i].Shape[1]]; what != "" {
		return fmt.Errorf("%s: the unet takes %d channels: %s, which cannot be drawn with", path, unet[i].Shape[1], what)
	}
	return nil
}

// channelsOf says what UNets want beside latents of four channels.
var channelsOf = map[int64]string{
	5: "a model that is told depth", 7: "an upscaler", 8: "an editing model (InstructPix2Pix)", 9: "an inpainting model",
}

func (c *checkpoint) readIndex() error {
	name, text, err := c.configs.read("model_index.json")
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s: no model_index.json in it, want a diffusers folder", c.configs.name)
	}
	if err != nil {
		return err
	}
	values, err := config.Object(name, text)
	if err == nil {
		c.index, err = readIndex(name, values, c.warn)
	}
	return err
}

// openVAE puts another VAE in place: a folder of its own or in a model's, or a file, which has the
// configuration of the model's own.
func (c *checkpoint) openVAE(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if info.IsDir() {
		c.vae = diskFolder(path)
		if _, err := fs.Stat(c.vae.files, "model_index.json"); err == nil {
			c.vae = c.vae.sub("vae")
		}
		delete(c.single, "vae")
		return nil
	}
	file, err := weights.Open(path)
	if err != nil {
		return err
	}
	c.files = append(c.files, file)
	tensors, err := weights.SplitVAE(file)
	if err != nil {
		return err
	}
	c.single["vae"] = partOfFile{path, tensors}
	return nil
}

// complete reports the parts that neither a single file nor what stands beside it has.
func (c *checkpoint) complete(path string) error {
	var missing, ways []string
	config := "--config FOLDER, a diffusers folder of " + string(c.whole) + " with its weights"
	for _, part := range modelParts {
		_, ok := c.single[part]
		switch {
		case ok, c.folder(part).hasWeights(), part == "text_encoder_2" && c.whole != weights.SDXL:
			continue
		case part == "vae":
			ways = append(ways, "--vae FILE or FOLDER")
		case !slices.Contains(ways, config):
			ways = append(ways, config)
		}
		missing = append(missing, part)
	}
	if len(missing) == 0 {
		return nil
	}
	return fmt.Errorf("%s: no %s in it, want %s", path, strings.Join(missing, ", no "), strings.Join(ways, " and "))
}

func (c *checkpoint) close() error {
	var errs []error
	for _, f := range c.files {
		errs = append(errs, f.Close())
	}
	c.files = nil
	return errors.Join(errs...)
}

// folder is where the configuration of a part lies, and its weights if no single file has them.
func (c *checkpoint) folder(part string) folder {
	if part == "vae" && c.vae.files != nil {
		return c.vae
	}
	return c.configs.sub(part)
}

// open gives the weights of one part under the names that LoRA files and most folders use, and what
// errors call their file.
func (c *checkpoint) open(part string) (name string, tensors []weights.Tensor, err error) {
	if p, ok := c.single[part]; ok {
		return p.name, p.tensors, nil
	}
	dir := c.folder(part)
	file, err := weights.OpenDir(dir.disk, c.variant)
	if err != nil {
		return "", nil, err
	}
	c.files = append(c.files, file)
	return file.Path, weights.Rename(file.Tensors, weights.Canonical(part)), nil
}
