package picture

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	uv "github.com/charmbracelet/ultraviolet"
	"github.com/charmbracelet/x/ansi"
	"github.com/charmbracelet/x/vt"
)

// stage runs frames through bubbletea's renderer, the filter and a terminal emulator. The emulator marks
// the cells that a picture's pixels cover with runes of plane 15, so that whatever is printed, erased or
// scrolled there is seen.
type stage struct {
	t       *testing.T
	w, h    int
	pics    *Shelf
	screen  *Screen
	render  *uv.TerminalRenderer
	buf     bytes.Buffer
	cells   uv.ScreenBuffer
	emu     *vt.Emulator
	draws   int // pictures that the terminal got
	resized bool
	fixed   bool                   // no resizes
	kept    map[uv.Position]string // marks that must stay while a frame is written
}

func newStage(t *testing.T, w, h int) *stage {
	r := &stage{t: t, w: w, h: h, emu: vt.NewEmulator(w, h)}
	r.pics = NewShelf(Terminal{Protocol: Sixel})
	r.screen = NewScreenOn(r, r.pics, func() (int, int, bool) { return r.w, r.h, true })
	r.emu.RegisterDcsHandler('q', func(_ ansi.Params, data []byte) bool { r.pixels(data); return true })
	r.render = uv.NewTerminalRenderer(&r.buf, []string{"TERM=xterm-256color", "COLORTERM=truecolor", "TTY_FORCE=1"})
	r.render.SetScrollOptim(true)
	r.render.SetTabStops(w)
	r.render.SetBackspace(true)
	r.cells = uv.NewScreenBuffer(w, h)
	r.render.EnterAltScreen()
	r.flush()
	return r
}

// fake makes a picture that the emulator knows by n.
func fake(n, cols, rows int) Encoded {
	return Encoded{Cols: cols, Rows: rows, protocol: Sixel, data: fmt.Sprintf("\x1bPq%d;%d;%d\x1b\\", n, cols, rows)}
}

// mark is what the emulator shows where cell i of picture n is.
func mark(n, i int) string { return string(rune(0xf0000 + n%30*2000 + i)) }

func (r *stage) pixels(data []byte) {
	r.draws++
	var n, cols, rows int
	if _, err := fmt.Sscanf(strings.TrimPrefix(string(data), "q"), "%d;%d;%d", &n, &cols, &rows); err != nil {
		r.t.Errorf("sixel %q: %v", data, err)
	}
	at := r.emu.CursorPosition()
	if at.Y+rows >= r.h {
		r.t.Errorf("image %d in the last row would scroll the terminal", n)
	}
	for i := range cols * rows {
		r.emu.SetCell(at.X+i%cols, at.Y+i/cols, &uv.Cell{Content: mark(n, i), Width: 1})
	}
}

// Write is the terminal: it looks at every step whether the pictures that stay are untouched.
func (r *stage) Write(p []byte) (int, error) {
	for b := p; len(b) > 0; {
		t, ok := nextToken(b)
		if !ok {
			r.t.Fatalf("output ends inside a sequence: %q", b)
		}
		if _, err := r.emu.Write(t.raw); err != nil {
			r.t.Fatal(err)
		}
		b = b[len(t.raw):]
		for at, want := range r.kept {
			if got := r.emu.CellAt(at.X, at.Y).Content; got != want {
				r.t.Fatalf("cell %v of an image that stays: %q after %q", at, got, t.raw)
			}
		}
	}
	return len(p), nil
}

// frame shows a view and checks the terminal against it, at every step if pictures do not overlap.
func (r *stage) frame(view string, overlap bool) {
	r.t.Helper()
	r.draw(view)
	if !r.resized && !overlap {
		r.keep()
	}
	r.show()
	r.kept = nil
	r.compare()
}

func (r *stage) frameWithoutCheck(view string) {
	r.t.Helper()
	r.draw(view)
	r.show()
}

func (r *stage) draw(view string) {
	r.cells.Clear()
	uv.NewStyledString(Steady(view)).Draw(r.cells, r.cells.Bounds())
}

// show writes the frame as bubbletea does.
func (r *stage) show() {
	r.t.Helper()
	r.resized = false
	r.render.Render(r.cells.RenderBuffer)
	r.flush()
}

func (r *stage) flush() {
	r.t.Helper()
	if err := r.render.Flush(); err != nil {
		r.t.Fatal(err)
	}
	if r.buf.Len() == 0 {
		return
	}
	if _, err := r.screen.Write(r.buf.Bytes()); err != nil {
		r.t.Fatal(err)
	}
	r.buf.Reset()
	settle(r.t, r.screen)
}

// want is what the terminal must show at x, y.
func (r *stage) want(x, y int) uv.Cell {
	c := r.cells.CellAt(x, y)
	if !isPicture(c) {
		return *c
	}
	p, ok := spotOf(r.pics.finder(), c, x, y)
	if !ok || p.x < 0 || p.y < 0 || p.x+p.Cols > r.w || p.y+p.Rows >= r.h {
		return uv.EmptyCell
	}
	var n int
	_, _ = fmt.Sscanf(p.data, "\x1bPq%d;", &n)
	return uv.Cell{Content: mark(n, (y-p.y)*p.Cols+x-p.x), Width: 1}
}

