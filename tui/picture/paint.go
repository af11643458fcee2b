package picture

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	uv "github.com/charmbracelet/ultraviolet"
	"github.com/charmbracelet/x/ansi"
)

// unknown is a cell of shown whose look on the terminal is not known. It equals no cell of a frame.
var unknown = uv.Cell{Content: "\x00", Width: 1}

// spot is a picture at a place of the screen, in cells.
type spot struct {
	*shelved
	x, y int
}

// isPicture reports whether a cell holds a picture's rune: part of a picture in a frame, pixels in shown.
func isPicture(c *uv.Cell) bool {
	return len(c.Content) > 1 && c.Content[0] == leadByte && c.Content[1] <= lastSecond
}

// compose appends to pending what brings the terminal from shown to the model: first the pictures whose
// pixels are not there, then the cells that differ. It returns the size of the picture data in bytes.
func (s *Screen) compose() int {
	if !s.composing || !s.alt {
		return 0
	}
	s.layered = s.shelf.keepsPixelsUnderText()
	head := slices.Clone(s.pending.Bytes())
	s.pending.Reset()
	target, spots := s.target()
	if s.wipe || s.layered && leavesPixels(s.shown, target) {
		s.eraseAll()
	}
	pictureBytes := s.drawPictures(slices.SortedFunc(maps.Keys(spots), compareSpots), target)
	s.kitty.removeOrphans(&s.pending, spots)
	s.paintText(target)
	s.finish(head, len(spots) == 0)
	return pictureBytes
}

func compareSpots(a, b spot) int {
	return cmp.Or(cmp.Compare(a.y, b.y), cmp.Compare(a.x, b.x), cmp.Compare(a.base, b.base))
}

// target is the model with the picture cells as the terminal shall show them, and the pictures that are
// to be drawn. Cells of pictures that cannot be drawn where they are become blanks.
func (s *Screen) target() (*uv.Buffer, map[spot]bool) {
	w, h := s.model.Width(), s.model.Height()
	if s.frame == nil || s.frame.Width() != w || s.frame.Height() != h {
		s.frame = uv.NewBuffer(w, h)
	}
	for y, line := range s.model.Lines {
		copy(s.frame.Lines[y], line)
		steady(s.frame.Lines[y])
	}
	find := s.shelf.finder()
	visible := map[spot]int{}
	for y, line := range s.frame.Lines {
		for x := range line {
			if p, ok := spotOf(find, &line[x], x, y); ok {
				visible[p]++
			}
		}
	}
	spots := s.drawable(visible, w, h)
	for y, line := range s.frame.Lines {
		for x := range line {
			if !isPicture(&line[x]) {
				continue
			}
			p, ok := spotOf(find, &line[x], x, y)
			switch {
			case !ok || !spots[p]:
				line[x] = uv.EmptyCell
			case p.protocol == KittyCells:
				line[x] = placeholderCell(p.id, x-p.x, y-p.y)
			}
		}
	}
	return s.frame, spots
}

// spotOf finds the picture that the cell at x, y belongs to.
func spotOf(find func(rune) *shelved, c *uv.Cell, x, y int) (spot, bool) {
	if !isPicture(c) {
		return spot{}, false
	}
	r, _ := utf8.DecodeRuneInString(c.Content)
	p := find(r)
	if p == nil {
		return spot{}, false
	}
	col, row := p.place(r)
	return spot{p, x - col, y - row}, true
}

// drawable picks the pictures that can be drawn, from the number of their visible cells: wholly on the
// screen, not in its last row, where terminals scroll, and each picture once. In a layered terminal,
// where text cannot cover pixels, only pictures that nothing covers.
func (s *Screen) drawable(visible map[spot]int, w, h int) map[spot]bool {
	spots := map[spot]bool{}
	once := map[*shelved]bool{}
	for _, p := range slices.SortedFunc(maps.Keys(visible), compareSpots) {
		fits := p.x >= 0 && p.y >= 0 && p.x+p.Cols <= w && p.y+p.Rows < h
		if fits && !once[p.shelved] && (!s.layered || visible[p] == p.Cols*p.Rows) {
			spots[p], once[p.shelved] = true, true
		}
	}
	return spots
}

// leavesPixels reports whether a cell with pixels becomes text.
func leavesPixels(shown, target *uv.Buffer) bool {
	for y, line := range shown.Lines {
		for x := range line {
			if isPicture(&line[x]) && !isPicture(&target.Lines[y][x]) {
				return true
			}
		}
	}
	return false
}

