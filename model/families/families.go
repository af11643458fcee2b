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
		return flow.Load(path, o)
	}
	return sd.Load(path, o)
}
