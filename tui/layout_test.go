package tui

import (
	"image"
	"strings"
	"testing"

	"github.com/charmbracelet/x/ansi"
)

// Whatever the size, the parts of the dashboard lie inside it and do not overlap.
func TestDashboardLayout(t *testing.T) {
	for w := minCols; w < 260; w += 7 {
		for h := minRows - 2; h < 90; h += 3 {
			for _, cell := range []image.Point{{8, 16}, {10, 19}, {7, 21}, {12, 12}} {
				for _, pictures := range []bool{true, false} {
					l := layoutDashboard(w, h, cell, 9, 10, pictures, false)
					parts := append([]image.Rectangle{l.header, l.table, l.log, l.pictures}, l.charts...)
					for i, a := range parts {
						if !a.In(image.Rect(0, 0, w, h)) {
							t.Fatalf("%dx%d: part %d %v lies outside", w, h, i, a)
						}
						for j, b := range parts[:i] {
							if a.Overlaps(b) {
								t.Fatalf("%dx%d: parts %d and %d overlap: %v, %v", w, h, j, i, b, a)
							}
						}
					}
					if l.charts[0].Dy() < 5 || l.table.Dy() < 3 || l.log.Dy() < 2 {
						t.Errorf("%dx%d: chart %v, table %v, log %v", w, h, l.charts[0], l.table, l.log)
					}
					if !l.pictures.Empty() && (!l.base.In(l.pictures) || !l.tuned.In(l.pictures) || l.base.Overlaps(l.tuned)) {
						t.Fatalf("%dx%d: pictures %v have %v and %v", w, h, l.pictures, l.base, l.tuned)
					}
				}
			}
		}
	}
}

func TestTextBlocks(t *testing.T) {
	if got, want := fitLine("日本語", 5), "日本…"; got != want {
		t.Errorf("fitLine: %q, want %q", got, want)
	}
	if got, want := fitLine("日本語", 4), "日… "; got != want {
		t.Errorf("fitLine: %q, want %q", got, want)
	}
	base := strings.TrimSuffix(strings.Repeat("..........\n", 3), "\n")
	if got, want := ansi.Strip(over(base, "ab\ncd", 4, 1)), "..........\n....ab....\n....cd...."; got != want {
		t.Errorf("over: %q, want %q", got, want)
	}
	if got := spread("left", "right", 8); got != "left    " {
		t.Errorf("spread without room: %q", got)
	}
	c := newCanvas(6, 2)
	c.put(image.Rect(3, 0, 6, 2), "abcd\nx")
	c.put(image.Rect(0, 0, 2, 1), "z")
	if got, want := c.String(), "z  ab…\n   x  "; got != want {
		t.Errorf("canvas: %q, want %q", got, want)
	}
	for v, want := range map[float64]string{-0.0001: "0.00", 1.005: "1.00", -2: "-2.00"} {
		if got := number(v, 2); got != want {
			t.Errorf("number(%v): %q, want %q", v, got, want)
		}
	}
}
