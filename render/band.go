package render

import "image"

// A band is painted column by column, left to right: every pixel takes the color of the lowest squared
// error plus Sticky times the bytes that the color costs there. With dithering the error that a pixel
// leaves is passed on to its neighbors (Floyd and Steinberg, 1976, turned by 90 degrees and kept within
// the band, so that bands can be painted at the same time), and so is the error that Sticky makes.

// maxGap is how many empty columns a color's segment may bridge. Bridging costs up to 4 bytes ("!12?")
// and the room in the pass; a new segment costs the selection ("#123") and often an offset.
const maxGap = 6

// Bytes that a color costs in a column that does not have it yet, by experiment: continued where its
// segment ends in the column before, bridged and one for each empty column between, fresh for a new
// segment.
const (
	continued = 1
	bridged   = 2
	fresh     = 6
)

// segment is a run of one color: columns x0..x1-1 of the band.
type segment struct {
	x0, x1 int32
	color  int32
	next   int32 // of the segments with the same x0; -1 ends
}

// band is one band while its pixels are turned into segments.
type band struct {
	width    int
	masks    []uint8 // [256,width], a sixel mask for each color and column; all zero between bands
	segments []segment
	open     [256]int32 // the color's last segment; its x1 is set when it is closed
	last     [256]int32 // the last column of the color, never if none
	used     [256]bool  // since the picture's begin
	heads    []int32    // the first segment that starts at the column, -1 if none
	starts   []uint64   // bit set of the columns where segments start

	sticky       int32
	here         [256]uint8 // the sixel masks of the column at hand
	this, before column
}

// never is so far left of the band that no segment is open.
const never = -1 << 20

// column is the set of colors in a column of the band.
type column struct {
	n      int
	colors [8]paint // bandRows of them; 8 spares the bounds checks
}

type paint struct{ r, g, b, color int32 }

func (p *paint) distance(r, g, b int32) int32 {
	r, g, b = r-p.r, g-p.g, b-p.b
	return r*r + g*g + b*b
}

func (b *band) begin(width int, sticky int32) {
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
	b.sticky = sticky
	b.segments = b.segments[:0]
	for i := range b.last {
		b.last[i] = never
	}
	b.this.n, b.before.n = 0, 0
}

// fill paints the pixels of the band at row y.
func (b *band) fill(w *workspace, y int) {
	rows := min(bandRows, w.img.Rect.Dy()-y)
	pal := w.palette
	var lines [bandRows][]uint8
	for r := range rows {
		lines[r] = w.img.Pix[(y+r)*w.img.Stride:]
	}
	var nearest [bandRows]uint8
	for x := range b.width {
		for r := range rows { // apart from painting, so that the look-ups overlap
			p := lines[r][4*x : 4*x+3 : 4*x+3]
			nearest[r] = pal.nearest[entry(p[0], p[1], p[2])]
		}
		for r := range rows {
			c := nearest[r]
			if b.here[c] == 0 {
				p := lines[r][4*x : 4*x+3 : 4*x+3]
				c = b.choose(pal, c, int32(x), int32(p[0]), int32(p[1]), int32(p[2]))
			}
			b.here[c] |= 1 << r
		}
		b.endColumn(int32(x))
	}
	b.closeSegments()
}

// fillDithered paints the pixels of the band at row y and diffuses their errors.
func (b *band) fillDithered(w *workspace, y int) {
	rows := min(bandRows, w.img.Rect.Dy()-y)
	pal := w.palette
	var errors [2][bandRows + 2][3]int32 // in 1/16; row r is at r+1
	this, next := &errors[0], &errors[1]
	for x := range b.width {
		for r := range rows {
			px := pixel(w.img, x, y+r)
			var p [3]int32
			for k := range 3 {
				p[k] = min(max(int32(px[k])+(this[r+1][k]+8)>>4, 0), 255)
			}
			c := pal.at(uint8(p[0]), uint8(p[1]), uint8(p[2]))
			if b.here[c] == 0 {
				c = b.choose(pal, c, int32(x), p[0], p[1], p[2])
			}
			b.here[c] |= 1 << r
			shown := &pal.rgb[c]
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
		b.endColumn(int32(x))
		this, next = next, this
		*next = [bandRows + 2][3]int32{}
	}
	b.closeSegments()
}

// choose finds the best color for the pixel (r,g,b) in column x, which does not have the nearest color
// c yet.
func (b *band) choose(pal *palette, c uint8, x, r, g, bl int32) uint8 {
	shown := &pal.rgb[c]
	best := paint{shown[0], shown[1], shown[2], int32(c)}
	if b.sticky > 0 {
		price := b.price(c, x)
		cost := best.distance(r, g, bl) + b.sticky*price
		found := -1
		for i := range b.this.n {
			if e := b.this.colors[i&7].distance(r, g, bl); e < cost {
				cost, found = e, i
			}
		}
		again := -1
		if price > continued { // else no other color of the column before is better than c
			cost -= b.sticky * continued
			for i := range b.before.n {
				if e := b.before.colors[i&7].distance(r, g, bl); e < cost {
					cost, again = e, i
				}
			}
		}
		if again >= 0 {
			best = b.before.colors[again&7]
		} else if found >= 0 {
			return uint8(b.this.colors[found&7].color)
		}
	}
	b.this.colors[b.this.n&7] = best
	b.this.n++
	return uint8(best.color)
}

// price is the bytes that color c costs in column x, which does not have it yet.
func (b *band) price(c uint8, x int32) int32 {
	switch gap := x - b.last[c] - 1; {
	case gap == 0:
		return continued
	case gap > maxGap:
		return fresh
	default:
		return min(bridged+gap, fresh)
	}
}

// endColumn moves the masks of column x to their colors' segments.
func (b *band) endColumn(x int32) {
	for i := range b.this.n {
		c := uint8(b.this.colors[i&7].color)
		b.masks[int(c)*b.width+int(x)] = b.here[c]
		b.here[c] = 0
		if x-b.last[c]-1 > maxGap {
			b.start(c, x)
		}
		b.last[c] = x
	}
	b.before = b.this
	b.this.n = 0
}

// start closes the color's segment and begins one at column x.
func (b *band) start(c uint8, x int32) {
	if b.last[c] != never {
		b.segments[b.open[c]].x1 = b.last[c] + 1
	}
	b.open[c] = int32(len(b.segments))
	b.segments = append(b.segments, segment{x0: x, color: int32(c), next: b.heads[x]})
	b.heads[x] = b.open[c]
	b.starts[x>>6] |= 1 << (x & 63)
	b.used[c] = true
}

func (b *band) closeSegments() {
	for c, last := range b.last {
		if last != never {
			b.segments[b.open[c]].x1 = last + 1
		}
	}
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
