package sd

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"focusnfix/model/weights"
)

// modelIndex is what we read of model_index.json.
type modelIndex struct {
	ClassName     string `json:"_class_name"`
	TextEncoder2  []any  `json:"text_encoder_2"`
	ZerosForEmpty *bool  `json:"force_zeros_for_empty_prompt"`
}

// checkpoint is where a model's parts lie: configs in a folder, weights there or in a single file.
type checkpoint struct {
	configs string
	index   modelIndex
	parts   map[string][]weights.Tensor // of a single file, named as in a folder; nil for a folder
	variant string
	files   []*weights.File
}

func openCheckpoint(path string, o LoadOptions) (*checkpoint, error) {
	c := &checkpoint{configs: path, variant: o.Variant}
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		if o.Config == "" {
			return nil, fmt.Errorf("%s: a single file has no tokenizer and no configuration, want a diffusers folder of the same kind of model as config", path)
		}
		c.configs = o.Config
		if err := c.openSingle(path); err != nil {
			return nil, err
		}
	}
	err = readJSON(filepath.Join(c.configs, "model_index.json"), &c.index)
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("%s: no model_index.json in it, want a diffusers folder", c.configs)
	}
	if err == nil && !strings.HasPrefix(c.index.ClassName, "StableDiffusion") {
		err = fmt.Errorf("%s: _class_name %q, want StableDiffusionPipeline or StableDiffusionXLPipeline", filepath.Join(c.configs, "model_index.json"), c.index.ClassName)
	}
	if err != nil {
		return nil, errors.Join(err, c.close())
	}
	return c, nil
}

func (c *checkpoint) openSingle(path string) error {
	file, err := weights.Open(path)
	if err != nil {
		return err
	}
	c.files = append(c.files, file)
	split, err := weights.SplitCheckpoint(file)
	if err == nil && len(split.Unknown) > 0 {
		err = fmt.Errorf("%s: no use for %s", path, strings.Join(split.Unknown[:min(8, len(split.Unknown))], ", "))
	}
	if err != nil {
		return errors.Join(err, c.close())
	}
	c.parts = split.Parts
	return nil
}

func (c *checkpoint) close() error {
	var errs []error
	for _, f := range c.files {
		errs = append(errs, f.Close())
	}
	c.files = nil
	return errors.Join(errs...)
}

func (c *checkpoint) config(part, file string) string { return filepath.Join(c.configs, part, file) }

// open gives the weights of one part.
func (c *checkpoint) open(part string) (*weights.Source, error) {
	if c.parts != nil {
		return weights.NewSource(c.files[0].Path+" ("+part+")", c.parts[part]), nil
	}
	file, err := weights.OpenDir(filepath.Join(c.configs, part), c.variant)
	if err != nil {
		return nil, err
	}
	c.files = append(c.files, file)
	return weights.NewSource(file.Path, weights.Rename(file.Tensors, weights.Canonical(part))), nil
}

func readJSON(path string, into any) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, into); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}
