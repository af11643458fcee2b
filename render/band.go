package render

import "image"

// A band is painted column by column, left to right: every pixel takes the colour of the lowest squared
// error plus Sticky times the bytes that the colour costs there. With dithering the error that a pixel
// leaves is passed on to its neighbours (Floyd and Steinberg, 1976, turned by 90 degrees and kept within
// the band, so that bands can be painted at the same time), and so is the error that Sticky makes.

// maxGap is how many empty columns a colour's segment may bridge. Bridging costs up to 4 bytes ("!12?")
// and the room in the pass; a new segment costs the selection ("#123") and often an offset.
const maxGap = 6

// Bytes that a colour costs in a column that does not have it yet, by experiment: continued where its
// segment ends in the column before, bridged and one for each empty column between, fresh for a new
// segment.
const (
	continued = 1
	bridged   = 2
	fresh     = 6
)

// segment is a run of one colour: columns x0..x1-1 of the band.
type segment struct {
	x0, x1 int32
	color  int32
	next   int32 // of the segments with the same x0; -1 ends
}

// band is one band while its pixels are turned into segments.
type band struct {
	width    int
	masks    []uint8 // [256,width], a sixel mask for each colour and column; all zero between bands
	segments []segment
	open     [256]int32 // the colour's last segment, -1 if none
	used     [256]bool  // since the picture's begin
	heads    []int32    // the first segment that starts at the column, -1 if none
	starts   []uint64   // bit set of the columns where segments start
	columns  [2]column  // this one and the one before, by turns
}

// column is the set of colours in a column of the band.
type column struct {
	n     int
	color [8]uint8 // bandRows of them; 8 spares the bounds checks
	rgb   [8][3]int32
}

func (b *band) begin(width int) {
	if b.width != width {
		b.width = width
		b.masks = resize(b.masks, 256*width)
		b.heads = resize(b.heads, width)
		b.starts = resize(b.starts, (width+63)/64)
		clear(b.masks)
		clear(b.starts)
		for i := range b.heads {
			b.heads[i] = -1
		}
	}
	b.segments = b.segments[:0]
	for i := range b.open {
		b.open[i] = -1
	}
	b.columns[1].n = 0
}

// fill paints the pixels of the band at row y.
func (b *band) fill(w *workspace, y int) {
	rows := min(bandRows, w.img.Rect.Dy()-y)
	here, before := &b.columns[0], &b.columns[1]
	for x := range b.width {
		here.n = 0
		for r := range rows {
			p := pixel(w.img, x, y+r)
			c := w.palette.nearest[entry(p[0], p[1], p[2])]
			b.paint(w, c, int32(x), r, [3]int32{int32(p[0]), int32(p[1]), int32(p[2])}, here, before)
		}
		here, before = before, here
	}
}

// fillDithered paints the pixels of the band at row y and diffuses their errors.
func (b *band) fillDithered(w *workspace, y int) {
	rows := min(bandRows, w.img.Rect.Dy()-y)
	here, before := &b.columns[0], &b.columns[1]
	var errors [2][bandRows + 2][3]int32 // in 1/16; row r is at r+1
	this, next := &errors[0], &errors[1]
	for x := range b.width {
		here.n = 0
		for r := range rows {
			px := pixel(w.img, x, y+r)
			var p [3]int32
			for k := range 3 {
				p[k] = min(max(int32(px[k])+(this[r+1][k]+8)>>4, 0), 255)
			}
			c := b.paint(w, w.palette.at(uint8(p[0]), uint8(p[1]), uint8(p[2])), int32(x), r, p, here, before)
			shown := &w.palette.rgb[c]
			for k := range 3 {
				e := (p[k] - shown[k]) * w.strength >> 8
				this[r+2][k] += 7 * e
				next[r+2][k] += e
				next[r+1][k] += 5 * e
				next[r][k] += 3 * e
			}
		}
		for k := range 3 { // what falls off the top and half of what falls off the bottom stays in
			next[1][k] += next[0][k]
			next[rows][k] += next[rows+1][k] + this[rows+1][k]/2
		}
		here, before = before, here
		this, next = next, this
		*next = [bandRows + 2][3]int32{}
	}
}

// paint gives row r (0..5) of column x the colour c, nearest to p, or a cheaper one, and returns it.
// Columns come in rising order.
func (b *band) paint(w *workspace, c uint8, x int32, r int, p [3]int32, here, before *column) uint8 {
	mask := &b.masks[int(c)*b.width+int(x)]
	if *mask == 0 {
		if w.sticky == 0 {
			b.extend(c, x)
		} else {
			c = b.choose(w, c, x, &p, here, before)
			mask = &b.masks[int(c)*b.width+int(x)]
		}
	}
	*mask |= 1 << r
	return c
}

// choose finds the best colour for p in column x, which does not have p's nearest colour c yet.
func (b *band) choose(w *workspace, c uint8, x int32, p *[3]int32, here, before *column) uint8 {
	price := b.price(c, x)
	best := distance(&w.palette.rgb[c], p) + w.sticky*price
	found := -1
	for i := range here.n {
		if e := distance(&here.rgb[i&7], p); e < best {
			best, found = e, i
		}
	}
	if found >= 0 {
		c = here.color[found&7]
	}
	if price > continued { // else no other colour of the column before is better than c
		best -= w.sticky * continued
		again := -1
		for i := range before.n {
			if e := distance(&before.rgb[i&7], p); e < best {
				best, again = e, i
			}
		}
		if again >= 0 {
			c, found = before.color[again&7], -1
		}
	}
	if found < 0 {
		b.extend(c, x)
		here.color[here.n&7], here.rgb[here.n&7] = c, w.palette.rgb[c]
		here.n++
	}
	return c
}

// price is the bytes that colour c costs in column x, which does not have it yet.
func (b *band) price(c uint8, x int32) int32 {
	i := b.open[c]
	if i < 0 {
		return fresh
	}
	switch gap := x - b.segments[i].x1; {
	case gap == 0:
		return continued
	case gap > maxGap:
		return fresh
	default:
		return min(bridged+gap, fresh)
	}
}

// extend makes the colour's segment reach column x, or starts a new one.
func (b *band) extend(c uint8, x int32) {
	if i := b.open[c]; i >= 0 && x-b.segments[i].x1 <= maxGap {
		b.segments[i].x1 = x + 1
		return
	}
	i := int32(len(b.segments))
	b.segments = append(b.segments, segment{x0: x, x1: x + 1, color: int32(c), next: b.heads[x]})
	b.heads[x] = i
	b.open[c] = i
	b.starts[x>>6] |= 1 << (x & 63)
	b.used[c] = true
}

func distance(a, b *[3]int32) int32 {
	r, g, bl := a[0]-b[0], a[1]-b[1], a[2]-b[2]
	return r*r + g*g + bl*bl
}

// pixel is the picture's pixel at (x,y) from its upper left corner.
func pixel(img *image.RGBA, x, y int) []uint8 {
	i := y*img.Stride + 4*x
	return img.Pix[i : i+4 : i+4]
}

// resize returns a slice of length n, s's own memory if it suffices. The contents are undefined.
func resize[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	return s[:n]
}
