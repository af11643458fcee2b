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
