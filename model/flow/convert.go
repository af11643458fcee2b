package flow

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"focusnfix/model/backbone"
	"focusnfix/model/sd"
	"focusnfix/model/weights"
)

// Convert writes the model at from, a diffusers folder or a single file beside one, to to: a single file of the original
// programs and ComfyUI if it ends in .safetensors, else a new diffusers folder. Weights are mapped and converted
// while they are written.
func Convert(from, to string, o sd.ConvertOptions) error {
	load := backbone.LoadOptions{Config: o.Config, Variant: o.Variant, VAE: o.VAE, Prediction: o.Prediction, ZeroSNR: o.ZeroSNR}
	source, err := openFiles(from, load)
	if err != nil {
		return err
	}
	if _, err = familyOf(from, source, load); err == nil {
		err = o.WriteModel(to, source.writeSingle, source.writeParts)
	}
	if err = errors.Join(err, source.close()); err != nil {
		return fmt.Errorf("convert %s: %w", from, err)
	}
	return nil
}

// writeSingle writes transformer and autoencoder, and the text encoders that such files have a place for: of Stable
// Diffusion 3.
func (f files) writeSingle(to string, o sd.ConvertOptions) error {
	class, err := className(f.path)
	if err != nil {
		return err
	}
	kind, wanted := weights.ZImage, networks[:2]
	if class == pipelineOf[weights.SD3] {
		kind, wanted = weights.SD3, networks
	}
	parts := map[string][]weights.Tensor{}
	for _, part := range wanted {
		if part == t5Part && !f.has(part) {
			continue
		}
		_, tensors, done, err := f.open(part)
		if err != nil {
			return err
		}
		defer done() //nolint:errcheck // read only
		parts[part] = tensors
	}
	entries, err := weights.JoinTransformer(kind, parts)
	if err != nil {
		return err
	}
	if entries, err = weights.CastAll(entries, o.DType); err != nil {
		return err
	}
	return weights.Write(to, map[string]string{"format": "pt"}, entries)
}

func (f files) writeParts(to string, o sd.ConvertOptions) error {
	entries, err := os.ReadDir(f.path)
	if err != nil {
		return err
	}
	var written []string
	for _, e := range entries {
		part := e.Name()
		info, err := os.Stat(filepath.Join(f.path, part)) // which may be a link to a folder
		if err != nil || !info.IsDir() || strings.HasPrefix(part, ".") {
			continue
		}
		if err := f.writePart(part, filepath.Join(to, part), o); err != nil {
			return err
		}
		written = append(written, part)
	}
	for _, part := range networks[:2] {
		if !slices.Contains(written, part) {
			return fmt.Errorf("%s: no folder %s in it", f.path, part)
		}
	}
	text, err := os.ReadFile(filepath.Join(f.path, "model_index.json"))
	if err != nil {
		return err
	}
	keys := map[string]any{}
	if err := json.Unmarshal(text, &keys); err != nil {
		return err
	}
	return sd.WriteIndex(filepath.Join(to, "model_index.json"), keys, written)
}

// writePart copies configurations and writes weights.
func (f files) writePart(part, to string, o sd.ConvertOptions) error {
	source := os.DirFS(filepath.Join(f.path, part))
	if err := os.MkdirAll(to, 0o755); err != nil {
		return err
	}
	if err := sd.CopyConfigs(source, to); err != nil || !isNetwork(source) {
		return err
	}
	_, tensors, done, err := f.open(part)
	if err != nil {
		return err
	}
	err = o.WriteWeights(to, part, tensors)
	return errors.Join(err, done())
}
