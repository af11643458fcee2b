package picture

import (
	uv "github.com/charmbracelet/ultraviolet"
	"github.com/charmbracelet/x/ansi"
)

// model is the screen as the renderer believes it to be: a small terminal that carries out what the
// renderer writes. It knows every sequence that ultraviolet's renderer emits, and a few more.
type model struct {
	*uv.Buffer
	x, y        int  // the cursor, from 0
	wrap        bool // the cursor stands behind the last column: the next glyph goes to the next row
	pen         uv.Style
	link        uv.Link
	top, bottom int // the scrolling region, bottom excluded
	noWrap      bool
	method      ansi.Method
	last        uv.Cell // the glyph that REP repeats
	saved       struct {
		x, y int
		wrap bool
		pen  uv.Style
	}
}

func newModel(w, h int) *model {
	m := &model{Buffer: uv.NewBuffer(w, h), last: uv.EmptyCell}
	m.bottom = h
	return m
}

func (m *model) resize(w, h int) {
	m.Resize(w, h)
	m.top, m.bottom = 0, h
	m.x, m.y, m.wrap = min(m.x, w-1), min(m.y, h-1), false
}

// blank is what erasing leaves: a space in the pen's background.
func (m *model) blank() *uv.Cell {
	return &uv.Cell{Content: " ", Width: 1, Style: uv.Style{Bg: m.pen.Bg}}
}

// isScreen reports whether the token only changes cells, the cursor or the pen, so that the filter may
// keep it and draw the outcome itself.
func (t token) isScreen() bool {
	switch t.kind {
	case tokenText:
		return true
	case tokenControl:
		return t.final >= 0x08 && t.final <= 0x0d
	case tokenEscape:
		switch t.final {
		case '7', '8', 'D', 'E', 'M':
			return t.inter == 0
		}
	case tokenCSI:
		if t.prefix != 0 || t.inter != 0 {
			return false
		}
		switch t.final {
		case 'A', 'B', 'C', 'D', 'E', 'F', 'G', 'H', 'I', 'J', 'K', 'L', 'M', 'P', 'S', 'T', 'X', 'Z',
			'@', '`', 'a', 'b', 'd', 'e', 'f', 'm', 'r':
			return true
		}
	case tokenString:
		return isHyperlink(t)
	}
	return false
}

func isHyperlink(t token) bool {
	b := t.body()
	return t.final == ']' && len(b) >= 2 && b[0] == '8' && b[1] == ';'
}

// apply carries out a token; those that are not isScreen only where they change how text is read.
func (m *model) apply(t token) {
	switch t.kind {
	case tokenText:
		m.print(t.raw)
	case tokenControl:
		m.control(t.final)
	case tokenEscape:
		if t.inter == 0 {
			m.escape(t.final)
		}
	case tokenCSI:
		if t.prefix == '?' && t.inter == 0 && (t.final == 'h' || t.final == 'l') {
			m.mode(t.param(0, 0), t.final == 'h')
		} else if t.prefix == 0 && t.inter == 0 && !m.move(t) {
			m.edit(t)
		}
	case tokenString:
		if isHyperlink(t) {
			uv.ReadLink(t.body(), &m.link)
		}
	}
}

func (m *model) mode(n int, on bool) {
	switch n {
	case 7:
		m.noWrap = !on
	case 2027:
		m.method = ansi.WcWidth
		if on {
			m.method = ansi.GraphemeWidth
		}
	}
}

func (m *model) control(c byte) {
	switch c {
	case '\b':
		m.x, m.wrap = max(m.x-1, 0), false
	case '\t':
		m.x, m.wrap = min((m.x/8+1)*8, m.Width()-1), false
	case '\n', '\v', '\f':
		m.index()
	case '\r':
		m.x, m.wrap = 0, false
	}
}

func (m *model) escape(c byte) {
	switch c {
	case '7':
		m.saved.x, m.saved.y, m.saved.wrap, m.saved.pen = m.x, m.y, m.wrap, m.pen
	case '8':
		m.x, m.y = min(m.saved.x, m.Width()-1), min(m.saved.y, m.Height()-1)
		m.wrap, m.pen = m.saved.wrap, m.saved.pen
	case 'D':
		m.index()
	case 'E':
		m.x = 0
		m.index()
	case 'M':
		m.wrap = false
		if m.y == m.top {
			m.scroll(m.top, -1)
		} else {
			m.y = max(m.y-1, 0)
		}
	}
}

// index moves down one row and scrolls at the bottom of the region.
func (m *model) index() {
	m.wrap = false
	if m.y == m.bottom-1 {
		m.scroll(m.top, 1)
	} else {
		m.y = min(m.y+1, m.Height()-1)
	}
}

// scroll moves the rows from y to the region's end up by n, or down when n is negative.
func (m *model) scroll(y, n int) {
	area := uv.Rect(0, m.top, m.Width(), m.bottom-m.top)
	if n > 0 {
		m.DeleteLineArea(y, n, m.blank(), area)
	} else {
		m.InsertLineArea(y, -n, m.blank(), area)
	}
}