// eraseAll erases the terminal's screen, pictures included.
func (s *Screen) eraseAll() {
	s.penTo(uv.Style{}, uv.Link{})
	s.pending.WriteString("\x1b[2J")
	s.shown.Clear()
	s.kitty.reset()
	s.wipe = false
}

// removeAll takes the pictures off the terminal before the alternate screen goes: some terminals would
// keep them.
func (s *Screen) removeAll() {
	s.kitty.removeOrphans(&s.pending, nil)
	if leavesPixels(s.shown, uv.NewBuffer(s.shown.Width(), s.shown.Height())) {
		s.eraseAll()
	}
}

// drawPictures draws what is missing. A picture may be drawn over one that covers part of it, which is
// then missing in turn.
func (s *Screen) drawPictures(spots []spot, target *uv.Buffer) int {
	total := 0
	for range spots {
		before := total
		for _, p := range spots {
			total += s.drawPicture(p, target)
		}
		if total == before {
			break
		}
	}
	return total
}

// drawPicture draws the picture unless its pixels are there. Cells of its rectangle that belong to
// something else become unknown, so that paintText brings them to the top again.
func (s *Screen) drawPicture(p spot, target *uv.Buffer) int {
	if p.protocol == KittyCells {
		return s.kitty.transmit(&s.pending, p)
	}
	if !s.damaged(p, target) {
		return 0
	}
	s.clearUnder(p, target)
	before := s.pending.Len()
	if p.protocol == Kitty {
		s.kitty.transmit(&s.pending, p)
		s.kitty.place(&s.pending, p, visibleRects(p, target))
	} else {
		moveTo(&s.pending, p.x, p.y)
		s.pending.WriteString(p.data)
	}
	s.eachCell(p, func(x, y int) {
		s.shown.Lines[y][x] = target.Lines[y][x]
		if !p.owns(&target.Lines[y][x], x, y) {
			s.shown.Lines[y][x] = unknown
		}
	})
	return s.pending.Len() - before
}

// damaged reports whether a visible cell of the picture lacks its pixels on the terminal, or, for kitty,
// whether the visible part has changed.
func (s *Screen) damaged(p spot, target *uv.Buffer) bool {
	damaged := false
	s.eachCell(p, func(x, y int) {
		c := &target.Lines[y][x]
		damaged = damaged || p.owns(c, x, y) && s.shown.Lines[y][x].Content != c.Content
	})
	return damaged || p.protocol == Kitty && s.kitty.differs(p, visibleRects(p, target))
}

// owns reports whether a cell at x, y belongs to the picture.
func (p spot) owns(c *uv.Cell, x, y int) bool {
	if !isPicture(c) {
		return false
	}
	r, _ := utf8.DecodeRuneInString(c.Content)
	return r == p.base+rune((y-p.y)*p.Cols+x-p.x)
}

// clearUnder blanks the text that a picture is about to be drawn on: it would stay below the pixels
// and come back when the terminal repaints. Other pixels are left, so that nothing flickers, but for those
// that the picture does not cover in its last column and row.
func (s *Screen) clearUnder(p spot, target *uv.Buffer) {
	find := s.shelf.finder()
	s.eachCell(p, func(x, y int) {
		c := &s.shown.Lines[y][x]
		if !p.owns(&target.Lines[y][x], x, y) {
			return
		}
		old, pixels := spotOf(find, c, x, y)
		left := isPicture(c) && p.halfCovers(x, y) && !(pixels && old.x == p.x && old.y == p.y && old.size == p.size)
		if left || !isPicture(c) && !c.Equal(&uv.EmptyCell) {
			moveTo(&s.pending, x, y)
			s.penTo(uv.Style{}, uv.Link{})
			s.pending.WriteByte(' ')
			*c = uv.EmptyCell
		}
	})
}

// halfCovers reports whether the picture's pixels end within the cell.
func (p spot) halfCovers(x, y int) bool {
	return x == p.x+p.Cols-1 && p.size.X < p.Cols*p.cell.X || y == p.y+p.Rows-1 && p.size.Y < p.Rows*p.cell.Y
}

// eachCell calls f for the cells of the picture's rectangle.
func (s *Screen) eachCell(p spot, f func(x, y int)) {
	for y := p.y; y < p.y+p.Rows; y++ {
		for x := p.x; x < p.x+p.Cols; x++ {
			f(x, y)
		}
	}
}

// paintText writes the cells that differ and are not pixels.
func (s *Screen) paintText(target *uv.Buffer) {
	for y := range target.Lines {
		s.paintLine(target.Lines[y], s.shown.Lines[y], y)
		copy(s.shown.Lines[y], target.Lines[y])
	}
}

