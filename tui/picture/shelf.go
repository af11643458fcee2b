package picture

import (
	"slices"
	"strings"
	"sync"
)

// Shelf is the set of pictures that panes show, by name. A pane puts [Pictures.View] into its
// string, and the [Screen] finds the picture by that text: where the text is, the picture is. There
// is no second list of rectangles that could disagree with the frame.
//
// Every cell of a picture is one rune of plane 16, a private use plane: the rune says which picture,
// which row and which column. So the renderer's diff sees a moved, covered or exchanged picture as
// changed text, and no row of a picture looks like another one that could be scrolled into its place.
type Shelf struct {
	mu       sync.Mutex
	byName   map[string]*shelved
	previous map[string][]*shelved // those before: a frame that is on its way may still show them
	next     rune
	budget   budget
	term     Terminal
}

// shelved is a picture with its cells' runes: base + row*Cols + column.
type shelved struct {
	Encoded
	base rune
	view string // rows of runes, without padding
}

// The first and the last rune that stand for picture cells. kitty's placeholder, U+10EEEE, is not one.
const (
	firstCell rune = 0x100000
	lastCell  rune = 0x10dfff
)

// The UTF-8 of every rune from firstCell to lastCell begins with leadByte and a byte up to lastSecond.
const (
	leadByte   = 0xf4
	lastSecond = 0x8d
)

// keepBefore is how many pictures may take another's place between two frames without being seen.
const keepBefore = 3

// NewShelf returns an empty set that encodes for term. Over ssh it starts with fewer bytes a picture.
func NewShelf(term Terminal) *Shelf {
	p := &Shelf{byName: map[string]*shelved{}, previous: map[string][]*shelved{}, next: firstCell, term: term}
	p.budget.local = !term.env.ssh
	if term.env.ssh {
		p.budget.at = 1
	}
	return p
}

// SetTerminal makes the following pictures for term: what [Probe.Terminal] says after [Probe.Update]
// reported a change. The panes have to encode their pictures again.
func (p *Shelf) SetTerminal(term Terminal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.term = term
}

// InBlocks reports whether pictures are made of characters.
func (p *Shelf) InBlocks() bool {
	term, level := p.state()
	return term.Protocol <= Blocks || level.blocks
}

func (p *Shelf) keepsPixelsUnderText() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.term.keepsPixelsUnderText()
}

// Show makes pic the picture called name from the next frame on. It is cheap and may be called in
// Update with the result of [Pictures.Encode].
func (p *Shelf) Show(name string, pic Encoded) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := &shelved{Encoded: pic}
	if n := rune(pic.Cols * pic.Rows); pic.pixels() && n > 0 {
		base, ok := p.reserve(n)
		if !ok {
			return // more cells than runes: the picture before stays
		}
		s.base, s.view = base, cellText(base, pic.Cols, pic.Rows)
	}
	if old := p.byName[name]; old != nil {
		before := p.previous[name]
		p.previous[name] = append(slices.Clone(before[max(len(before)+1-keepBefore, 0):]), old)
	}
	p.byName[name] = s
}

// Hide forgets the picture called name. Nothing needs to be erased: the next frame has other text there.
func (p *Shelf) Hide(name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.byName, name)
	delete(p.previous, name)
}

// Shown returns the size in cells of the picture called name, or 0, 0 when there is none.
func (p *Shelf) Shown(name string) (cols, rows int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s := p.byName[name]; s != nil {
		return s.Cols, s.Rows
	}
	return 0, 0
}

// View is the text of a rectangle of w x h cells with the picture called name in its middle. It is
// blank when there is no such picture or when it does not fit, as after a resize until the pane has
// encoded it again. The last row of the screen cannot hold pixels: a terminal would scroll.
func (p *Shelf) View(name string, w, h int) string {
	p.mu.Lock()
	s := p.byName[name]
	p.mu.Unlock()
	if s == nil || s.Cols > w || s.Rows > h || s.Cols*s.Rows == 0 {
		return block(nil, 0, w, h)
	}
	if !s.pixels() {
		return block(s.text, s.Cols, w, h)
	}
	return block(strings.Split(s.view, "\n"), s.Cols, w, h)
}

// block centres rows of the given width in w x h cells.
func block(rows []string, width, w, h int) string {
	w, h = max(w, 0), max(h, 0)
	top, left := (h-len(rows))/2, (w-width)/2
	out := make([]string, h)
	for y := range out {
		if i := y - top; i >= 0 && i < len(rows) {
			out[y] = strings.Repeat(" ", left) + rows[i] + strings.Repeat(" ", w-width-left)
		} else {
			out[y] = strings.Repeat(" ", w)
		}
	}
	return strings.Join(out, "\n")
}

func cellText(base rune, cols, rows int) string {
	var b strings.Builder
	b.Grow(cols*rows*4 + rows)
	for r := range rows {
		if r > 0 {
			b.WriteByte('\n')
		}
		for c := range cols {
			b.WriteRune(base + rune(r*cols+c))
		}
	}
	return b.String()
}

// reserve finds n runes that no picture uses, going round, so that runes are reused as late as can be.
func (p *Shelf) reserve(n rune) (rune, bool) {
	used := p.ranges()
	for range 2 { // from the last place on, then from the start
		at := p.next
		for _, s := range used {
			if at < s.end() && at+n > s.base {
				at = s.end()
			}
		}
		if at+n <= lastCell+1 {
			p.next = at + n
			return at, true
		}
		p.next = firstCell
	}
	return 0, false
}

// ranges lists the pictures that have runes, in the order of their runes.
func (p *Shelf) ranges() []*shelved {
	var used []*shelved
	add := func(s *shelved) {
		if s.view != "" {
			used = append(used, s)
		}
	}
	for name, s := range p.byName {
		add(s)
		for _, before := range p.previous[name] {
			add(before)
		}
	}
	slices.SortFunc(used, func(a, b *shelved) int { return int(a.base - b.base) })
	return used
}

// end is the rune after the picture's last.
func (s *shelved) end() rune { return s.base + rune(s.Cols*s.Rows) }

// place is the row and column of a rune of s.
func (s *shelved) place(r rune) (col, row int) {
	i := int(r - s.base)
	return i % s.Cols, i / s.Cols
}

// finder returns a function that finds the picture a rune belongs to, or nil.
func (p *Shelf) finder() func(rune) *shelved {
	p.mu.Lock()
	used := p.ranges()
	p.mu.Unlock()
	var last *shelved
	return func(r rune) *shelved {
		if last != nil && r >= last.base && r < last.end() {
			return last
		}
		for _, s := range used {
			if r >= s.base && r < s.end() {
				last = s
				return s
			}
		}
		return nil
	}
}
