package sd

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"focusnfix/model/backbone"
	"focusnfix/model/config"
	"focusnfix/model/weights"
)

// ConvertOptions say what Convert makes.
type ConvertOptions struct {
	DType      weights.DType // of float weights: F32, F16 or BF16; "" keeps what is there
	Variant    string        // of a source folder's files, as in LoadOptions
	Config     string        // as in LoadOptions
	VAE        string        // as in LoadOptions
	Prediction string        // as in LoadOptions; goes into the scheduler_config.json of a folder, or a single file's marks
	ZeroSNR    *bool         // as Prediction
	ShardBytes uint64        // the most that one file of a folder holds

	Warn func(line string) // as in LoadOptions
}

// Convert writes the model at from, a diffusers folder or single file, to to: a single file of the
// ldm and sgm layouts if it ends in .safetensors, else a new diffusers folder. Weights are mapped and
// converted while they are written, never held in memory as a whole.
func Convert(from, to string, o ConvertOptions) error {
	c, err := openCheckpoint(from, backbone.LoadOptions{
		Config: o.Config, Variant: o.Variant, VAE: o.VAE, Prediction: o.Prediction, ZeroSNR: o.ZeroSNR, Warn: o.Warn,
	})
	if err != nil {
		return err
	}
	err = o.WriteModel(to, c.writeSingle, c.writeParts)
	if err = errors.Join(err, c.close()); err != nil {
		return fmt.Errorf("convert %s: %w", from, err)
	}
	return nil
}

// WriteModel writes a model to to, which must not be there: by single if it ends in .safetensors, else by parts into a
// folder beside it, which gets the name when it is whole.
func (o ConvertOptions) WriteModel(to string, single, parts func(to string, o ConvertOptions) error) error {
	if _, err := os.Stat(to); err == nil {
		return fmt.Errorf("%s: is there already", to)
	}
	if strings.HasSuffix(to, ".safetensors") {
		return single(to, o)
	}
	unfinished := filepath.Clean(to) + ".unfinished"
	if err := os.MkdirAll(unfinished, 0o755); err != nil {
		return err
	}
	if err := parts(unfinished, o); err != nil {
		return errors.Join(err, os.RemoveAll(unfinished))
	}
	return os.Rename(unfinished, to)
}

// partNames lists the folders below the configuration's.
func (c *checkpoint) partNames() ([]string, error) {
	entries, err := fs.ReadDir(c.configs.files, ".")
	var names []string
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") {
			continue
		}
		if info, err := fs.Stat(c.configs.files, e.Name()); err == nil && info.IsDir() { // or a link to a folder
			names = append(names, e.Name())
		}
	}
	return names, err
}

// tensors are the weights of one part; none for a part without, and for one that a single file cannot
// have, such as a safety checker of the configuration's folder.
func (c *checkpoint) tensors(part string) ([]weights.Tensor, error) {
	if !slices.Contains(modelParts, part) {
		if found, _ := fs.Glob(c.folder(part).files, "*.safetensors*"); c.whole != "" || len(found) == 0 {
			return nil, nil
		}
	}
	_, tensors, err := c.open(part)
	return withoutBuffers(tensors), err
}

func withoutBuffers(tensors []weights.Tensor) []weights.Tensor {
	return slices.DeleteFunc(slices.Clone(tensors), func(t weights.Tensor) bool {
		return strings.HasSuffix(t.Name, "position_ids")
	})
}

func (c *checkpoint) writeSingle(to string, o ConvertOptions) error {
	kind, err := c.kind()
	if err != nil {
		return err
	}
	parts := map[string][]weights.Tensor{}
	for _, part := range modelParts {
		if part == "text_encoder_2" && kind != weights.SDXL {
			continue
		}
		if parts[part], err = c.tensors(part); err != nil {
			return err
		}
	}
	entries, err := weights.JoinCheckpoint(kind, parts)
	if err != nil {
		return err
	}
	if entries, err = weights.CastAll(entries, o.DType); err != nil {
		return err
	}
	scheduler, err := c.schedulerConfig("")
	if err != nil {
		return err
	}
	tensors, header := marksOf(scheduler).entries()
	header["format"] = "pt"
	return weights.Write(to, header, append(entries, tensors...))
}

// kind is the family, by what the configuration says. The layouts of single files number blocks as if
// every level had two resnets, and the VAE four levels.
func (c *checkpoint) kind() (weights.Kind, error) {
	unet, err := c.folder("unet").unetConfig()
	if err != nil {
		return "", err
	}
	vae, err := c.folder("vae").vaeConfig()
	if err != nil {
		return "", err
	}
	for i := range unet.BlockOutChannels {
		if unet.LayersPerBlock.At(i) != 2 || len(vae.BlockOutChannels) != 4 {
			return "", fmt.Errorf("%s: a single file holds two layers per block and a vae of four levels only", c.configs.name)
		}
	}
	return c.family(unet)
}

