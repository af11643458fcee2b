// Package families opens models of every family that this program draws with and trains.
package families

import (
	"focusnfix/model/backbone"
	"focusnfix/model/flow"
	"focusnfix/model/sd"
)

// Open loads the model in a diffusers folder or a single file, whatever its family.
func Open(path string, o backbone.LoadOptions) (backbone.Model, error) {
	if flow.Draws(path) {
		return model(flow.Load(path, o))
	}
	return model(sd.Load(path, o))
}

// model keeps a nil pointer out of the interface.
func model[M backbone.Model](m M, err error) (backbone.Model, error) {
	if err != nil {
		return nil, err
	}
	return m, nil
}
