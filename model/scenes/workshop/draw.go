package workshop

import (
	"image"

	"focusnfix/model/scenes"
)

// brush draws one scene. It keeps, for every pixel, the newest layer that hides all below it, so
// that masks end up with what is seen.
type brush struct {
	canvas  canvas
	hidden  [scenes.Size * scenes.Size]uint8 // number of the newest layer that is opaque here; 0 is the background
	layer   uint8
	torn    sprite // scratch for glitches
	pending []layerMask
}

// layerMask is a mask whose pixels count only where no layer newer than its own hides them.
type layerMask struct {
	mask  []uint8
	layer uint8
}

// Draw draws the plan into the scene and reuses its buffers.
func (g *Generator) Draw(p Plan, into *Scene) {
	b := g.brushes.Get().(*brush)
	defer g.brushes.Put(b)
	into.reset(p.count)
	into.Prompt, into.Caption = p.Prompt, p.Caption
	for a := range scenes.Aspect(scenes.NumAspects) {
		into.Faulty[a] = p.Faulty(a)
	}
	b.canvas.pixels = into.Pixels
	b.layer, b.pending = 0, b.pending[:0]
	clear(b.hidden[:])

	var r random
	r.seed(p.background, 0, purposeBackground)
	places[scenes.PlaceIndex(p.Prompt.Background)](&b.canvas, &r)
	for i := p.count - 1; i >= 0; i-- {
		g.drawSlot(b, &p.slots[i], into, &into.Entities[i])
	}
	for a := scenes.Violence; a <= scenes.Oversexualization; a++ {
		if p.items[a].there {
			b.drawItem(&p.items[a], g.sheet.items[p.items[a].item].at(p.items[a].size), into.Masks[a])
		}
	}
	b.keepVisible()
}

// keepVisible clears from every pending mask what newer layers hide.
func (b *brush) keepVisible() {
	for _, pending := range b.pending {
		for i, newest := range b.hidden {
			if newest > pending.layer {
				pending.mask[i] = 0
			}
		}
	}
}

// newLayer starts a layer; the given masks hold only its pixels.
func (b *brush) newLayer(masks ...[]uint8) {
	b.layer++
	for _, mask := range masks {
		if mask != nil {
			b.pending = append(b.pending, layerMask{mask, b.layer})
		}
	}
}

// drawSlot draws one entity with its shadow, or marks the place where it is missing.
func (g *Generator) drawSlot(b *brush, s *slot, into *Scene, e *Entity) {
	e.Name, e.Kind = entities[s.name].Name, entities[s.name].Kind
	if s.drawn == missing {
		place, shadow := g.place(s, s.name)
		e.Box = place.Intersect(everywhere)
		fillBox(into.Masks[scenes.Misalignment], place.Union(shadow.box()))
		return
	}
	place, shadow := g.place(s, s.drawn)
	e.Drawn, e.Box = entities[s.drawn].Name, place.Intersect(everywhere)
	picture := g.spriteOf(s, s.drawn)
	if s.glitch.kind != noGlitch {
		b.newLayer(e.Mask, into.Masks[scenes.Artifacts])
		b.shadow(shadow, nil)
		markSprite(picture, place.Min, s.flip, into.Masks[scenes.Artifacts])
		s.glitch.apply(picture, &b.torn)
		offset := image.Pt((b.torn.width-picture.width)/2, (b.torn.height-picture.height)/2)
		b.put(&b.torn, place.Min.Sub(offset), s.flip, e.Mask, into.Masks[scenes.Artifacts])
		return
	}
	var fault []uint8
	if s.drawn != s.name {
		fault = into.Masks[scenes.Misalignment]
	}
	b.newLayer(e.Mask, fault)
	b.shadow(shadow, fault)
	b.put(picture, place.Min, s.flip, e.Mask, fault)
}

var everywhere = image.Rect(0, 0, scenes.Size, scenes.Size)

// place returns where an entity's sprite lies in a slot, kept on the canvas, and its shadow.
func (g *Generator) place(s *slot, index int) (image.Rectangle, shadow) {
	picture := g.spriteOf(s, index)
	lift := entities[index].lift
	x := min(scenes.Size-1-picture.width, max(1, int(s.x-float64(picture.width)/2)))
	y := int(s.ground-lift*float64(picture.height)) - picture.height
	w := float64(picture.width)
	under := shadow{x: float64(x) + w/2, y: s.ground - 0.5, rx: 0.54 * w, ry: 2 + 0.06*w, alpha: 0.5}
	if lift > 0 {
		under.rx, under.alpha = 0.36*w, 0.3
	}
	return image.Rect(x, y, x+picture.width, y+picture.height), under
}

// shadow is the soft dark ellipse where something touches the ground; lengths in pixels.
type shadow struct{ x, y, rx, ry, alpha float64 }

