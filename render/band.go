package render

import "image"

// maxGap is how many empty columns a colour's run may bridge. Bridging costs up to 4 bytes ("!12?") and
// the room in the pass; a new run costs the selection ("#123") and often an offset.
const maxGap = 8

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
}

func (b *band) begin(width int) {
	if b.width != width {
		b.width = width
		if cap(b.masks) < 256*width {
			b.masks = make([]uint8, 256*width)
			b.heads = make([]int32, width)
			b.starts = make([]uint64, (width+63)/64)
		}
		b.masks, b.heads, b.starts = b.masks[:256*width], b.heads[:width], b.starts[:(width+63)/64]
		for i := range b.heads {
			b.heads[i] = -1
		}
	}
	b.segments = b.segments[:0]
	for i := range b.open {
		b.open[i] = -1
	}
}

// paint sets the pixel of row (0..5) in column x. Columns come in rising order.
func (b *band) paint(c uint8, x int32, row int) {
	m := &b.masks[int(c)*b.width+int(x)]
	if *m == 0 {
		b.extend(c, x)
	}
	*m |= 1 << row
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

// fromDithered paints the band at row y from colour numbers.
func (b *band) fromDithered(w *workspace, y int) {
	rows := min(bandRows, w.img.Rect.Dy()-y)
	for x := range b.width {
		for r := range rows {
			b.paint(w.dithered[(y+r)*b.width+x], int32(x), r)
		}
	}
}

// fromPixels paints the band at row y with the nearest colours, or with nearly as good ones that cost
// fewer bytes.
func (b *band) fromPixels(w *workspace, y int) {
	rows := min(bandRows, w.img.Rect.Dy()-y)
	for x := range b.width {
		for r := range rows {
			p := pixel(w.img, x, y+r)
			b.paint(w.palette.nearest[entry(p[0], p[1], p[2])], int32(x), r)
		}
	}
}

// pixel is the picture's pixel at (x,y) from its upper left corner.
func pixel(img *image.RGBA, x, y int) []uint8 {
	i := y*img.Stride + 4*x
	return img.Pix[i : i+4 : i+4]
}