// paintLine writes the cells of row y that differ. It erases runs of blanks with ECH except over
// pixels, which only a printed blank removes in every terminal.
func (s *Screen) paintLine(line, shown uv.Line, y int) {
	at := -1 // the terminal's cursor when it is in this row and known
	for x := 0; x < len(line); {
		c := &line[x]
		width := max(c.Width, 1)
		if isPicture(c) || c.Width == 0 || sameCells(line, shown, x, width) {
			x += width
			continue
		}
		if at != x {
			moveTo(&s.pending, x, y)
		}
		s.penTo(c.Style, c.Link)
		if n := blankRun(line, shown, x); n > 8 {
			s.pending.WriteString("\x1b[" + strconv.Itoa(n) + "X")
			x += n
			at = -1
			continue
		}
		if width > 1 { // in case that the terminal draws it narrower, and leaves what stood there
			s.pending.WriteString(strings.Repeat(" ", width))
			moveTo(&s.pending, x, y)
		}
		s.pending.WriteString(c.Content)
		x += width
		if at = x; x >= len(line) || width > 1 {
			at = -1 // the terminal may think otherwise about the width
		}
	}
}

func sameCells(line, shown uv.Line, x, width int) bool {
	for i := x; i < min(x+width, len(line)); i++ {
		if !line[i].Equal(&shown[i]) {
			return false
		}
	}
	return true
}

// blankRun counts the equal erasable blanks of line from x on, up to the first that has pixels under it.
func blankRun(line, shown uv.Line, x int) int {
	c := line[x]
	if c.Content != " " || !c.Link.IsZero() || !c.Style.Equal(&uv.Style{Bg: c.Style.Bg}) {
		return 0
	}
	n := 0
	for x+n < len(line) && line[x+n].Equal(&c) && !isPicture(&shown[x+n]) && shown[x+n].Content != unknown.Content {
		n++
	}
	return n
}

// finish puts head and, where needed, cursor and synchronization around what was composed. When the
// last picture is gone it hands the terminal back to the renderer as the renderer believes it to be.
func (s *Screen) finish(head []byte, last bool) {
	last = last && !s.kitty.any()
	if s.pending.Len() == 0 && !last {
		s.pending.Write(head)
		return
	}
	s.penTo(uv.Style{}, uv.Link{})
	if last {
		if m := s.model; m.top != 0 || m.bottom != m.Height() {
			s.pending.WriteString("\x1b[" + strconv.Itoa(m.top+1) + ";" + strconv.Itoa(m.bottom) + "r")
		}
	}
	s.placeCursor(last)
	if last {
		s.penTo(s.model.pen, s.model.link)
	}
	body := slices.Clone(s.pending.Bytes())
	s.pending.Reset()
	wrap := func(on, off string, b []byte) []byte { return slices.Concat([]byte(on), b, []byte(off)) }
	if s.cursorOn {
		body = wrap("\x1b[?25l", "\x1b[?25h", body)
	}
	if s.synced {
		body = wrap(ansi.SetModeSynchronizedOutput, ansi.ResetModeSynchronizedOutput, body)
	}
	s.pending.Write(head)
	s.pending.Write(body)
	if last {
		s.stopComposing()
	}
}

// placeCursor puts the cursor where the renderer believes it to be: needed when it can be seen and
// when the renderer takes over. A pending wrap is only had by printing in the last column.
func (s *Screen) placeCursor(last bool) {
	m := s.model
	if !last && !s.cursorOn {
		return
	}
	if !m.wrap {
		moveTo(&s.pending, m.x, m.y)
		return
	}
	x := m.Width() - 1
	if c := m.CellAt(x, m.y); c.Width == 0 {
		x--
	}
	moveTo(&s.pending, x, m.y)
	if c := m.CellAt(x, m.y); last && !isPicture(c) && c.Width > 0 {
		s.penTo(c.Style, c.Link)
		s.pending.WriteString(c.Content)
	}
}

// penTo changes the terminal's pen.
func (s *Screen) penTo(style uv.Style, link uv.Link) {
	if !style.Equal(&s.pen.style) {
		seq := style.Diff(&s.pen.style)
		if style.IsZero() {
			seq = ansi.ResetStyle
		}
		s.pending.WriteString(seq)
	}
	if link != s.pen.link {
		s.pending.WriteString(ansi.SetHyperlink(link.URL, link.Params))
	}
	s.pen = pen{style, link}
}

func moveTo(b interface{ WriteString(string) (int, error) }, x, y int) {
	_, _ = b.WriteString("\x1b[" + strconv.Itoa(y+1) + ";" + strconv.Itoa(x+1) + "H")
}