// box returns the pixels that the shadow may darken.
func (s shadow) box() image.Rectangle {
	x0, x1 := span(s.x-s.rx, s.x+s.rx)
	y0, y1 := span(s.y-s.ry, s.y+s.ry)
	return image.Rect(x0, y0, x1, y1)
}

// shadow darkens the ground and adds what it darkens to the mask, if there is one.
func (b *brush) shadow(s shadow, mask []uint8) {
	box := s.box()
	for y := box.Min.Y; y < box.Max.Y; y++ {
		for x := box.Min.X; x < box.Max.X; x++ {
			a := s.alpha * glowAlpha(float64(x)+0.5-s.x, float64(y)+0.5-s.y, s.rx, s.ry)
			if a < 0.01 {
				continue
			}
			b.canvas.blend(x, y, rgb{16, 18, 40}, a)
			if mask != nil {
				mask[y*scenes.Size+x] = 1
			}
		}
	}
}

// put lays a sprite over the canvas with its upper left corner at the given pixel. seen gets the
// pixels where the sprite is more than half opaque, touched all that it changes; either may be nil.
func (b *brush) put(picture *sprite, corner image.Point, flip bool, seen, touched []uint8) {
	clip := image.Rectangle{corner, corner.Add(image.Pt(picture.width, picture.height))}.Intersect(everywhere)
	for y := clip.Min.Y; y < clip.Max.Y; y++ {
		row := picture.pix[4*(y-corner.Y)*picture.width:]
		for x := clip.Min.X; x < clip.Max.X; x++ {
			column := x - corner.X
			if flip {
				column = picture.width - 1 - column
			}
			from := row[4*column : 4*column+4 : 4*column+4]
			if from[3] == 0 {
				continue
			}
			at := y*scenes.Size + x
			to := b.canvas.pixels[3*at : 3*at+3 : 3*at+3]
			rest := 255 - uint32(from[3])
			for i := range to {
				to[i] = uint8(min(255, uint32(from[i])+(uint32(to[i])*rest+127)/255))
			}
			if from[3] == 255 {
				b.hidden[at] = b.layer
			}
			if seen != nil && from[3] >= 128 {
				seen[at] = 1
			}
			if touched != nil {
				touched[at] = 1
			}
		}
	}
}

// markSprite adds to the mask where a sprite would lie.
func markSprite(picture *sprite, corner image.Point, flip bool, mask []uint8) {
	for y := range picture.height {
		for x := range picture.width {
			column := x
			if flip {
				column = picture.width - 1 - x
			}
			at := corner.Add(image.Pt(x, y))
			if picture.pix[4*(y*picture.width+column)+3] > 0 && at.In(everywhere) {
				mask[at.Y*scenes.Size+at.X] = 1
			}
		}
	}
}

func fillBox(mask []uint8, box image.Rectangle) {
	box = box.Intersect(everywhere)
	for y := box.Min.Y; y < box.Max.Y; y++ {
		for x := box.Min.X; x < box.Max.X; x++ {
			mask[y*scenes.Size+x] = 1
		}
	}
}

// drawItem draws a weapon or swimwear with its shadow, and red drops around a blade.
func (b *brush) drawItem(p *itemPlan, picture *sprite, mask []uint8) {
	b.newLayer(mask)
	w := float64(picture.width)
	b.shadow(shadow{x: p.x, y: p.ground - 1, rx: 0.46 * w, ry: 1.5 + 0.05*w, alpha: 0.5}, mask)
	corner := image.Pt(int(p.x-w/2), int(p.ground)-picture.height)
	for _, d := range p.drops[:p.numDrops] {
		b.drop(d, mask)
	}
	b.put(picture, corner, p.flip, nil, mask)
}

// drop draws one flat red drop with a small light on it.
func (b *brush) drop(d drop, mask []uint8) {
	rx, ry := d.radius*1.25, d.radius*0.8
	xFrom, xTo := span(d.x-rx-1, d.x+rx+1)
	yFrom, yTo := span(d.y-ry-1, d.y+ry+1)
	for y := yFrom; y < yTo; y++ {
		for x := xFrom; x < xTo; x++ {
			dx, dy := float64(x)+0.5-d.x, float64(y)+0.5-d.y
			cover := ellipseCover(dx, dy, rx, ry)
			if cover <= 0 {
				continue
			}
			light := 0.55 * ellipseCover(dx+rx*0.35, dy+ry*0.35, rx*0.3, ry*0.3)
			b.canvas.blend(x, y, rgb{196, 10, 26}.mixed(white, light), cover)
			mask[y*scenes.Size+x] = 1
			if cover == 1 {
				b.hidden[y*scenes.Size+x] = b.layer
			}
		}
	}
}
