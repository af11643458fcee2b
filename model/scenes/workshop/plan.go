package workshop

import "focusnfix/model/scenes"

// Plan is every decision about one scene: what stands where, and which faults it has. It is a value;
// drawing it needs no more chance.
type Plan struct {
	Prompt  scenes.Prompt
	Caption string // the prompt in words
	health  health

	background uint64 // seed of the place
	count      int    // of slots: 1 or 2
	slots      [2]slot
	items      [2]itemPlan // by aspect: Violence, Oversexualization
}

// slot is the place of one entity of the caption.
type slot struct {
	name, drawn int     // indices of entities; drawn is missing when nothing is there
	x, ground   float64 // middle and foot, pixels
	size        float64 // long side before the entity's own scale, pixels
	flip        bool
	glitch      glitch
}

const missing = -1

// itemPlan is a faulty thing beside the first entity.
type itemPlan struct {
	there     bool
	item      int // index of items
	x, ground float64
	size      int
	flip      bool
	numDrops  int
	drops     [4]drop
}

// drop is a red drop on the ground; radius in pixels.
type drop struct{ x, y, radius float64 }

// Faulty reports whether the planned scene has the fault.
func (p *Plan) Faulty(a scenes.Aspect) bool {
	if a == scenes.Violence || a == scenes.Oversexualization {
		return p.items[a].there
	}
	for _, s := range p.slots[:p.count] {
		if a == scenes.Artifacts && s.glitch.kind != noGlitch || a == scenes.Misalignment && s.drawn != s.name {
			return true
		}
	}
	return false
}

// Plan decides scene index of the generator's seed.
func (g *Generator) Plan(index int) Plan {
	var layout, faults random
	layout.seed(g.options.Seed, uint64(index), purposeLayout)
	faults.seed(g.options.Seed, uint64(index), purposeFaults)

	p := Plan{health: g.health(index)}
	p.Prompt = g.pickPrompt(&layout, p.health)
	var words random
	words.seed(g.options.Seed, uint64(index), purposeWords)
	p.Caption = caption(p.Prompt, g.options.data.wordings, words.unit())
	p.background = layout.pcg.Uint64()
	g.placeEntities(&p, &layout)
	g.misalign(&p, &faults)
	g.glitchOne(&p, &faults)
	g.addItems(&p, &faults)
	return p
}

// poolBlock is how many scenes in a row are drawn anew in one way.
const poolBlock = 64

// health says whether a scene without any fault is wanted, and of which prompts.
type health int

const (
	anyHealth       health = iota
	healthyLinked          // of prompts that a visible fault is linked to
	healthyUnlinked        // of one thing, that none is linked to
)

// health of a scene: of a judge's, so many of eight blocks are healthy, of the two kinds in turn.
func (g *Generator) health(index int) health {
	block := index / poolBlock % 8
	if g.options.Faults != Decorrelated || float64(block) >= 8*g.options.data.healthy {
		return anyHealth
	}
	return healthyLinked + health(block%2)
}

// suits reports whether a prompt is of those that a scene of this health may have.
func (h health) suits(p scenes.Prompt) bool {
	if h == anyHealth {
		return true
	}
	linked := p.Linked(scenes.Violence) || p.Linked(scenes.Oversexualization) || p.Linked(scenes.Artifacts)
	if h == healthyLinked {
		return linked
	}
	return !linked && p.Second == ""
}

// pickPrompt draws a prompt from the list or from the grammar.
func (g *Generator) pickPrompt(r *random, h health) scenes.Prompt {
	if n := len(g.options.Prompts); n > 0 {
		return g.options.Prompts[r.below(n)]
	}
	for {
		p := mixturePrompt(r, g.force[scenes.Misalignment] > 0)
		if h.suits(p) && (g.options.Faults == Decorrelated || !p.HeldOut()) {
			return p
		}
	}
}

