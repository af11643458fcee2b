package picture

import (
	"image"
	"strings"
	"testing"

	"focusnfix/render"
)

// Images follow each other in one place, and nothing is left of them.
func TestLive(t *testing.T) {
	img := image.NewRGBA(image.Rect(0, 0, 40, 40)) // 4x2 cells of 10x20
	for name, protocol := range map[string]Protocol{"blocks": Blocks, "sixel": Sixel, "iterm2": ITerm2, "kitty": Kitty, "cells": KittyCells} {
		l := Live{Printer: Printer{Terminal: Terminal{Protocol: protocol, Cell: image.Pt(10, 20), Profile: render.TrueColor}}}
		var first, second, end strings.Builder
		if l.Show(&first, img) != nil || l.Show(&second, img) != nil || l.Clear(&end) != nil {
			t.Fatal(name)
		}
		if got := first.String(); !strings.HasPrefix(got, "\r\x1b[K") || strings.HasPrefix(got, "\r\x1b[K\x1b[2A\x1b[J") || strings.Count(got, "\n") != 2 {
			t.Errorf("%s: the first image begins on the cursor's line and takes two: %q", name, got)
		}
		if got := second.String(); !strings.HasPrefix(got, "\r\x1b[2A") {
			t.Errorf("%s: the second one goes up two lines: %q", name, got)
		}
		if got := end.String(); !strings.HasPrefix(got, "\r\x1b[K\x1b[2A\x1b[J") {
			t.Errorf("%s: all is taken away: %q", name, got)
		}
		kitty := protocol == Kitty || protocol == KittyCells
		if strings.Contains(second.String(), "a=d") != kitty || strings.Contains(end.String(), "a=d") != kitty {
			t.Errorf("%s: images kept by number are freed: %q, %q", name, second.String(), end.String())
		}
		wide := image.NewRGBA(image.Rect(0, 0, 40, 20))
		var other strings.Builder
		if l.Show(&second, img) != nil || l.Show(&other, wide) != nil || !strings.HasPrefix(other.String(), "\r\x1b[K\x1b[2A\x1b[J") {
			t.Errorf("%s: a lower image clears the one before: %q", name, other.String())
		}
	}
}
