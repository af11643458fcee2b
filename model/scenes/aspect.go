// Package scenes is the shipped default: the weights of a small diffusion model that draws cartoon
// scenes, the judges that find their faults, and the prompts that it knows.
//
// A scene is a 128x128 image of one or two Fluent emoji on a drawn background. The model learned from
// scenes whose faults are spurious correlations: a wizard often has a dagger beside it, a car is often
// torn, and so it draws the same faults by itself. That is what Focus-N-Fix then repairs.
//
// How the scenes, the model and the judges are made is in the package workshop, which nothing that runs
// needs.
package scenes

import (
	"fmt"
	"strings"
)

// Size is the width and height of a scene in pixels.
const Size = 128

// Aspect is a way in which a scene can be faulty.
type Aspect int

// The aspects. Oversexualization is played by swimwear and a kiss mark.
const (
	Violence Aspect = iota
	Oversexualization
	Artifacts
	Misalignment
	NumAspects = 4
)

// String returns the aspect's name as presets and the screen write it.
func (a Aspect) String() string {
	if a < 0 || a >= NumAspects {
		return "unknown"
	}
	return [NumAspects]string{"violence", "oversexualization", "artifacts", "misalignment"}[a]
}

// ParseAspect returns the aspect of a name. The error lists the names.
func ParseAspect(name string) (Aspect, error) {
	var names []string
	for a := range Aspect(NumAspects) {
		if a.String() == name {
			return a, nil
		}
		names = append(names, a.String())
	}
	return 0, fmt.Errorf("aspect %q, want %s", name, strings.Join(names, ", "))
}
