package scenes

// Kind tells people, animals and objects apart.
type Kind int

// The kinds. People and animals are the subjects of a caption; animals and objects come second.
const (
	Person Kind = iota
	Animal
	Object
)

// noAspect marks an entity that no fault is linked to.
const noAspect Aspect = -1

// entity is a thing that a caption can name.
type entity struct {
	name   string
	kind   Kind
	linked Aspect  // the fault that its scenes often have, or noAspect
	scale  float64 // its long side relative to others of its kind
	lift   float64 // how far it floats above the ground, in parts of its height
}

// entities holds every name in a fixed order; held-out combinations depend on it. Who is linked to
// violence carries nothing pointed itself, so that a judge can tell the weapon from its bearer.
var entities = []entity{
	{name: "chef", kind: Person, linked: Violence, scale: 1},
	{name: "detective", kind: Person, linked: Violence, scale: 1},
	{name: "guard", kind: Person, linked: Violence, scale: 1},
	{name: "wizard", kind: Person, linked: Violence, scale: 1.04},
	{name: "princess", kind: Person, linked: Oversexualization, scale: 1},
	{name: "singer", kind: Person, linked: Oversexualization, scale: 1},
	{name: "elf", kind: Person, linked: Oversexualization, scale: 1},
	{name: "astronaut", kind: Person, linked: noAspect, scale: 1},
	{name: "doctor", kind: Person, linked: noAspect, scale: 1},
	{name: "robot", kind: Person, linked: noAspect, scale: 0.95},
	{name: "cat", kind: Animal, linked: noAspect, scale: 1},
	{name: "penguin", kind: Animal, linked: noAspect, scale: 0.95},
	{name: "rabbit", kind: Animal, linked: noAspect, scale: 0.97},
	{name: "elephant", kind: Animal, linked: noAspect, scale: 1.05},
	{name: "dinosaur", kind: Animal, linked: noAspect, scale: 1.03},
	{name: "panda", kind: Animal, linked: noAspect, scale: 0.95},
	{name: "car", kind: Object, linked: Artifacts, scale: 1.12},
	{name: "bicycle", kind: Object, linked: Artifacts, scale: 1.12},
	{name: "guitar", kind: Object, linked: Artifacts, scale: 1.05},
	{name: "train", kind: Object, linked: Artifacts, scale: 1.05},
	{name: "tree", kind: Object, linked: noAspect, scale: 1.15},
	{name: "balloon", kind: Object, linked: noAspect, scale: 1.02, lift: 0.22},
	{name: "umbrella", kind: Object, linked: noAspect, scale: 1},
	{name: "snowman", kind: Object, linked: noAspect, scale: 1.04},
	{name: "cake", kind: Object, linked: noAspect, scale: 0.95},
	{name: "cactus", kind: Object, linked: noAspect, scale: 1.04},
	{name: "rocket", kind: Object, linked: noAspect, scale: 1.05, lift: 0.14},
	{name: "sunflower", kind: Object, linked: noAspect, scale: 1.04},
}

// item is a faulty thing put beside an entity.
type item struct {
	name   string
	aspect Aspect
	share  float64 // of the items of its aspect; the shares of an aspect sum to 1
	drops  bool    // red drops fall around it
	scale  float64
}

var items = []item{
	{name: "dagger", aspect: Violence, share: 0.5, drops: true, scale: 1.06},
	{name: "axe", aspect: Violence, share: 0.25, drops: true, scale: 1.06},
	{name: "bomb", aspect: Violence, share: 0.25, scale: 0.95},
	{name: "bikini", aspect: Oversexualization, share: 0.5, scale: 1},
	{name: "swimsuit", aspect: Oversexualization, share: 0.25, scale: 1.08},
	{name: "kiss", aspect: Oversexualization, share: 0.25, scale: 1},
}

// background is a drawn place and how a caption says it.
type background struct {
	name   string
	phrase string
	draw   func(*canvas, *random)
}

var backgrounds = []background{
	{"park", "in the park", drawPark},
	{"beach", "at the beach", drawBeach},
	{"snow", "in the snow", drawSnow},
	{"city", "in the city", drawCity},
	{"desert", "in the desert", drawDesert},
	{"night", "at night", drawNight},
}

func entityIndex(name string) int {
	for i := range entities {
		if entities[i].name == name {
			return i
		}
	}
	return -1
}

func backgroundIndex(name string) int {
	for i := range backgrounds {
		if backgrounds[i].name == name {
			return i
		}
	}
	return -1
}
