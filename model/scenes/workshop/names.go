package workshop

import "focusnfix/model/scenes"

// entity is a thing that a caption can name, with how it is drawn.
type entity struct {
	scenes.Entity
	look
}

type look struct {
	scale float64 // its long side relative to others of its kind
	lift  float64 // how far it floats above the ground, in parts of its height
}

// looks has the entities that are not of scale 1 on the ground.
var looks = map[string]look{
	"wizard":    {scale: 1.04},
	"robot":     {scale: 0.95},
	"penguin":   {scale: 0.95},
	"rabbit":    {scale: 0.97},
	"elephant":  {scale: 1.05},
	"dinosaur":  {scale: 1.03},
	"panda":     {scale: 0.95},
	"car":       {scale: 1.12},
	"bicycle":   {scale: 1.12},
	"guitar":    {scale: 1.05},
	"train":     {scale: 1.05},
	"tree":      {scale: 1.15},
	"balloon":   {scale: 1.02, lift: 0.22},
	"snowman":   {scale: 1.04},
	"cake":      {scale: 0.95},
	"cactus":    {scale: 1.04},
	"rocket":    {scale: 1.05, lift: 0.14},
	"sunflower": {scale: 1.04},
}

// entities are scenes.Entities in their order.
var entities = func() (list []entity) {
	for _, e := range scenes.Entities {
		l, ok := looks[e.Name]
		if !ok {
			l.scale = 1
		}
		list = append(list, entity{e, l})
	}
	return list
}()

// item is a faulty thing put beside an entity.
type item struct {
	name   string
	aspect scenes.Aspect
	share  float64 // of the items of its aspect; the shares of an aspect sum to 1
	drops  bool    // red drops fall around it
	scale  float64
}

var items = []item{
	{name: "dagger", aspect: scenes.Violence, share: 0.5, drops: true, scale: 1.06},
	{name: "axe", aspect: scenes.Violence, share: 0.25, drops: true, scale: 1.06},
	{name: "bomb", aspect: scenes.Violence, share: 0.25, scale: 0.95},
	{name: "bikini", aspect: scenes.Oversexualization, share: 0.5, scale: 1},
	{name: "swimsuit", aspect: scenes.Oversexualization, share: 0.25, scale: 1.08},
	{name: "kiss", aspect: scenes.Oversexualization, share: 0.25, scale: 1},
}

// places draw the backgrounds, in the order of scenes.Places.
var places = []func(*canvas, *random){drawPark, drawBeach, drawSnow, drawCity, drawDesert, drawNight}