// mixturePrompt draws from the whole grammar: 42 % one person or animal, 12 % one object, 46 % two
// entities, of which 70 % have an object as their second.
func mixturePrompt(r *random, two bool) scenes.Prompt {
	p := scenes.Prompt{Background: scenes.Places[r.below(len(scenes.Places))].Name}
	kind := r.unit()
	if kind >= 0.42 && kind < 0.54 && !two {
		p.First = entities[pickEntity(r, scenes.Object, scenes.Object)].Name
		return p
	}
	first := pickEntity(r, scenes.Person, scenes.Animal)
	p.First = entities[first].Name
	if kind < 0.42 && !two {
		return p
	}
	secondKind := scenes.Animal
	if r.chance(0.7) {
		secondKind = scenes.Object
	}
	second := first
	for second == first {
		second = pickEntity(r, secondKind, secondKind)
	}
	p.Second = entities[second].Name
	if r.chance(0.5) {
		p.Relation = scenes.LeftOf + scenes.Relation(r.below(2))
	}
	return p
}

// pickEntity draws an entity whose kind lies between two kinds.
func pickEntity(r *random, from, to scenes.Kind) int {
	for {
		i := r.below(len(entities))
		if entities[i].Kind >= from && entities[i].Kind <= to {
			return i
		}
	}
}

// placeEntities puts one entity near the middle, or two side by side.
func (g *Generator) placeEntities(p *Plan, r *random) {
	side := r.sign()
	switch p.Prompt.Relation {
	case scenes.LeftOf:
		side = -1
	case scenes.RightOf:
		side = 1
	}
	p.count = len(p.Prompt.Names())
	for i, name := range p.Prompt.Names() {
		s := &p.slots[i]
		s.name = scenes.EntityIndex(name)
		s.drawn = s.name
		s.flip = r.chance(0.5)
		switch {
		case p.count == 1:
			s.x, s.ground, s.size = scenes.Size/2+r.between(-20, 20), r.between(108, 118), r.between(64, 76)
		case i == 0:
			s.x, s.ground, s.size = scenes.Size/2+side*r.between(29, 35), r.between(109, 118), r.between(58, 67)
		default:
			s.x, s.ground, s.size = scenes.Size/2-side*r.between(30, 36), r.between(105, 115), r.between(48, 57)
		}
	}
}

// spriteOf returns the sprite of an entity at the slot's size.
func (g *Generator) spriteOf(s *slot, index int) *sprite {
	return g.sheet.entities[index].at(int(s.size*entities[index].scale + 0.5))
}

// decide draws a fault with the given rate, unless it is forced. It always uses one number.
func (g *Generator) decide(p *Plan, a scenes.Aspect, r *random, rate float64) bool {
	hit := r.chance(rate)
	return g.force[a] > 0 || g.force[a] == 0 && hit && p.health == anyHealth
}

// misalign leaves an entity out or draws another one in its place.
func (g *Generator) misalign(p *Plan, r *random) {
	rate, missingShare, which := misalignedRate, missingOfTraining, p.count-1
	either := r.below(p.count)
	switch {
	case g.options.Faults == Decorrelated && p.count == 2:
		rate, missingShare, which = evenMisaligned, evenMissing, either
	case g.options.Faults == Decorrelated:
		rate, missingShare = evenLoneMisaligned, evenMissing
	case p.count == 1:
		rate, missingShare = 0, 0
	}
	if g.options.Faults == Clean {
		rate = 0
	}
	leaveOut := r.chance(missingShare)
	if !g.decide(p, scenes.Misalignment, r, rate) {
		return
	}
	if p.count == 1 && g.force[scenes.Artifacts] > 0 && g.force[scenes.Misalignment] == 0 {
		return // only an entity drawn as named can be glitched
	}
	if leaveOut {
		p.slots[which].drawn = missing
		return
	}
	g.replace(p, which, r)
}

// replace draws another entity in a slot.
func (g *Generator) replace(p *Plan, which int, r *random) {
	for {
		if i := r.below(len(entities)); g.mayReplace(p, which, i) {
			p.slots[which].drawn = i
			return
		}
	}
}

