package tui

import (
	"image"
	"testing"
)

func TestJoined(t *testing.T) {
	img := image.NewRGBA(image.Rect(0, 0, 32, 32))
	if two := joined([]image.Image{img, img, image.NewRGBA(image.Rect(5, 5, 10, 50))}); two.Bounds() != image.Rect(0, 0, 69, 45) {
		t.Errorf("side by side: %v", two.Bounds())
	}
}
