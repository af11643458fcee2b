package widget

import (
	"image/color"
	"testing"

	"github.com/charmbracelet/x/ansi"
)

// Grays of the screen are grays in a terminal of 256 colors too.
func TestGraysStayGray(t *testing.T) {
	for name, p := range map[string]palette{"dark": darkPalette, "light": lightPalette} {
		for _, c := range []color.RGBA{p.faint, p.Rule, p.Selected, p.Series[7]} {
			r, g, b, _ := ansi.Convert256(c).RGBA()
			if got := (color.RGBA{uint8(r >> 8), uint8(g >> 8), uint8(b >> 8), 255}); got != c {
				t.Errorf("%s: %v is shown as %v", name, c, got)
			}
		}
	}
}
