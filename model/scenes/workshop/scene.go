package workshop

import (
	"image"

	"focusnfix/model/scenes"
)

// Scene is one image with everything that is known about it. Its buffers are reused when the same
// Scene is drawn again.
type Scene struct {
	Pixels  []uint8 // [Size,Size,3] RGB, row by row
	Prompt  scenes.Prompt
	Caption string
	// Masks are [Size,Size] each, row by row; 1 is the faulty region, 0 the rest. A mask holds every
	// pixel that the fault changed. A missing entity's is the rectangle where it should stand.
	Masks  [scenes.NumAspects][]uint8
	Faulty [scenes.NumAspects]bool
	// Entities are what the caption names, in its order: one or two.
	Entities []Entity
}

// Entity is one thing that the caption names, and what the image shows in its place.
type Entity struct {
	Name  string          // in the caption
	Kind  scenes.Kind     // of Name
	Drawn string          // in the image: Name, another name if it is wrong, "" if it is missing
	Box   image.Rectangle // where Drawn is, or where Name should be if it is missing; pixels
	Mask  []uint8         // [Size,Size], 1 where Drawn is seen: nothing in front of it; all 0 if it is missing
}

// Missing reports whether the image lacks the entity.
func (e *Entity) Missing() bool { return e.Drawn == "" }

// Wrong reports whether the image shows something else in the entity's place.
func (e *Entity) Wrong() bool { return e.Drawn != "" && e.Drawn != e.Name }

// Image returns a copy of the image.
func (s *Scene) Image() *image.NRGBA {
	picture := image.NewNRGBA(image.Rect(0, 0, scenes.Size, scenes.Size))
	for i := range scenes.Size * scenes.Size {
		copy(picture.Pix[4*i:], s.Pixels[3*i:3*i+3])
		picture.Pix[4*i+3] = 255
	}
	return picture
}

// reset empties the scene and makes room for a plan with n entities.
func (s *Scene) reset(n int) {
	s.Pixels = sized(s.Pixels, 3*scenes.Size*scenes.Size)
	for a := range s.Masks {
		s.Masks[a] = sized(s.Masks[a], scenes.Size*scenes.Size)
		clear(s.Masks[a])
	}
	s.Faulty = [scenes.NumAspects]bool{}
	if cap(s.Entities) < n {
		s.Entities = append(s.Entities[:cap(s.Entities)], make([]Entity, n-cap(s.Entities))...)
	}
	s.Entities = s.Entities[:n]
	for i := range s.Entities {
		mask := sized(s.Entities[i].Mask, scenes.Size*scenes.Size)
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
