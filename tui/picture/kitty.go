package picture

import (
	"bytes"
	"fmt"
	"image"
	"slices"

	uv "github.com/charmbracelet/ultraviolet"
	"github.com/charmbracelet/x/ansi"
	"github.com/charmbracelet/x/ansi/kitty"

	"focusnfix/render"
)

// kittyState is what a kitty terminal has of our pictures, by their numbers. Text does not remove its
// pictures, but it can show any part of one, so a covered picture is placed as the rectangles that can
// be seen. A picture is shown at most once.
type kittyState struct {
	tmux   bool
	placed map[uint32][]image.Rectangle // in screen cells
}

// reset forgets everything, after the terminal did.
func (k *kittyState) reset() { k.placed = nil }

func (k *kittyState) any() bool { return len(k.placed) > 0 }

// transmit sends the picture unless the terminal has it, and returns the number of bytes. The terminal
// shows it whole at the cursor, or nowhere if it was made for placeholders.
func (k *kittyState) transmit(b *bytes.Buffer, p spot) int {
	if _, ok := k.placed[p.id]; ok {
		return 0
	}
	if k.placed == nil {
		k.placed = map[uint32][]image.Rectangle{}
	}
	k.tmux = p.protocol == KittyCells
	k.placed[p.id] = []image.Rectangle{p.rect()}
	n := b.Len()
	moveTo(b, p.x, p.y)
	b.WriteString(p.data)
	return b.Len() - n
}

// rect is the picture's place in screen cells.
func (p spot) rect() image.Rectangle { return image.Rect(p.x, p.y, p.x+p.Cols, p.y+p.Rows) }

// differs reports whether other parts of the picture are placed than the given ones.
func (k *kittyState) differs(p spot, rects []image.Rectangle) bool {
	return !slices.Equal(k.placed[p.id], rects)
}

// place shows the given parts of the picture. The n-th part is placement n, so that the terminal
// exchanges it without showing less in between.
func (k *kittyState) place(b *bytes.Buffer, p spot, rects []image.Rectangle) {
	if !k.differs(p, rects) {
		return
	}
	for i, r := range rects {
		moveTo(b, r.Min.X, r.Min.Y)
		fmt.Fprintf(b, "\x1b_Ga=p,q=2,C=1,i=%d,p=%d", p.id, i+1)
		if r != p.rect() {
			from, to := p.pixel(r.Min), p.pixel(r.Max)
			fmt.Fprintf(b, ",x=%d,y=%d,w=%d,h=%d", from.X, from.Y, to.X-from.X, to.Y-from.Y)
		}
		if p.scaled {
			fmt.Fprintf(b, ",c=%d,r=%d", r.Dx(), r.Dy())
		}
		b.WriteString("\x1b\\")
	}
	for i := len(rects); i < len(k.placed[p.id]); i++ {
		fmt.Fprintf(b, "\x1b_Ga=d,d=i,q=2,i=%d,p=%d\x1b\\", p.id, i+1)
	}
	k.placed[p.id] = rects
}

// pixel is the picture's pixel at the corner of a screen cell.
func (p spot) pixel(cell image.Point) image.Point {
	x, y := (cell.X-p.x)*p.cell.X, (cell.Y-p.y)*p.cell.Y
	if p.scaled {
		x, y = (cell.X-p.x)*p.size.X/p.Cols, (cell.Y-p.y)*p.size.Y/p.Rows
	}
	return image.Pt(min(x, p.size.X), min(y, p.size.Y))
}

// removeOrphans deletes the pictures that the frame does not have, with their data.
func (k *kittyState) removeOrphans(b *bytes.Buffer, frame map[spot]bool) {
	keep := map[uint32]bool{}
	for p := range frame {
		keep[p.id] = true
	}
	for id := range k.placed {
		if !keep[id] {
			b.Write(render.Kitty{ID: id, Tmux: k.tmux}.AppendDelete(nil))
			delete(k.placed, id)
		}
	}
}

// visibleRects cuts the part of the picture that belongs to it in target into rectangles of screen cells.
func visibleRects(p spot, target *uv.Buffer) []image.Rectangle {
	var rects []image.Rectangle
	above := 0 // rects from here on end at the row above
	for y := p.y; y < p.y+p.Rows; y++ {
		var row []image.Rectangle
		for x := p.x; x < p.x+p.Cols; x++ {
			if !p.owns(&target.Lines[y][x], x, y) {
				continue
			}
			if n := len(row); n > 0 && row[n-1].Max.X == x {
				row[n-1].Max.X++
			} else {
				row = append(row, image.Rect(x, y, x+1, y+1))
			}
		}
		if sameColumns(rects[above:], row, y) {
			for i := above; i < len(rects); i++ {
				rects[i].Max.Y++
			}
			continue
		}
		above = len(rects)
		rects = append(rects, row...)
	}
	return rects
}

// sameColumns reports whether the rectangles a end above row y and have the columns of b.
func sameColumns(a, b []image.Rectangle, y int) bool {
	return len(a) > 0 && a[0].Max.Y == y && slices.EqualFunc(a, b, func(a, b image.Rectangle) bool {
		return a.Min.X == b.Min.X && a.Max.X == b.Max.X
	})
}

// placeholderCell is the text cell that stands for one cell of a picture that was sent for placeholders:
// U+10EEEE with its row and column as diacritics, its number as the foreground color. It is made here,
// behind the renderer, so that no color profile can change the number.
func placeholderCell(id uint32, col, row int) uv.Cell {
	s := []rune{kitty.Placeholder, kitty.Diacritic(row), kitty.Diacritic(col), kitty.Diacritic(int(id >> 24))}
	return uv.Cell{Content: string(s), Width: 1, Style: uv.Style{Fg: ansi.IndexedColor(id)}}
}
