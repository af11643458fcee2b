package tui

import (
	"image"
	"testing"
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
						t.Fatalf("%dx%d: images %v have %v and %v", w, h, l.pictures, l.base, l.tuned)
					}
				}
			}
		}
	}
}
