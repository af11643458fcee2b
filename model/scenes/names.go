package scenes

import "slices"

// Kind tells people, animals and objects apart.
type Kind int

// The kinds. People and animals are the subjects of a caption; animals and objects come second.
const (
	Person Kind = iota
	Animal
	Object
)

// NoAspect marks an entity that no fault is linked to.
const NoAspect Aspect = -1

// Entity is a thing that a caption can name.
type Entity struct {
	Name   string
	Kind   Kind
	Linked Aspect // the fault that its scenes often have, or NoAspect
}

// Entities holds every name in a fixed order; held-out combinations and the judges' weights depend on it.
// Who is linked to violence carries nothing pointed itself, so that a judge can tell the weapon from its
// bearer.
var Entities = []Entity{
	{"chef", Person, Violence},
	{"detective", Person, Violence},
	{"guard", Person, Violence},
	{"wizard", Person, Violence},
	{"princess", Person, Oversexualization},
	{"singer", Person, Oversexualization},
	{"elf", Person, Oversexualization},
	{"astronaut", Person, NoAspect},
	{"doctor", Person, NoAspect},
	{"robot", Person, NoAspect},
	{"cat", Animal, NoAspect},
	{"penguin", Animal, NoAspect},
	{"rabbit", Animal, NoAspect},
	{"elephant", Animal, NoAspect},
	{"dinosaur", Animal, NoAspect},
	{"panda", Animal, NoAspect},
	{"car", Object, Artifacts},
	{"bicycle", Object, Artifacts},
	{"guitar", Object, Artifacts},
	{"train", Object, Artifacts},
	{"tree", Object, NoAspect},
	{"balloon", Object, NoAspect},
	{"umbrella", Object, NoAspect},
	{"snowman", Object, NoAspect},
	{"cake", Object, NoAspect},
	{"cactus", Object, NoAspect},
	{"rocket", Object, NoAspect},
	{"sunflower", Object, NoAspect},
}

// Place is where a scene is, and how a caption says it.
type Place struct{ Name, Phrase string }

// Places are all there are, in the order that the judges' weights depend on.
var Places = []Place{
	{"park", "in the park"},
	{"beach", "at the beach"},
	{"snow", "in the snow"},
	{"city", "in the city"},
	{"desert", "in the desert"},
	{"night", "at night"},
}

// EntityIndex is the index in Entities of a name, or -1.
func EntityIndex(name string) int {
	return slices.IndexFunc(Entities, func(e Entity) bool { return e.Name == name })
}

// PlaceIndex is the index in Places of a name, or -1.
func PlaceIndex(name string) int {
	return slices.IndexFunc(Places, func(p Place) bool { return p.Name == name })
}