// family is the kind of architecture, whatever the sizes.
func (c *checkpoint) family(unet UNetConfig) (weights.Kind, error) {
	text, err := c.folder("text_encoder").textConfig()
	switch {
	case err != nil:
		return "", err
	case unet.AdditionEmbedType != "":
		return weights.SDXL, nil
	case text.HiddenAct == "gelu": // OpenCLIP's
		return weights.SD2, nil
	}
	return weights.SD1, nil
}

func (c *checkpoint) writeParts(to string, o ConvertOptions) error {
	names, err := c.partNames()
	if err != nil {
		return err
	}
	for _, part := range modelParts[:3] {
		if !slices.Contains(names, part) {
			return fmt.Errorf("%s: no folder %s in it, or one that cannot be read", c.configs.name, part)
		}
	}
	var written []string
	for _, part := range names {
		ok, err := c.writePart(part, filepath.Join(to, part), o)
		if err != nil {
			return err
		}
		if ok {
			written = append(written, part)
		}
	}
	keys := map[string]any{}
	if err := c.configs.readJSON("model_index.json", &keys); err != nil {
		return err
	}
	return WriteIndex(filepath.Join(to, "model_index.json"), keys, written)
}

// writePart copies configuration and writes weights; false means that the source lacks the weights of
// a part which needs some, such as a safety checker of the configuration's folder.
func (c *checkpoint) writePart(part, dir string, o ConvertOptions) (bool, error) {
	tensors, err := c.tensors(part)
	if err != nil {
		return false, err
	}
	source := c.folder(part)
	if len(tensors) == 0 && source.hasWeights() {
		return false, nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return false, err
	}
	if err := c.writeConfigs(part, dir); err != nil || len(tensors) == 0 {
		return err == nil, err
	}
	return true, o.WriteWeights(dir, part, tensors)
}

// WriteWeights writes the weights of a part into its folder, in shards where they are large.
func (o ConvertOptions) WriteWeights(dir, part string, tensors []weights.Tensor) error {
	entries := make([]weights.Entry, len(tensors))
	for i, t := range tensors {
		entries[i] = t.Entry()
	}
	entries, err := weights.CastAll(entries, o.DType)
	if err != nil {
		return err
	}
	stem := "model"
	if slices.Contains([]string{"unet", "transformer", "vae"}, part) {
		stem = "diffusion_pytorch_model"
	}
	_, err = weights.WriteSharded(dir, stem, map[string]string{"format": "pt"}, entries, o.ShardBytes)
	return err
}

// writeConfigs writes what a part has beside weights: a tokenizer's vocabulary and the small files.
func (c *checkpoint) writeConfigs(part, dir string) error {
	source := c.folder(part)
	if strings.HasPrefix(part, "tokenizer") && source.disk == "" {
		tokenizer, err := source.tokenizer()
		if err != nil {
			return err
		}
		if err := tokenizer.SaveVocabulary(dir); err != nil {
			return err
		}
	}
	if err := CopyConfigs(source.files, dir); err != nil || part != "scheduler" || c.marks == (marks{}) {
		return err
	}
	file, text, err := source.read("scheduler_config.json")
	if err != nil {
		return err
	}
	keys, err := config.Object(file, text)
	if err != nil {
		return err
	}
	scheduler, err := c.schedulerConfig("")
	if err != nil {
		return err
	}
	keys["prediction_type"], keys["rescale_betas_zero_snr"] = scheduler.PredictionType, scheduler.RescaleBetasToZero
	keys["timestep_spacing"] = scheduler.TimestepSpacing
	if lambda, ok := keys["lambda_min_clipped"].(float64); ok && math.IsInf(lambda, 0) { // JSON has no word for it; it is the default
		delete(keys, "lambda_min_clipped")
	}
	return writeJSON(filepath.Join(dir, "scheduler_config.json"), keys)
}

// CopyConfigs copies the small files: configurations, vocabularies, licenses; no weights and no index
// of shards.
func CopyConfigs(from fs.FS, to string) error {
	entries, err := fs.ReadDir(from, ".")
	if err != nil {
		return err
	}
	for _, e := range entries {
		name := e.Name()
		if e.IsDir() || !slices.Contains([]string{".json", ".txt", ".md"}, filepath.Ext(name)) || strings.Contains(name, ".index.") {
			continue
		}
		text, err := fs.ReadFile(from, name)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(to, name), text, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// WriteIndex writes a model_index.json with these keys, in which all parts but those that were written are absent.
func WriteIndex(path string, keys map[string]any, parts []string) error {
	for key, value := range keys {
		if list, ok := value.([]any); ok && len(list) == 2 && list[0] != nil && !slices.Contains(parts, key) {
			keys[key] = []any{nil, nil}
			if key == "safety_checker" {
				keys["requires_safety_checker"] = false
			}
		}
	}
	return writeJSON(path, keys)
}

func writeJSON(path string, value any) error {
	text, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(text, '\n'), 0o644)
}
