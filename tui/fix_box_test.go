package tui

import (
	"image"
	"math"
	"math/rand/v2"
	"testing"

	"focusnfix/core"
)

func TestBoxByMouse(t *testing.T) {
	for _, c := range []struct {
		name           string
		x0, y0, x1, y1 float64
		want           core.Box
	}{
		{"down right", 0.1, 0.2, 0.5, 0.75, core.Box{Left: 0.1, Top: 0.2, Right: 0.5, Bottom: 0.75}},
		{"up left", 0.5, 0.75, 0.1, 0.2, core.Box{Left: 0.1, Top: 0.2, Right: 0.5, Bottom: 0.75}},
		{"a click", 0.5, 0.5, 0.5, 0.5, core.Box{Left: 0.48, Top: 0.48, Right: 0.52, Bottom: 0.52}},
		{"in the corner", 1, 0, 1, 0, core.Box{Left: 0.96, Top: 0, Right: 1, Bottom: 0.04}},
	} {
		var b boxEditor
		b.drag(0.9, 0.9)
		if b.set {
			t.Fatal("moving the mouse without a button draws a box")
		}
		b.press(c.x0, c.y0)
		b.drag(0.3, 0.3)
		b.drag(c.x1, c.y1)
		b.release()
		b.drag(0, 0)
		if !b.set || distance(b.box, c.want) > 1e-9 {
			t.Errorf("%s: %+v, want %+v", c.name, b.box, c.want)
		}
	}
}

func distance(a, b core.Box) float64 {
	return math.Abs(a.Left-b.Left) + math.Abs(a.Top-b.Top) + math.Abs(a.Right-b.Right) + math.Abs(a.Bottom-b.Bottom)
}

func TestBoxByKeys(t *testing.T) {
	var b boxEditor
	b.move(1, 0, gripBox)
	if want := (core.Box{Left: 0.3, Top: 0.3, Right: 0.7, Bottom: 0.7}); !b.set || b.box != want {
		t.Fatalf("the first key gives %+v, want %+v", b.box, want)
	}
	b.move(1, -2, gripBox)
	b.move(-1, 0, gripTopLeft)
	b.move(0, 3, gripBottomRight)
	if want := (core.Box{Left: 0.3, Top: 0.26, Right: 0.72, Bottom: 0.72}); distance(b.box, want) > 1e-9 {
		t.Errorf("moved: %+v, want %+v", b.box, want)
	}
	b.grow(1)
	if want := (core.Box{Left: 0.28, Top: 0.24, Right: 0.74, Bottom: 0.74}); distance(b.box, want) > 1e-9 {
		t.Errorf("grown: %+v, want %+v", b.box, want)
	}
}

// Whatever is pressed, the box stays a box within the image: the engine refuses others.
func TestBoxStaysABox(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 2))
	var b boxEditor
	for i := range 20000 {
		switch rng.IntN(4) {
		case 0:
			b.move(rng.IntN(9)-4, rng.IntN(9)-4, grip(rng.IntN(int(grips))))
		case 1:
			b.grow(rng.IntN(3) - 1)
		case 2:
			b.press(rng.Float64(), rng.Float64())
		case 3:
			b.drag(3*rng.Float64()-1, 3*rng.Float64()-1)
		}
		if c := b.box; b.set && !(c.Left >= 0 && c.Right <= 1 && c.Top >= 0 && c.Bottom <= 1 && c.Right-c.Left > boxLeast-0.002 && c.Bottom-c.Top > boxLeast-0.002) {
			t.Fatalf("after %d actions: %+v", i, c)
		}
	}
}

func TestToPicture(t *testing.T) {
	for _, c := range []struct {
		x, y   int
		u, v   float64
		inside bool
	}{
		{5, 2, 0.05, 0.1, true}, {14, 6, 0.95, 0.9, true}, {4, 2, 0, 0.1, false}, {15, 7, 1, 1, false}, {-50, 99, 0, 1, false},
	} {
		u, v, inside := toPicture(c.x, c.y, 20, 9, 10, 5) // 5 cells left, 2 above
		if math.Abs(u-c.u) > 1e-9 || math.Abs(v-c.v) > 1e-9 || inside != c.inside {
			t.Errorf("cell %d,%d: %g,%g inside %v, want %g,%g %v", c.x, c.y, u, v, inside, c.u, c.v, c.inside)
		}
	}
}

func TestBoxAround(t *testing.T) {
	m := image.NewGray(image.Rect(0, 0, 100, 50))
	if _, ok := boxAround(m); ok {
		t.Error("an empty mask has a box")
	}
	for y := 10; y < 20; y++ {
		for x := 30; x < 60; x++ {
			m.Pix[y*m.Stride+x] = 255
		}
	}
	if got, ok := boxAround(m); !ok || distance(got, core.Box{Left: 0.3, Top: 0.2, Right: 0.6, Bottom: 0.4}) > 1e-9 {
		t.Errorf("got %+v, %v", got, ok)
	}
}
