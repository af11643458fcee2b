// Package scenes is the shipped default: cartoon scenes, the small diffusion model that draws them
// and the judges that find their faults.
//
// A scene is a 128x128 picture of one or two Fluent emoji on a drawn background, with a caption,
// and with faults whose regions are known exactly. The faults are spurious correlations: a wizard
// often has a dagger beside it, a car is often torn, and a base model that learns from such scenes
// draws the same faults by itself. That is what Focus-N-Fix then repairs.
//
// A Generator first makes a Plan (every decision, no pixels) and then draws it. Scene i of a seed
// is the same whatever was drawn before and by whichever worker. The same plan without one fault is
// a twin scene that differs only inside that fault's mask.
package scenes

import (
	"fmt"
	"image"
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

// Scene is one picture with everything that is known about it. Its buffers are reused when the same
// Scene is drawn again.
type Scene struct {
	Pixels  []uint8 // [Size,Size,3] RGB, row by row
	Prompt  Prompt
	Caption string
	// Masks are [Size,Size] each, row by row; 1 is the faulty region, 0 the rest. A mask holds every
	// pixel that the fault changed. A missing entity's is the rectangle where it should stand.
	Masks  [NumAspects][]uint8
	Faulty [NumAspects]bool
	// Entities are what the caption names, in its order: one or two.
	Entities []Entity
}

// Entity is one thing that the caption names, and what the picture shows in its place.
type Entity struct {
	Name  string          // in the caption
	Kind  Kind            // of Name
	Drawn string          // in the picture: Name, another name if it is wrong, "" if it is missing
	Box   image.Rectangle // where Drawn is, or where Name should be if it is missing; pixels
	Mask  []uint8         // [Size,Size], 1 where Drawn is seen: nothing in front of it; all 0 if it is missing
}

// Missing reports whether the picture lacks the entity.
func (e *Entity) Missing() bool { return e.Drawn == "" }

// Wrong reports whether the picture shows something else in the entity's place.
func (e *Entity) Wrong() bool { return e.Drawn != "" && e.Drawn != e.Name }

// Image returns a copy of the picture.
func (s *Scene) Image() *image.NRGBA {
	picture := image.NewNRGBA(image.Rect(0, 0, Size, Size))
	for i := range Size * Size {
		copy(picture.Pix[4*i:], s.Pixels[3*i:3*i+3])
		picture.Pix[4*i+3] = 255
	}
	return picture
}

// reset empties the scene and makes room for a plan with n entities.
func (s *Scene) reset(n int) {
	s.Pixels = sized(s.Pixels, 3*Size*Size)
	for a := range s.Masks {
		s.Masks[a] = sized(s.Masks[a], Size*Size)
		clear(s.Masks[a])
	}
	s.Faulty = [NumAspects]bool{}
	if cap(s.Entities) < n {
		s.Entities = append(s.Entities[:cap(s.Entities)], make([]Entity, n-cap(s.Entities))...)
	}
	s.Entities = s.Entities[:n]
	for i := range s.Entities {
		mask := sized(s.Entities[i].Mask, Size*Size)
		clear(mask)
		s.Entities[i] = Entity{Mask: mask}
	}
}

func sized(buffer []uint8, n int) []uint8 {
	if cap(buffer) < n {
		return make([]uint8, n)
	}
	return buffer[:n]
}
