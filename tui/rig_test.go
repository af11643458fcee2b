package tui

import (
	"bytes"
	"io"
	"strconv"
	"strings"
	"testing"

	uv "github.com/charmbracelet/ultraviolet"
	"github.com/charmbracelet/x/ansi"
	"github.com/charmbracelet/x/vt"

	"focusnfix/tui/picture"
)

// rig runs the screen's frames through bubbletea's renderer, the filter and a terminal emulator. The emulator
// marks the cells that a sixel image covers with a rune of plane 15, so that text printed over it is seen.
type rig struct {
	t      *testing.T
	w, h   int
	screen *picture.Screen
	render *uv.TerminalRenderer
	buf    bytes.Buffer
	cells  uv.ScreenBuffer
	emu    *vt.Emulator
	draws  int // images that the terminal got
}

// newRig shows the images of shelf on out, or on the emulator where out is nil.
func newRig(t *testing.T, w, h int, shelf *picture.Shelf, out io.Writer) *rig {
	t.Helper()
	r := &rig{t: t, w: w, h: h, emu: vt.NewEmulator(w, h)}
	r.emu.RegisterDcsHandler('q', func(_ ansi.Params, data []byte) bool { r.pixels(string(data)); return true })
	if out == nil {
		out = r.emu
	}
	r.screen = picture.NewScreenOn(out, shelf, func() (int, int, bool) { return r.w, r.h, true })
	r.render = uv.NewTerminalRenderer(&r.buf, []string{"TERM=xterm-256color", "COLORTERM=truecolor", "TTY_FORCE=1"})
	r.render.SetScrollOptim(true)
	r.cells = uv.NewScreenBuffer(w, h)
	r.render.EnterAltScreen()
	r.render.Erase()
	r.flush()
	return r
}

// pixelMark stands on the emulator where pixels are.
const pixelMark = "\U000f0000"

// pixels marks the cells of a sixel image, whose size in pixels its raster attributes give.
func (r *rig) pixels(data string) {
	r.draws++
	var w, h int
	if _, attributes, ok := strings.Cut(data, "\"1;1;"); ok {
		for i, c := range attributes {
			if c != ';' && (c < '0' || c > '9') {
				attributes = attributes[:i]
				break
			}
		}
		x, y, _ := strings.Cut(attributes, ";")
		w, h = atoi(x), atoi(y)
	}
	if w == 0 || h == 0 {
		r.t.Fatalf("a sixel image without its size: %.40q", data)
	}
	at, cols, rows := r.emu.CursorPosition(), (w+7)/8, (h+15)/16 // of cells of 8x16 pixels
	if at.Y+rows >= r.h {
		r.t.Error("an image in the last row would scroll the terminal")
	}
	for i := range cols * rows {
		r.emu.SetCell(at.X+i%cols, at.Y+i/cols, &uv.Cell{Content: pixelMark, Width: 1})
	}
}

func atoi(s string) int {
	n, _ := strconv.Atoi(s)
	return n
}

// frame shows a view and checks the terminal against it.
func (r *rig) frame(view string) {
	r.t.Helper()
	r.show(view)
	for i := range r.w * r.h {
		x, y := i%r.w, i/r.w
		want, got := r.cells.CellAt(x, y), r.emu.CellAt(x, y)
		if want.Width == 0 {
			continue
		}
		c := []rune(want.Content)[0]
		if isPixel := c >= 0x100000 && c <= 0x10dfff; isPixel && (got.Content == pixelMark || got.Content == " ") {
			continue // an image that the screen cuts off is blank
		}
		if got == nil || got.Content != want.Content || !got.Style.Equal(&want.Style) && strings.TrimSpace(want.Content) != "" {
			r.t.Fatalf("cell %d,%d: got %q, want %q\n%s", x, y, got, want.Content, r.emu.String())
		}
	}
}

// show writes a view as bubbletea does.
func (r *rig) show(view string) {
	r.t.Helper()
	r.cells.Clear()
	uv.NewStyledString(view).Draw(r.cells, r.cells.Bounds())
	r.render.Render(r.cells.RenderBuffer)
	r.flush()
}

func (r *rig) flush() {
	r.t.Helper()
	if err := r.render.Flush(); err != nil {
		r.t.Fatal(err)
	}
	if r.buf.Len() > 0 {
		if _, err := r.screen.Write(r.buf.Bytes()); err != nil {
			r.t.Fatal(err)
		}
		r.buf.Reset()
	}
	if err := r.screen.Flush(); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) resize(w, h int) {
	r.w, r.h = w, h
	r.emu.Resize(w, h)
	r.cells = uv.NewScreenBuffer(w, h)
	r.render.Erase()
	r.render.Resize(w, h)
}
