package widget

import (
	"image"
	"strings"
	"testing"

	"github.com/charmbracelet/x/ansi"
)

func TestTextBlocks(t *testing.T) {
	if got, want := FitLine("日本語", 5), "日本…"; got != want {
		t.Errorf("fitLine: %q, want %q", got, want)
	}
	if got, want := FitLine("日本語", 4), "日… "; got != want {
		t.Errorf("fitLine: %q, want %q", got, want)
	}
	base := strings.TrimSuffix(strings.Repeat("..........\n", 3), "\n")
	if got, want := ansi.Strip(Over(base, "ab\ncd", 4, 1)), "..........\n....ab....\n....cd...."; got != want {
		t.Errorf("over: %q, want %q", got, want)
	}
	if got := Spread("left", "right", 8); got != "left    " {
		t.Errorf("spread without room: %q", got)
	}
	c := NewCanvas(6, 2)
	c.Put(image.Rect(3, 0, 6, 2), "abcd\nx")
	c.Put(image.Rect(0, 0, 2, 1), "z")
	if got, want := c.String(), "z  ab…\n   x  "; got != want {
		t.Errorf("canvas: %q, want %q", got, want)
	}
}
