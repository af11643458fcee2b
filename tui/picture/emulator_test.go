package picture

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/charmbracelet/x/vt"
)

// The model must do what a terminal does with everything the renderer may write, in any order.
func TestModelAgainstEmulator(t *testing.T) {
	const w, h = 20, 8
	for seed := range uint64(100) {
		rng := rand.New(rand.NewPCG(seed, 7))
		n := func(most int) int { return 1 + rng.IntN(most) }
		steps := []func() string{
			func() string { return strings.Repeat("abcdefghij"[rng.IntN(10):], 1) },
			func() string { return "\x1b[" + fmt.Sprint(n(w-4)) + "G日本" }, // the emulator wraps wide glyphs wrongly
			func() string { return fmt.Sprintf("\x1b[%d;%dH", n(h), n(w)) },
			func() string { return fmt.Sprintf("\x1b[%d%c", n(4), "ABCDEFGd`ae"[rng.IntN(11)]) },
			func() string { return fmt.Sprintf("\x1b[%dX", n(9)) },
			func() string { return fmt.Sprintf("\x1b[%dK", rng.IntN(3)) },
			// The emulator's ED 1 takes the whole of the cursor's row and its ED 2 ignores the background.
			func() string { return "\x1b[J" },
			func() string { return "\x1b[m\x1b[2J" },
			func() string { return fmt.Sprintf("\x1b[%d%c", n(5), "@P"[rng.IntN(2)]) },
			func() string { return fmt.Sprintf("\x1b[%d%c", n(3), "ST"[rng.IntN(2)]) },
			func() string { return fmt.Sprintf("\x1b[%d%c\x1b[H", n(3), "LM"[rng.IntN(2)]) }, // it moves the cursor in regions
			func() string { return fmt.Sprintf("\x1b[%d;%dr", n(3), h-rng.IntN(3)) },
			func() string { return "\x1b[r" },
			func() string { return "\r" },
			func() string { return "\n" },
			func() string { return "\b" },
			func() string { return "\t" },
			func() string { return "\r\x1bM" }, // with a pending wrap terminals differ
			func() string { return "\x1b7" },
			func() string { return "\x1b8" },
			func() string { return "\x1b[?7l0123456789012345678901\x1b[?7h\x1b[1;1H" },
			func() string { return fmt.Sprintf("\x1b[4%dm", rng.IntN(8)) },
			func() string { return "\x1b[m" },
			func() string { return fmt.Sprintf("x\x1b[%db", n(5)) },
		}
		emu, m := vt.NewEmulator(w, h), newModel(w, h)
		wide := false
		var done strings.Builder
		for range 60 {
			s := steps[rng.IntN(len(steps))]()
			if strings.ContainsAny(s, "@P") && (wide || m.top > 0 || m.bottom < h) {
				continue // shifting half a wide glyph is undefined; the emulator does not shift outside the region
			}
			wide = wide || strings.Contains(s, "日")
			done.WriteString(s)
			if _, err := emu.WriteString(s); err != nil {
				t.Fatal(err)
			}
			for b := []byte(s); len(b) > 0; {
				tok, ok := nextToken(b)
				if !ok {
					t.Fatalf("%q: not a whole sequence", b)
				}
				m.apply(tok)
				b = b[len(tok.raw):]
			}
			if msg := sameScreen(emu, m); msg != "" {
				t.Fatalf("seed %d: %s after %q\n of %q", seed, msg, s, done.String())
			}
		}
	}
}

func sameScreen(emu *vt.Emulator, m *model) string {
	for y := range m.Height() {
		for x := range m.Width() {
			got, want := m.CellAt(x, y), emu.CellAt(x, y)
			if got.Content != want.Content || got.Width != want.Width || got.Width == 1 && fmt.Sprint(got.Style.Bg) != fmt.Sprint(want.Style.Bg) {
				return fmt.Sprintf("cell %d,%d is %q on %v, want %q on %v", x, y, got.Content, got.Style.Bg, want.Content, want.Style.Bg)
			}
		}
	}
	if at := emu.CursorPosition(); at.X != m.x || at.Y != m.y {
		return fmt.Sprintf("cursor at %d,%d, want %v", m.x, m.y, at)
	}
	return ""
}