// print writes glyphs at the cursor.
func (m *model) print(b []byte) {
	for len(b) > 0 {
		n, width := 1, 1
		if b[0] >= 0x80 || len(b) > 1 && b[1] >= 0x80 {
			var cluster []byte
			cluster, width = ansi.FirstGraphemeCluster(b, m.method)
			n = max(len(cluster), 1)
		}
		m.put(string(b[:n]), width)
		b = b[n:]
	}
}

func (m *model) put(content string, width int) {
	w := m.Width()
	if w == 0 || m.Height() == 0 {
		return
	}
	if width == 0 { // a combining mark that came alone joins the glyph before it
		if c := m.CellAt(m.x-1, m.y); c != nil && !m.wrap && c.Width == 1 {
			c.Content += content
		}
		return
	}
	if m.wrap || m.x+width > w {
		if m.noWrap {
			m.x = max(w-width, 0)
		} else {
			m.x = 0
			m.index()
		}
	}
	m.wrap = false
	m.last = uv.Cell{Content: content, Width: width, Style: m.pen, Link: m.link}
	m.SetCell(m.x, m.y, &m.last)
	if m.x += width; m.x >= w {
		m.x, m.wrap = w-1, !m.noWrap
	}
}

// move carries out a CSI that moves the cursor; it returns false for any other.
func (m *model) move(t token) bool {
	n := t.param(0, 1)
	switch t.final {
	case 'A', 'F':
		if top := m.top; m.y >= top {
			n = min(n, m.y-top)
		}
		m.y -= n
	case 'B', 'e', 'E':
		if last := m.bottom - 1; m.y <= last {
			n = min(n, last-m.y)
		}
		m.y += n
	case 'C', 'a':
		m.x += n
	case 'D':
		m.x -= n
	case 'G', '`':
		m.x = n - 1
	case 'd':
		m.y = n - 1
	case 'H', 'f':
		m.y, m.x = n-1, t.param(1, 1)-1
	case 'I':
		m.x = (m.x/8 + n) * 8
	case 'Z':
		m.x = ((m.x+7)/8 - n) * 8
	default:
		return false
	}
	if t.final == 'E' || t.final == 'F' {
		m.x = 0
	}
	m.x = max(min(m.x, m.Width()-1), 0)
	m.y = max(min(m.y, m.Height()-1), 0)
	m.wrap = false
	return true
}

// edit carries out a CSI that changes cells, the pen or the region.
func (m *model) edit(t token) {
	n := t.param(0, 1)
	row := uv.Rect(0, m.y, m.Width(), 1)
	switch t.final {
	case 'm':
		m.sgr(t.raw)
		return
	case 'b':
		for range min(n, m.Width()*m.Height()) {
			m.put(m.last.Content, m.last.Width)
		}
		return
	case 'X':
		m.fill(m.x, m.y, n)
	case 'K':
		m.eraseLine(t.param(0, 0))
	case 'J':
		m.eraseScreen(t.param(0, 0))
	case '@':
		m.InsertCellArea(m.x, m.y, n, m.blank(), row)
	case 'P':
		m.DeleteCellArea(m.x, m.y, n, m.blank(), row)
	case 'L', 'M', 'S', 'T':
		m.scrollBy(t.final, n)
	case 'r':
		top, bottom := t.param(0, 1)-1, min(t.param(1, m.Height()), m.Height())
		if top < bottom-1 {
			m.top, m.bottom = top, bottom
			m.x, m.y = 0, 0
		}
	}
	m.wrap = false
}

// scrollBy carries out IL, DL, SU and SD. The first two do nothing outside the region.
func (m *model) scrollBy(final byte, n int) {
	from := m.top
	if final == 'L' || final == 'M' {
		if m.y < m.top || m.y >= m.bottom {
			return
		}
		from, m.x = m.y, 0
	}
	if final == 'L' || final == 'T' {
		n = -n
	}
	m.scroll(from, n)
}

func (m *model) eraseLine(how int) {
	switch how {
	case 0:
		m.fill(m.x, m.y, m.Width())
	case 1:
		m.fill(0, m.y, m.x+1)
	case 2:
		m.fill(0, m.y, m.Width())
	}
}

func (m *model) eraseScreen(how int) {
	first, last := 0, m.Height()
	switch how {
	case 0:
		m.fill(m.x, m.y, m.Width())
		first = m.y + 1
	case 1:
		m.fill(0, m.y, m.x+1)
		last = m.y
	case 2:
	default:
		return
	}
	for y := first; y < last; y++ {
		m.fill(0, y, m.Width())
	}
}

// fill erases n cells of row y from column x.
func (m *model) fill(x, y, n int) {
	blank := m.blank()
	for end := min(x+n, m.Width()); x < end; x++ {
		m.SetCell(x, y, blank)
	}
}

func (m *model) sgr(raw []byte) {
	p := ansi.GetParser()
	defer ansi.PutParser(p)
	ansi.DecodeSequence(raw, ansi.NormalState, p)
	uv.ReadStyle(p.Params(), &m.pen)
}
