package tui

import (
	"math"
	"slices"
	"testing"

	"focusnfix/core"
	"focusnfix/tui/feed"
)

func TestGridFor(t *testing.T) {
	for _, c := range []struct{ n, w, h, across, down int }{
		{4, 118, 34, 3, 2}, {1, 118, 34, 2, 1}, {24, 118, 34, 8, 3}, {500, 78, 17, 5, 2}, {3, 10, 3, 1, 1}, {0, 0, 0, 1, 1},
	} {
		g := gridFor(c.n, c.w, c.h, 50)
		if g.across != c.across || g.down != c.down || g.cols < 1 || g.rows < 1 {
			t.Errorf("%d images in %dx%d: %+v, want %d across, %d down", c.n, c.w, c.h, g, c.across, c.down)
		}
		if fits := g.across*(g.cols+gridGap)-gridGap <= c.w && g.down*(g.rows+2)-1 <= c.h; !fits && c.w > 20 {
			t.Errorf("%d images in %dx%d: %+v does not fit", c.n, c.w, c.h, g)
		}
	}
	g := gridLayout{across: 3, down: 2, cols: 10, rows: 5}
	for _, c := range []struct{ x, y, want int }{{0, 0, 0}, {9, 5, 0}, {10, 0, -1}, {12, 0, 1}, {0, 6, -1}, {24, 7, 5}, {36, 0, -1}, {-1, 0, -1}} {
		if got := g.at(c.x, c.y); got != c.want {
			t.Errorf("cell %d,%d is image %d, want %d", c.x, c.y, got, c.want)
		}
	}
	if first, last := g.page(7, 20); first != 6 || last != 12 {
		t.Errorf("page %d to %d, want 6 to 12", first, last)
	}
}

func TestWorstFirst(t *testing.T) {
	g := feed.NewGallery()
	pic := func(index int, base ...float64) core.Picture {
		p := core.Picture{Index: index}
		for _, b := range base {
			p.Aspects = append(p.Aspects, core.AspectScore{Base: b})
		}
		return p
	}
	g.Add(map[int][]core.Picture{5: {pic(0, 0.9), pic(1), pic(2, math.NaN(), 0.4), pic(3, 0.9, 0.8), pic(4, 0.9)}})
	var got []int
	for _, p := range worstFirst(g, 5) {
		got = append(got, p.Index)
	}
	if want := []int{2, 3, 0, 4, 1}; !slices.Equal(got, want) {
		t.Errorf("order %v, want %v", got, want)
	}
}
