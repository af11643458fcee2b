package core

import (
	"image"
	"math"
	"slices"
	"strings"
	"testing"
)

var square = Size{Width: 20, Height: 10}

// marked is where a region's mask has its pixels: the rectangle around them, and how many there are.
func marked(t *testing.T, text string) (image.Rectangle, int) {
	t.Helper()
	r, err := ParseRegion(text)
	if err != nil {
		t.Fatal(err)
	}
	heat := Heatmap{Width: 20, Height: 10, Score: make([]float32, 200)}
	heat.Score[5*20+7] = 0.8
	m, err := r.Mask(square, RegionFiles{Heat: heat})
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	var around image.Rectangle
	for _, spot := range m.Spots() {
		around = around.Union(spot)
	}
	return around, int(math.Round(200 * m.Coverage()))
}

func TestRegion(t *testing.T) {
	for _, c := range []struct {
		text   string
		around image.Rectangle
		pixels int
	}{
		{"box:0.1,0.2,0.5,0.3", image.Rect(2, 2, 12, 5), 30},
		{"box:0.12,0.2,0.01,0.01", image.Rect(2, 2, 3, 3), 1}, // what it touches
		{"box:0,0,1,1; -box:0,0,1,0.5", image.Rect(0, 5, 20, 10), 100},
		{"polygon:0,0 0.5,0 0.5,1 0,1", image.Rect(0, 0, 10, 10), 100},
		{"polygon:0,0 1,0 0,1", image.Rect(0, 0, 19, 10), 100},
		{"brush:0 0.5,0.5", image.Rect(9, 4, 11, 6), 4}, // a point between four pixels
		{"brush:0.1 0.2,0.5 0.8,0.5", image.Rect(2, 3, 18, 7), 60},
		{"heat:0.5,1", image.Rect(6, 4, 9, 7), 9},
		{"heat:0.5; box:0.9,0,0.1,0.1", image.Rect(7, 0, 20, 6), 3},
	} {
		around, pixels := marked(t, c.text)
		if around != c.around || pixels != c.pixels {
			t.Errorf("%s marks %d pixels in %v, want %d in %v", c.text, pixels, around, c.pixels, c.around)
		}
		r, _ := ParseRegion(c.text)
		if again, err := ParseRegion(r.String()); err != nil || again.String() != r.String() {
			t.Errorf("%s is written %s, and read again as %v, %v", c.text, r, again, err)
		}
	}
}

func TestRegionRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"": "no shape", "circle:1": "want box, polygon", "box:1,2": "want X,Y,W,H", "box:0.5,0.5,0.6,0.1": "leaves the image",
		"box:0,0,0,1": "is empty", "box:0,0,NaN,1": "want a number", "polygon:0,0 1,1": "want at least 3", "brush:0.1": "at least 1",
		"heat:2": "want a number", "heat:0.5,-1": "growth", "mask:": "want the name", "box": "KIND:NUMBERS", "polygon:0,0 1 1,1": "want a number",
	} {
		if r, err := ParseRegion(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, %v, want %s", text, r, err, want)
		}
	}
	for text, want := range map[string]string{
		"heat:0.5": "no heatmap", "mask:x.png": "not read here", "box:0,0,1,1; -box:0,0,1,1": "marks no pixel",
	} {
		r, err := ParseRegion(text)
		if err == nil {
			_, err = r.Mask(square, RegionFiles{})
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

// FuzzRegion: whatever a text says, it is refused or makes a mask of the image's size, and is written as it is read.
func FuzzRegion(f *testing.F) {
	for _, seed := range []string{
		"box:0.1,0.2,0.5,0.3", "-box:0,0,1,1; polygon:0,0 1,0 0,1", "brush:0.03 0,0 1,1 0.5,0", "heat:0.3,4; -brush:1 0.5,0.5",
		"polygon:0.5,0.5 0.5,0.5 0.5,0.5", "box:1e-9,0,1,1", "brush:5e-324 1,1", "mask:a b.png", "polygon:0,0 1,0.00001 0,1e-300",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, err := ParseRegion(text)
		if err != nil {
			return
		}
		again, err := ParseRegion(r.String())
		if err == nil && again.String() != r.String() {
			t.Fatalf("%q is written %q and then %q", text, r, again)
		}
		heat := Heatmap{Width: 20, Height: 10, Score: make([]float32, 200)}
		if m, err := r.Mask(square, RegionFiles{Heat: heat}); err == nil && len(m.Faulty) != 200 {
			t.Fatalf("%q: %d pixels", text, len(m.Faulty))
		}
	})
}

func TestSpots(t *testing.T) {
	r, _ := ParseRegion("box:0,0,0.2,0.4; box:0.5,0.5,0.4,0.5; box:0.2,0.4,0.1,0.1") // the third touches the first's corner
	m, err := r.Mask(square, RegionFiles{})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := m.Spots(), []image.Rectangle{image.Rect(10, 5, 18, 10), image.Rect(0, 0, 6, 5)}; !slices.Equal(got, want) {
		t.Errorf("spots %v, want %v", got, want)
	}
	sky, _ := ParseRegion("box:0.9,0.1,0.1,0.2")
	other, _ := sky.Mask(square, RegionFiles{})
	if near, ok := m.Nearest(other); !ok || near.String() != "box:0.5,0.5,0.4,0.5" {
		t.Errorf("nearest %v, %v", near, ok)
	}
	if _, ok := m.Minus(m).Nearest(other); ok {
		t.Error("an empty mask has a nearest part")
	}
}

func TestFixVerdict(t *testing.T) {
	healed := FixJudge{Before: 0.9, After: 0.1, Found: true, Gone: true}
	heldOut := healed
	heldOut.HeldOut = true
	blind, still, elsewhere := heldOut, healed, healed
	blind.Found, still.Gone, elsewhere.Moved = false, false, true
	for _, c := range []struct {
		want     string
		judges   []FixJudge
		now, was float64
	}{
		{Repaired, []FixJudge{healed, heldOut}, 0.38, 0.4},
		{Smeared, []FixJudge{healed, heldOut}, 0.18, 0.4},
		{Visible, []FixJudge{still, heldOut}, 0.38, 0.4},
		{Moved, []FixJudge{healed, elsewhere}, 0.38, 0.4},
		{Unconfirmed, []FixJudge{healed}, 0.38, 0.4},
		{Unconfirmed, []FixJudge{healed, blind}, 0.38, 0.4},
		{NoFault, []FixJudge{blind}, 0.38, 0.4},
		{NoFault, nil, 0.38, 0.4},
	} {
		r := FixResult{Judges: c.judges, Sharpness: c.was, SharpnessNow: c.now}
		if r.Judge(); r.Verdict != c.want {
			t.Errorf("%+v: %s, want %s", r, r.Verdict, c.want)
		}
	}
}
