package workshop

import (
	"bytes"
	"image"
	"math"
	"reflect"
	"strings"
	"testing"

	"focusnfix/model/scenes"
)

func newGenerator(t testing.TB, options Options) *Generator {
	t.Helper()
	g, err := New(options)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// A scene depends on its seed and index alone: not on order, workers or what was drawn before.
func TestSceneIsTheSameInAnyOrder(t *testing.T) {
	const n = 60
	together := make([]Scene, n)
	newGenerator(t, Options{Seed: 7, Workers: 3}).Fill(together, 100)
	alone := newGenerator(t, Options{Seed: 7})
	var s Scene
	for i := n - 1; i >= 0; i-- {
		alone.Draw(alone.Plan(100+i), &s)
		if !reflect.DeepEqual(s, together[i]) {
			t.Fatalf("scene %d differs: %q %v, %q %v", 100+i, s.Caption, s.Faulty, together[i].Caption, together[i].Faulty)
		}
	}
}

func TestSeedsAndIndicesGiveDifferentPictures(t *testing.T) {
	seen := map[string]string{}
	for _, seed := range []uint64{0, SeedPretrain, SeedJudge, SeedHeldOutJudge, SeedValidation} {
		batch := make([]Scene, 40)
		newGenerator(t, Options{Seed: seed}).Fill(batch, 0)
		for i := range batch {
			key := string(batch[i].Pixels)
			if other, ok := seen[key]; ok {
				t.Errorf("seed %d: %q is drawn twice, also as %q", seed, batch[i].Caption, other)
			}
			seen[key] = batch[i].Caption
		}
	}
}

// A mask holds every pixel that its fault changed: the twin without the fault is equal elsewhere.
func TestMasksHoldAllThatFaultsChange(t *testing.T) {
	for _, mode := range []FaultMode{Spurious, Decorrelated} {
		g := newGenerator(t, Options{Seed: 3, Faults: mode})
		var faulty, twin Scene
		var counts [scenes.NumAspects]int
		for i := range 350 {
			plan := g.Plan(i)
			g.Draw(plan, &faulty)
			for a := range scenes.Aspect(scenes.NumAspects) {
				if !plan.Faulty(a) {
					if bytes.ContainsRune(faulty.Masks[a], 1) {
						t.Fatalf("scene %d %q: clean of %s, but its mask is not empty", i, faulty.Caption, a)
					}
					continue
				}
				counts[a]++
				g.Draw(twinPlan(plan, a), &twin)
				checkTwin(t, i, a, &faulty, &twin)
			}
		}
		for a, n := range counts {
			if n < 10 {
				t.Errorf("mode %d: only %d scenes with %s", mode, n, scenes.Aspect(a))
			}
		}
	}
}

// twinPlan returns the plan without a fault. A wrong entity's mask holds the wrong one's pixels, so
// its twin has nothing in that place.
func twinPlan(p Plan, a scenes.Aspect) Plan {
	if a == scenes.Misalignment {
		for i := range p.slots[:p.count] {
			if s := &p.slots[i]; s.drawn != missing && s.drawn != s.name {
				s.drawn = missing
				return p
			}
		}
	}
	return without(p, a)
}

func checkTwin(t *testing.T, index int, a scenes.Aspect, faulty, twin *Scene) {
	t.Helper()
	changed, marked := 0, 0
	for i, m := range faulty.Masks[a] {
		differs := !bytes.Equal(faulty.Pixels[3*i:3*i+3], twin.Pixels[3*i:3*i+3])
		if differs && m == 0 {
			t.Fatalf("scene %d %q: %s changed pixel (%d,%d) outside its mask", index, faulty.Caption, a, i%scenes.Size, i/scenes.Size)
		}
		if differs {
			changed++
		}
		marked += int(m)
	}
	// A missing entity's rectangle and a glitch's footprint hold more than what changed.
	least := map[scenes.Aspect]float64{scenes.Violence: 0.9, scenes.Oversexualization: 0.9, scenes.Artifacts: 0.4, scenes.Misalignment: 0.1}[a]
	if changed == 0 || float64(changed) < least*float64(marked) {
		t.Errorf("scene %d %q: %s changed %d of the %d pixels in its mask", index, faulty.Caption, a, changed, marked)
	}
}

// Without all faults a training scene is the clean scene of the same seed and index.
func TestCleanTwinIsTheCleanScene(t *testing.T) {
	spurious, clean := newGenerator(t, Options{Seed: 5}), newGenerator(t, Options{Seed: 5, Faults: Clean})
	for i := range 500 {
		p := spurious.Plan(i)
		for a := range scenes.Aspect(scenes.NumAspects) {
			p = without(p, a)
		}
		want := clean.Plan(i)
		for a := range scenes.Aspect(scenes.NumAspects) {
			if want.Faulty(a) {
				t.Fatalf("clean scene %d has %s", i, a)
			}
		}
		var got, expected Scene
		if i < 50 {
			spurious.Draw(p, &got)
			clean.Draw(want, &expected)
			if !bytes.Equal(got.Pixels, expected.Pixels) {
				t.Errorf("scene %d %q: without its faults it is not the clean scene", i, got.Caption)
			}
		}
		if p.Prompt != want.Prompt {
			t.Errorf("scene %d: prompt %q, clean %q", i, p.Prompt, want.Prompt)
		}
	}
}

func TestEntityMasksShowWhatIsDrawn(t *testing.T) {
	batch := make([]Scene, 300)
	newGenerator(t, Options{Seed: 9, Faults: Decorrelated}).Fill(batch, 0)
	for i := range batch {
		for k := range batch[i].Entities {
			e := &batch[i].Entities[k]
			box := e.Box
			if batch[i].Faulty[scenes.Artifacts] {
				box = everywhere // a glitch pushes pixels out of the box
			}
			seen, outside := 0, 0
			for at, m := range e.Mask {
				seen += int(m)
				if m == 1 && !image.Pt(at%scenes.Size, at/scenes.Size).In(box) {
					outside++
				}
			}
			if e.Missing() != (seen == 0) || outside > 0 || e.Box.Empty() || !e.Box.In(everywhere) {
				t.Errorf("scene %d %q: %s drawn as %q has %d pixels, %d outside %v", i, batch[i].Caption, e.Name, e.Drawn, seen, outside, e.Box)
			}
			if !e.Missing() && seen < 100 {
				t.Errorf("scene %d %q: only %d pixels of the %s are seen", i, batch[i].Caption, seen, e.Drawn)
			}
		}
	}
}

// What a mask calls seen is seen: taking the entity away changes almost all of those pixels.
func TestEntityMasksLeaveOutWhatIsHidden(t *testing.T) {
	g := newGenerator(t, Options{Seed: 12, Always: []scenes.Aspect{scenes.Violence}, Never: []scenes.Aspect{scenes.Misalignment}})
	var with, without Scene
	for i := range 200 {
		plan := g.Plan(i)
		g.Draw(plan, &with)
		for k := range with.Entities {
			bare := plan
			bare.slots[k].drawn = missing
			g.Draw(bare, &without)
			seen, changed := 0, 0
			for at, m := range with.Entities[k].Mask {
				seen += int(m)
				if m == 1 && !bytes.Equal(with.Pixels[3*at:3*at+3], without.Pixels[3*at:3*at+3]) {
					changed++
				}
			}
			if float64(changed) < 0.97*float64(seen) {
				t.Errorf("scene %d %q: without the %s only %d of its %d pixels change", i, with.Caption, with.Entities[k].Name, changed, seen)
			}
		}
	}
}

// The relation in the caption holds in the image.
func TestPositionWordsHold(t *testing.T) {
	batch := make([]Scene, 300)
	newGenerator(t, Options{Seed: 10}).Fill(batch, 0)
	var sides [2]int
	for i := range batch {
		s := &batch[i]
		if len(s.Entities) < 2 {
			continue
		}
		first, second := s.Entities[0].Box, s.Entities[1].Box
		left := first.Min.X+first.Max.X < second.Min.X+second.Max.X
		switch {
		case s.Prompt.Relation == scenes.LeftOf && !left, s.Prompt.Relation == scenes.RightOf && left:
			t.Errorf("scene %d %q: boxes %v and %v", i, s.Caption, first, second)
		case s.Prompt.Relation == scenes.And && left:
			sides[0]++
		case s.Prompt.Relation == scenes.And:
			sides[1]++
		}
	}
	if sides[0] < 15 || sides[1] < 15 {
		t.Errorf("with \"and\" the first stands left %d times and right %d times", sides[0], sides[1])
	}
}

func TestSpritesAreAllUsed(t *testing.T) {
	files, err := spriteFiles.ReadDir("sprites")
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for _, e := range entities {
		known[e.Name+".png"] = true
	}
	for _, i := range items {
		known[i.name+".png"] = true
	}
	stored := map[string]bool{}
	for _, f := range files {
		if strings.HasSuffix(f.Name(), ".png") {
			stored[f.Name()] = true
		}
	}
	if !reflect.DeepEqual(stored, known) {
		t.Errorf("the folder holds %v, want %v", stored, known)
	}

	g := newGenerator(t, Options{Seed: 1})
	drawn := map[string]bool{}
	for i := range 4000 {
		p := g.Plan(i)
		for _, s := range p.slots[:p.count] {
			if s.drawn != missing {
				drawn[entities[s.drawn].Name+".png"] = true
			}
		}
		for _, it := range p.items {
			if it.there {
				drawn[items[it.item].name+".png"] = true
			}
		}
	}
	if !reflect.DeepEqual(drawn, known) {
		t.Errorf("4000 scenes show %d sprites, want all %d", len(drawn), len(known))
	}
}

// A color above its alpha would shine through as a light rim.
func TestScaledSpritesHaveNoHalo(t *testing.T) {
	g := newGenerator(t, Options{})
	for i := range entities {
		for side := 40; side <= 80; side += 13 {
			picture := g.sheet.entities[i].at(side)
			for k, v := range picture.pix {
				if v > picture.pix[k|3] {
					t.Fatalf("%s at %d pixels: color %d above alpha %d gives a halo", entities[i].Name, side, v, picture.pix[k|3])
				}
			}
		}
	}
}

func TestImageCopiesThePixels(t *testing.T) {
	var s Scene
	g := newGenerator(t, Options{Seed: 2})
	g.Draw(g.Plan(0), &s)
	picture := s.Image()
	for i := range scenes.Size * scenes.Size {
		c := picture.NRGBAAt(i%scenes.Size, i/scenes.Size)
		if c.R != s.Pixels[3*i] || c.G != s.Pixels[3*i+1] || c.B != s.Pixels[3*i+2] || c.A != 255 {
			t.Fatalf("pixel %d: %v, want %v", i, c, s.Pixels[3*i:3*i+3])
		}
	}
}

// Each background fills the whole canvas and keeps to its own look.
func TestBackgroundsDifferAndLeaveNoHole(t *testing.T) {
	const pink = 251
	means := map[string][3]float64{}
	for k, place := range scenes.Places {
		for seed := range uint64(40) {
			c := canvas{pixels: bytes.Repeat([]uint8{pink, 1, pink}, scenes.Size*scenes.Size)}
			var r random
			r.seed(seed, 0, purposeBackground)
			places[k](&c, &r)
			mean := means[place.Name]
			for i, v := range c.pixels {
				mean[i%3] += float64(v) / (40 * scenes.Size * scenes.Size)
			}
			means[place.Name] = mean
			for i := 0; i < len(c.pixels); i += 3 {
				if c.pixels[i] == pink && c.pixels[i+1] == 1 && c.pixels[i+2] == pink {
					t.Fatalf("%s, seed %d: pixel (%d,%d) is not drawn", place.Name, seed, i/3%scenes.Size, i/3/scenes.Size)
				}
			}
		}
	}
	for a, x := range means {
		for b, y := range means {
			if d := math.Hypot(math.Hypot(x[0]-y[0], x[1]-y[1]), x[2]-y[2]); a != b && d < 10 {
				t.Errorf("%s and %s have almost the same mean color: %v, %v", a, b, x, y)
			}
		}
	}
}

// BenchmarkScene draws training scenes on one worker; 1e9/(ns/op) is scenes a second and core.
func BenchmarkScene(b *testing.B) {
	g := newGenerator(b, Options{Seed: 1})
	var s Scene
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		g.Draw(g.Plan(i), &s)
	}
}

func BenchmarkFill(b *testing.B) {
	g := newGenerator(b, Options{Seed: 1})
	batch := make([]Scene, 64)
	for i := 0; b.Loop(); i++ {
		g.Fill(batch, i*len(batch))
	}
	b.ReportMetric(float64(b.N*len(batch))/b.Elapsed().Seconds(), "scenes/s")
}

// without is the twin of a plan that lacks one fault and equals it in all else.
func without(p Plan, a scenes.Aspect) Plan {
	if a == scenes.Violence || a == scenes.Oversexualization {
		p.items[a].there = false
	}
	for i := range p.slots {
		if a == scenes.Artifacts {
			p.slots[i].glitch = glitch{}
		}
		if a == scenes.Misalignment {
			p.slots[i].drawn = p.slots[i].name
		}
	}
	return p
}