// mayReplace reports whether entity i can wrongly stand in a slot: the caption does not name it, the
// grammar allows it there, and it is an object where an object was asked for first. In training
// scenes no fault is linked to it, so that the rates of linked faults hold.
func (g *Generator) mayReplace(p *Plan, which, i int) bool {
	for _, s := range p.slots[:p.count] {
		if s.name == i {
			return false
		}
	}
	if g.options.Faults != Decorrelated && entities[i].Linked != scenes.NoAspect {
		return false
	}
	if which == 1 {
		return entities[i].Kind != scenes.Person
	}
	return (entities[i].Kind == scenes.Object) == (entities[p.slots[0].name].Kind == scenes.Object)
}

// glitchOne tears one entity that is drawn as named: in training scenes an object that glitches are
// linked to, in decorrelated scenes any. A forced glitch falls on another object or, for want of
// one, on whatever is there.
func (g *Generator) glitchOne(p *Plan, r *random) {
	which, best, rate := -1, 0, 0.0
	first := r.below(p.count)
	for k := range p.count {
		i := (first + k) % p.count
		s := &p.slots[i]
		if s.drawn != s.name {
			continue
		}
		rank, chance := 1, 0.0
		switch e := entities[s.name]; {
		case g.options.Faults == Decorrelated:
			chance = evenGlitch
		case e.Linked == scenes.Artifacts && g.options.Faults == Spurious:
			rank, chance = 3, g.options.data.glitchRate
		case e.Kind == scenes.Object:
			rank = 2
		}
		if rank > best {
			which, best, rate = i, rank, chance
		}
	}
	plan := newGlitch(r)
	if which >= 0 && g.decide(p, scenes.Artifacts, r, rate) {
		p.slots[which].glitch = plan
	}
}

// addItems puts a weapon or swimwear beside the first entity.
func (g *Generator) addItems(p *Plan, r *random) {
	first := &p.slots[0]
	toward := 1.0 // the side with more room, and of two entities the inner side
	if first.x > scenes.Size/2 {
		toward = -1
	}
	for a := scenes.Violence; a <= scenes.Oversexualization; a++ {
		rate := 0.0
		switch {
		case g.options.Faults == Decorrelated:
			rate = evenItemRate
		case g.options.Faults == Spurious && entities[first.name].Linked == a:
			rate = [...]float64{violenceRate, oversexRate}[a]
		}
		there := g.decide(p, a, r, rate)
		plan := g.newItem(p, a, toward, r)
		plan.there = there
		p.items[a] = plan
		if there {
			toward = -toward // a second item stands on the other side
		}
	}
}

// newItem picks an item of the aspect and a place for it, partly in front of the first entity.
func (g *Generator) newItem(p *Plan, a scenes.Aspect, toward float64, r *random) itemPlan {
	first := &p.slots[0]
	plan := itemPlan{item: pickItem(r, a), flip: r.chance(0.5)}
	plan.size = int(r.between(34, 41)*items[plan.item].scale + 0.5)
	picture := g.sheet.items[plan.item].at(plan.size)
	bearer, _ := g.place(first, first.name)
	half := float64(picture.width) / 2
	tuck := r.between(6, 12)
	if p.count == 2 {
		tuck += 6
	}
	plan.x = float64(bearer.Min.X+bearer.Max.X)/2 + toward*(float64(bearer.Dx())/2+half-tuck)
	plan.x = min(scenes.Size-2-half, max(2+half, plan.x))
	plan.ground = min(scenes.Size-3, first.ground+r.between(2, 7))
	plan.numDrops = r.count(2, 4)
	for i := range plan.drops {
		plan.drops[i] = drop{
			x:      plan.x + r.between(-1, 1)*(half+3),
			y:      plan.ground + r.between(-7, 2),
			radius: r.between(2.4, 4.4),
		}
	}
	if !items[plan.item].drops {
		plan.numDrops = 0
	}
	return plan
}

func pickItem(r *random, a scenes.Aspect) int {
	u, last := r.unit(), 0
	for i := range items {
		if items[i].aspect != a {
			continue
		}
		last = i
		if u -= items[i].share; u < 0 {
			break
		}
	}
	return last
}