// keep notes the marks of cells that are pixels on the terminal and in the new frame.
func (r *stage) keep() {
	r.kept = map[uv.Position]string{}
	for i := range r.w * r.h {
		x, y := i%r.w, i/r.w
		want := r.want(x, y).Content
		if c := r.emu.CellAt(x, y); c != nil && want == c.Content && isMark(c) {
			r.kept[uv.Pos(x, y)] = want
		}
	}
}

func (r *stage) compare() {
	r.t.Helper()
	for i := range r.w * r.h {
		x, y := i%r.w, i/r.w
		want, got := r.want(x, y), r.emu.CellAt(x, y)
		if want.Width == 0 {
			continue
		}
		if got == nil || got.Content != want.Content || !got.Style.Equal(&want.Style) && strings.TrimSpace(want.Content) != "" {
			r.t.Fatalf("cell %d,%d: got %q, want %q\n%s", x, y, got, want.Content, r.emu.String())
		}
	}
}

func (r *stage) resize(w, h int) {
	r.w, r.h, r.resized = w, h, true
	r.emu.Resize(w, h)
	r.cells = uv.NewScreenBuffer(w, h)
	r.render.Erase()
	r.render.Resize(w, h)
}

// scene is a random screen: pictures between changing text, sometimes covered.
type scene struct {
	rng   *rand.Rand
	w, h  int
	n     int
	logs  []string
	where [3]area
	modal bool
	make  func(n, cols, rows int) Encoded
}

type area struct {
	x, y, cols, rows int
	shown            bool
}

func (a area) rect() uv.Rectangle { return uv.Rect(a.x, a.y, a.cols, a.rows) }

var scraps = []string{"👨‍👩‍👧 family", "❤️", "🇩🇪", "👍🏽", "1️⃣", "loss 0.125", "日本語", "step", "é", "━━━━━━━━━━━━━━━━━━━━", "\x1b[1;31mwarn\x1b[m", "a", "\x1b[48;5;19mblue  blue\x1b[m", ""}

func (s *scene) view(p *Shelf) string {
	cells := uv.NewScreenBuffer(s.w, s.h)
	lines := s.logs
	if len(lines) > s.h {
		lines = lines[len(lines)-s.h:]
	}
	uv.NewStyledString(Steady(strings.Join(lines, "\n"))).Draw(cells, cells.Bounds())
	for i, at := range s.where {
		if at.shown {
			text := p.View(fmt.Sprint(i), at.cols, at.rows)
			uv.NewStyledString(text).Draw(cells, uv.Rect(at.x, at.y, at.cols, at.rows))
		}
	}
	if s.modal {
		uv.NewStyledString("+------------+\n| sure?      |\n+------------+").Draw(cells, uv.Rect(s.w/3, s.h/3, 14, 3))
	}
	return cells.Render()
}

// overlap reports whether pictures cover each other: the lower one is drawn over the upper one then.
func (s *scene) overlap() bool {
	for i, a := range s.where {
		for _, b := range s.where[:i] {
			if a.shown && b.shown && a.rect().Overlaps(b.rect()) {
				return true
			}
		}
	}
	return false
}

// change alters the scene at random and returns what happened.
func (s *scene) change(r *stage) {
	s.n++
	i := s.rng.IntN(len(s.where))
	at := &s.where[i]
	switch op := s.rng.IntN(40); {
	case op < 20: // a line of log
		line := ""
		for range s.rng.IntN(5) {
			line += scraps[s.rng.IntN(len(scraps))] + " "
		}
		s.logs = append(s.logs, fmt.Sprint(s.n, " ", line, strings.Repeat(" ", s.rng.IntN(30)), s.n))
	case op < 26: // text in the middle
		if n := len(s.logs); n > 0 {
			s.logs[max(n-1-s.rng.IntN(s.h), 0)] = fmt.Sprint(strings.Repeat(" ", s.rng.IntN(s.w)), s.n)
		}
	case op < 30: // show, exchange, move
		at.cols, at.rows = 3+s.rng.IntN(12), 2+s.rng.IntN(5)
		at.x, at.y = s.rng.IntN(max(s.w-at.cols, 1)), s.rng.IntN(max(s.h-at.rows-1, 1))
		at.shown = true
		r.pics.Show(fmt.Sprint(i), s.make(s.n, at.cols, at.rows))
	case op < 32: // exchange in place
		if at.shown {
			r.pics.Show(fmt.Sprint(i), s.make(s.n, at.cols, at.rows))
		}
	case op < 34:
		at.x = s.rng.IntN(max(s.w-at.cols, 1))
	case op < 36:
		at.shown = false
	case op < 38:
		s.modal = !s.modal
	case op == 38 && !r.fixed:
		s.w, s.h = 30+s.rng.IntN(40), 8+s.rng.IntN(14)
		r.resize(s.w, s.h)
	default:
		s.logs = nil
	}
}

// No text is ever written into a picture that stays, and after every frame the terminal shows exactly
// the frame: with pictures next to, above, under and across scrolling, wide and erased text.
func TestRandomFrames(t *testing.T) {
	for seed := range uint64(6) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			r := newStage(t, 50, 14)
			s := &scene{rng: rand.New(rand.NewPCG(seed, 1)), w: 50, h: 14, make: fake}
			for range 200 {
				s.change(r)
				r.frame(s.view(r.pics), s.overlap())
			}
			if r.draws == 0 {
				t.Error("no image was drawn")
			}
		})
	}
}
