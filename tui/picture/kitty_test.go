package picture

import (
	"fmt"
	"image"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"focusnfix/render"

	uv "github.com/charmbracelet/ultraviolet"
)

// kittyTerminal keeps the pictures and placements of a kitty terminal whose cells are one pixel.
type kittyTerminal struct {
	t      *testing.T
	images map[int]image.Point  // their sizes
	placed map[[2]int]placement // by image and placement number
}

type placement struct {
	at, from, size image.Point
}

// command carries out one graphics command at the cursor.
func (k *kittyTerminal) command(s string, cursor image.Point) {
	keys := map[string]string{}
	control, _, _ := strings.Cut(strings.TrimPrefix(s, "G"), ";")
	for _, kv := range strings.Split(control, ",") {
		key, value, _ := strings.Cut(kv, "=")
		keys[key] = value
	}
	number := func(key string) int { n, _ := strconv.Atoi(keys[key]); return n }
	id := [2]int{number("i"), number("p")}
	switch keys["a"] {
	case "T":
		k.images[id[0]] = image.Pt(number("s"), number("v"))
		k.placed[id] = placement{cursor, image.Point{}, k.images[id[0]]}
	case "p":
		whole, ok := k.images[id[0]]
		if !ok {
			k.t.Errorf("placement of image %d, which was never sent", id[0])
		}
		size := image.Pt(number("w"), number("h"))
		if size == (image.Point{}) {
			size = whole
		}
		k.placed[id] = placement{cursor, image.Pt(number("x"), number("y")), size}
	case "d":
		for at := range k.placed {
			if at[0] == id[0] && (keys["d"] == "I" || at[1] == id[1]) {
				delete(k.placed, at)
			}
		}
		if keys["d"] == "I" {
			delete(k.images, id[0])
		}
	default:
		k.t.Errorf("command %q", s)
	}
}

// pixelAt is the picture and its pixel at a cell.
func (k *kittyTerminal) pixelAt(p image.Point) string {
	found := ""
	for id, pl := range k.placed {
		if p.In(image.Rectangle{pl.at, pl.at.Add(pl.size)}) {
			if found != "" {
				k.t.Errorf("two images at %v", p)
			}
			found = fmt.Sprint(id[0], p.Sub(pl.at).Add(pl.from))
		}
	}
	return found
}

func kittyPicture(n, cols, rows int) Encoded {
	return Encoded{
		Cols: cols, Rows: rows, protocol: Kitty, id: uint32(n), cell: image.Pt(1, 1), size: image.Pt(cols, rows),
		data: fmt.Sprintf("\x1b_Ga=T,q=2,i=%d,p=1,C=1,s=%d,v=%d;AAAA\x1b\\", n, cols, rows),
	}
}

// Placements must cover exactly the cells that the frame gives to a picture, whatever covers or cuts it.
func TestRandomFramesKitty(t *testing.T) {
	for seed := range uint64(4) {
		r := newStage(t, 50, 14)
		k := &kittyTerminal{t, map[int]image.Point{}, map[[2]int]placement{}}
		r.emu.RegisterApcHandler(func(b []byte) bool { k.command(string(b), r.emu.CursorPosition()); return true })
		s := &scene{rng: rand.New(rand.NewPCG(seed, 2)), w: 50, h: 14, make: kittyPicture}
		for range 200 {
			s.change(r)
			if r.resized {
				clear(k.images)
				clear(k.placed)
			}
			r.frameWithoutCheck(s.view(r.pics))
			find := r.pics.finder()
			for y := range r.h {
				for x := range r.w {
					want := ""
					c := r.cells.CellAt(x, y)
					if p, ok := spotOf(find, c, x, y); ok && p.y+p.Rows < r.h && p.x+p.Cols <= r.w && p.x >= 0 && p.y >= 0 {
						want = fmt.Sprint(p.id, image.Pt(x-p.x, y-p.y))
					}
					if got := k.pixelAt(image.Pt(x, y)); got != want {
						t.Fatalf("seed %d: cell %d,%d shows %q, want %q", seed, x, y, got, want)
					}
				}
			}
		}
	}
}

// In tmux pictures are text: every cell is a placeholder whose color is the picture's number.
func TestKittyPlaceholders(t *testing.T) {
	r := newStage(t, 20, 6)
	sent := 0
	r.emu.RegisterApcHandler(func([]byte) bool { sent++; return true })
	pic := kittyPicture(0x17000010, 4, 2)
	pic.protocol = KittyCells
	r.pics.Show("p", pic)
	for i := range 3 {
		r.frameWithoutCheck(fmt.Sprintf("line %d\n%s", i, r.pics.View("p", 4, 2)))
	}
	if sent != 1 {
		t.Errorf("the image was sent %d times", sent)
	}
	want := placeholderCell(pic.id, 3, 1)
	if got := r.emu.CellAt(3, 2); got.Content != want.Content || !strings.HasPrefix(got.Content, "\U0010EEEE") {
		t.Errorf("cell 3,2 is %q, want %q", got.Content, want.Content)
	}
	if got, want := fmt.Sprint(r.emu.CellAt(0, 1).Style.Fg), fmt.Sprint(want.Style.Fg); got != want {
		t.Errorf("color %v, want %v", got, want)
	}
	r.frameWithoutCheck("gone")
	if sent != 2 {
		t.Errorf("the image was not deleted: %d commands", sent)
	}
	if c := r.emu.CellAt(0, 1); c.Content != " " {
		t.Errorf("a placeholder stayed: %q", c.Content)
	}
}

func TestVisibleRects(t *testing.T) {
	p := spot{&shelved{Encoded: kittyPicture(1, 6, 4), base: firstCell}, 2, 1}
	target := uv.NewBuffer(12, 8)
	for i, r := range []rune(strings.ReplaceAll(cellText(firstCell, 6, 4), "\n", "")) {
		target.SetCell(2+i%6, 1+i/6, &uv.Cell{Content: string(r), Width: 1})
	}
	if got := visibleRects(p, target); len(got) != 1 || got[0] != p.rect() {
		t.Fatalf("whole image: %v", got)
	}
	for _, at := range []image.Point{{4, 2}, {5, 2}, {4, 3}, {5, 3}} {
		target.SetCell(at.X, at.Y, &uv.EmptyCell)
	}
	want := []image.Rectangle{image.Rect(2, 1, 8, 2), image.Rect(2, 2, 4, 4), image.Rect(6, 2, 8, 4), image.Rect(2, 4, 8, 5)}
	if got := visibleRects(p, target); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("with a hole: %v, want %v", got, want)
	}
}

func TestKittyIDs(t *testing.T) {
	seen := map[uint32]bool{}
	for range render.KittyIDs {
		id := newKittyID()
		if id == 0 || id >= 1<<31 || seen[id] {
			t.Fatalf("number %#x", id)
		}
		seen[id] = true
	}
}
