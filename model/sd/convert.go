package sd

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"focusnfix/model/clip"
	"focusnfix/model/weights"
)

// ConvertOptions say what Convert makes.
type ConvertOptions struct {
	DType      weights.DType // of float weights: F32, F16 or BF16; "" keeps what is there
	Variant    string        // of a source folder's files, as in LoadOptions
	Config     string        // for a single file: a diffusers folder of the same kind of model
	ShardBytes uint64        // the most that one file of a folder holds
}

// Convert writes the model at from, a diffusers folder or single file, to to: a single file of the
// ldm and sgm layouts if it ends in .safetensors, else a new diffusers folder. Weights are mapped and
// converted while they are written, never held in memory as a whole.
func Convert(from, to string, o ConvertOptions) error {
	if _, err := os.Stat(to); err == nil {
		return fmt.Errorf("%s: is there already", to)
	}
	c, err := openCheckpoint(from, LoadOptions{Config: o.Config, Variant: o.Variant})
	if err != nil {
		return err
	}
	if strings.HasSuffix(to, ".safetensors") {
		err = c.writeSingle(to, o)
	} else {
		err = c.writeFolder(to, o)
	}
	if err = errors.Join(err, c.close()); err != nil {
		return fmt.Errorf("convert %s: %w", from, err)
	}
	return nil
}

// partNames lists the folders below the configuration's.
func (c *checkpoint) partNames() ([]string, error) {
	entries, err := os.ReadDir(c.configs)
	var names []string
	for _, e := range entries {
		if e.IsDir() && !strings.HasPrefix(e.Name(), ".") {
			names = append(names, e.Name())
		}
	}
	return names, err
}

// tensors are the weights of one part, named as diffusers and transformers 4 do; none for a part
// without.
func (c *checkpoint) tensors(part string) ([]weights.Tensor, error) {
	if c.parts != nil {
		return withoutBuffers(c.parts[part]), nil
	}
	file, err := weights.OpenDir(filepath.Join(c.configs, part), c.variant)
	if err != nil {
		if found, _ := filepath.Glob(filepath.Join(c.configs, part, "*.safetensors*")); len(found) == 0 && !isModelPart(part) {
			return nil, nil // a tokenizer, a scheduler
		}
		return nil, err
	}
	c.files = append(c.files, file)
	return withoutBuffers(todaysNames(part, file.Tensors)), nil
}

// isModelPart tells the parts that a pipeline cannot do without.
func isModelPart(part string) bool {
	return slices.Contains([]string{"unet", "vae", "text_encoder", "text_encoder_2"}, part)
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
	for _, part := range []string{"unet", "vae", "text_encoder", "text_encoder_2"} {
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
	if entries, err = cast(entries, o.DType); err != nil {
		return err
	}
	return weights.Write(to, map[string]string{"format": "pt"}, entries)
}

// kind is the family, by what the configuration says. The layouts of single files number blocks as if
// every level had two resnets, and the VAE four levels.
func (c *checkpoint) kind() (weights.Kind, error) {
	unet, err := LoadUNetConfig(c.config("unet", "config.json"))
	if err != nil {
		return "", err
	}
	vae, err := LoadVAEConfig(c.config("vae", "config.json"))
	if err != nil {
		return "", err
	}
	for i := range unet.BlockOutChannels {
		if unet.LayersPerBlock.At(i) != 2 || len(vae.BlockOutChannels) != 4 {
			return "", fmt.Errorf("%s: a single file holds two layers per block and a vae of four levels only", c.configs)
		}
	}
	text, err := clip.LoadTextConfig(c.config("text_encoder", "config.json"))
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

// writeFolder fills a new folder beside to and gives it its name when it is whole.
func (c *checkpoint) writeFolder(to string, o ConvertOptions) error {
	unfinished := filepath.Clean(to) + ".unfinished"
	if err := os.MkdirAll(unfinished, 0o755); err != nil {
		return err
	}
	names, err := c.partNames()
	if err != nil {
		return err
	}
	var written []string
	for _, part := range names {
		ok, err := c.writePart(part, filepath.Join(unfinished, part), o)
		if err != nil {
			return errors.Join(err, os.RemoveAll(unfinished))
		}
		if ok {
			written = append(written, part)
		}
	}
	if err := c.writeIndex(filepath.Join(unfinished, "model_index.json"), written); err != nil {
		return errors.Join(err, os.RemoveAll(unfinished))
	}
	return os.Rename(unfinished, to)
}

// writePart copies configuration and writes weights; false means that the source lacks the weights of
// a part which needs some, such as a safety checker of the configuration's folder.
func (c *checkpoint) writePart(part, dir string, o ConvertOptions) (bool, error) {
	tensors, err := c.tensors(part)
	if err != nil {
		return false, err
	}
	source := filepath.Join(c.configs, part)
	if len(tensors) == 0 && hasWeights(source) {
		return false, nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return false, err
	}
	if err := copyConfigs(source, dir); err != nil || len(tensors) == 0 {
		return err == nil, err
	}
	entries := make([]weights.Entry, len(tensors))
	for i, t := range tensors {
		entries[i] = t.Entry()
	}
	if entries, err = cast(entries, o.DType); err != nil {
		return false, err
	}
	stem := "diffusion_pytorch_model"
	if part != "unet" && part != "vae" {
		stem = "model"
	}
	_, err = weights.WriteSharded(dir, stem, map[string]string{"format": "pt"}, entries, o.ShardBytes)
	return true, err
}

// hasWeights tells whether a folder has weights of any kind.
func hasWeights(dir string) bool {
	for _, pattern := range []string{"*.safetensors", "*.bin"} {
		if found, _ := filepath.Glob(filepath.Join(dir, pattern)); len(found) > 0 {
			return true
		}
	}
	return false
}

// copyConfigs copies the small files: configurations, vocabularies, licences; no weights and no index
// of shards.
func copyConfigs(from, to string) error {
	entries, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	for _, e := range entries {
		name := e.Name()
		if e.IsDir() || !slices.Contains([]string{".json", ".txt", ".md"}, filepath.Ext(name)) || strings.Contains(name, ".index.") {
			continue
		}
		text, err := os.ReadFile(filepath.Join(from, name))
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(to, name), text, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// writeIndex writes model_index.json for the parts that were written; others become absent.
func (c *checkpoint) writeIndex(path string, parts []string) error {
	keys := map[string]any{}
	if err := readJSON(filepath.Join(c.configs, "model_index.json"), &keys); err != nil {
		return err
	}
	for key, value := range keys {
		if list, ok := value.([]any); ok && len(list) == 2 && list[0] != nil && !slices.Contains(parts, key) {
			keys[key] = []any{nil, nil}
			if key == "safety_checker" {
				keys["requires_safety_checker"] = false
			}
		}
	}
	text, err := json.MarshalIndent(keys, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(text, '\n'), fs.FileMode(0o644))
}

func cast(entries []weights.Entry, to weights.DType) ([]weights.Entry, error) {
	if to == "" {
		return entries, nil
	}
	out := make([]weights.Entry, len(entries))
	for i, e := range entries {
		converted, err := weights.Cast(e, to)
		if err != nil {
			return nil, err
		}
		out[i] = converted
	}
	return out, nil
}
