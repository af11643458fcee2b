// Package families opens models of every family that this program draws with and trains.
package families

import (
	"fmt"
	"io"
	"os"

	"focusnfix/model/backbone"
	"focusnfix/model/flow"
	"focusnfix/model/sd"
)

// Names lists the families, as people call them.
func Names() []string {
	return []string{"Stable Diffusion 1.x", "2.x", "XL", "3", "3.5", "Z-Image"}
}

// Open loads the model in a diffusers folder or a single file, whatever its family.
func Open(path string, o backbone.LoadOptions) (backbone.Model, error) {
	if err := refuse(path); err != nil {
		return nil, err
	}
	if flow.Draws(path) {
		return model(flow.Load(path, o))
	}
	return model(sd.Load(path, o))
}

// Inspect says what a model is and what would be used of it, without loading it. With every, all weights are read in
// search of NaN and infinity.
func Inspect(path string, o backbone.LoadOptions, every bool) (backbone.Facts, error) {
	if err := refuse(path); err != nil {
		return backbone.Facts{}, err
	}
	if flow.Draws(path) {
		return flow.Inspect(path, o, every)
	}
	return sd.Inspect(path, o, every)
}

// Convert writes the model at from to to: a single file if it ends in .safetensors, else a new diffusers folder. Weights
// are mapped and converted while they are written, never held in memory as a whole.
func Convert(from, to string, o sd.ConvertOptions) error {
	if err := refuse(from); err != nil {
		return err
	}
	if flow.Draws(from) {
		return flow.Convert(from, to, o)
	}
	return sd.Convert(from, to, o)
}

// refuse says what a file is that no family reads, where that can be told.
func refuse(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return nil // which loading says better
	}
	defer file.Close() //nolint:errcheck // read only
	var head [4]byte
	if _, err := io.ReadFull(file, head[:]); err == nil && string(head[:]) == "GGUF" {
		return fmt.Errorf("%s: is a GGUF file, whose quantized weights are not read; want a .safetensors file or a diffusers folder of the same model", path)
	}
	return nil
}

// model keeps a nil pointer out of the interface.
func model[M backbone.Model](m M, err error) (backbone.Model, error) {
	if err != nil {
		return nil, err
	}
	return m, nil
}
