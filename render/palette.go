package render

import (
	"image"
	"slices"
)

// palette is up to 256 colors with an inverse map: from 6 bits a channel to the nearest color. The map
// is filled where pictures need it, 4x4x4 entries ("a block", 16 levels a channel) at a time. The entries
// of a block lie together: one cache line.
type palette struct {
	n       int
	percent [256][3]uint8 // as sixel wants them, 0..100
	rgb     [256][3]int32 // as a terminal shows them, 0..255
	nearest [1 << 18]uint8
	filled  [blocks]bool
}

const blocks = 1 << 12 // 4 bits a channel

// Bits of an entry's index: block red, green, blue (4 each), then red, green, blue within it (2 each).
var redBits, greenBits, blueBits = func() (r, g, b [256]uint32) {
	for v := range uint32(256) {
		hi, lo := v>>4, v>>2&3
		r[v], g[v], b[v] = hi<<14|lo<<4, hi<<10|lo<<2, hi<<6|lo
	}
	return r, g, b
}()

func entry(r, g, b uint8) uint32 { return redBits[r] | greenBits[g] | blueBits[b] }

// toPercent rounds a channel's mean to sixel's 0..100, fromPercent is what terminals make of that.
func toPercent(sum, n uint32) uint8 {
	return uint8((200*uint64(sum) + 255*uint64(n)) / (510 * uint64(n)))
}
func fromPercent(p uint8) int32 { return (int32(p)*255 + 50) / 100 }

// build makes a new palette for the picture; the most frequent colors get the smallest, hence shortest,
// numbers.
func (p *palette) build(q *quantizer, img *image.RGBA, colors int) {
	q.count(img)
	q.accumulate()
	found := q.split(colors)
	slices.SortStableFunc(found, func(a, b box) int { return int(int64(b.sum.n) - int64(a.sum.n)) })
	p.n = 0
	for i := range found {
		m := found[i].sum
		if m.n == 0 {
			continue
		}
		c := [3]uint8{toPercent(m.r, m.n), toPercent(m.g, m.n), toPercent(m.b, m.n)}
		if !slices.Contains(p.percent[:p.n], c) {
			p.set(p.n, c)
			p.n++
		}
	}
	clear(p.filled[:])
}

func (p *palette) set(i int, c [3]uint8) {
	p.percent[i] = c
	for k, v := range c {
		p.rgb[i][k] = fromPercent(v)
	}
}

// span is the squared distance of v to the nearest and to the farthest point of [lo,hi].
func span(v, lo, hi int32) (near, far int32) {
	a, b := v-lo, hi-v // both >= 0 inside
	switch {
	case a < 0:
		near = a * a
	case b < 0:
		near = b * b
	}
	far = max(a, b)
	return near, far * far
}

// candidates appends those of the colors in from that can be nearest to some point of the cube with the
// given lowest corner and side.
func (p *palette) candidates(dst, from []uint8, corner [3]int32, side int32) []uint8 {
	var near [256]int32
	limit := int32(1 << 30)
	for i, c := range from {
		v := &p.rgb[c]
		n0, f0 := span(v[0], corner[0], corner[0]+side)
		n1, f1 := span(v[1], corner[1], corner[1]+side)
		n2, f2 := span(v[2], corner[2], corner[2]+side)
		near[i] = n0 + n1 + n2
		limit = min(limit, f0+f1+f2)
	}
	for i, c := range from {
		if near[i] <= limit {
			dst = append(dst, c)
		}
	}
	return dst
}

// fill fills the wanted blocks of the regions first, first+step, ... A region is 4x4x4 blocks: its
// candidates are found once.
func (p *palette) fill(wanted *[blocks]bool, first, step int) {
	var all, region, block [256]uint8
	for i := range all {
		all[i] = uint8(i)
	}
	for rg := first; rg < 64; rg += step {
		at := [3]int32{int32(rg>>4) * 64, int32(rg>>2&3) * 64, int32(rg&3) * 64}
		var near []uint8
		for k := range int32(64) {
			corner := [3]int32{at[0] + k>>4*16, at[1] + k>>2&3*16, at[2] + k&3*16}
			bl := entry(uint8(corner[0]), uint8(corner[1]), uint8(corner[2])) >> 6
			if !wanted[bl] || p.filled[bl] {
				continue
			}
			if near == nil {
				near = p.candidates(region[:0], all[:p.n], at, 63)
			}
			// an entry stands for four levels a channel: its middle is at 1.5, taken as 2
			corner = [3]int32{corner[0] + 2, corner[1] + 2, corner[2] + 2}
			p.fillBlock(p.nearest[bl<<6:bl<<6+64], p.candidates(block[:0], near, corner, 12), corner)
			p.filled[bl] = true
		}
	}
}

// fillBlock sets a block's 64 entries to the nearest of the colors in from.
func (p *palette) fillBlock(dst, from []uint8, corner [3]int32) {
	var best [64]int32
	for i := range best {
		best[i] = 1 << 30
	}
	for _, c := range from {
		v := &p.rgb[c]
		var sq [3][4]int32
		for k := range 3 {
			for i := range int32(4) {
				d := corner[k] + 4*i - v[k]
				sq[k][i] = d * d
			}
		}
		for i := range best {
			if e := sq[0][i>>4] + sq[1][i>>2&3] + sq[2][i&3]; e < best[i] {
				best[i], dst[i] = e, c
			}
		}
	}
}

// at is the nearest color to an entry whose block need not be filled.
func (p *palette) at(r, g, b uint8) uint8 {
	k := entry(r, g, b)
	if p.filled[k>>6] {
		return p.nearest[k]
	}
	// the middle of the entry, as fill does, so that it does not matter what is filled
	middle := [3]int32{int32(r&^3 | 2), int32(g&^3 | 2), int32(b&^3 | 2)}
	best, at := int32(1<<30), 0
	for i := range p.n {
		if e := distance(&p.rgb[i], &middle); e < best {
			best, at = e, i
		}
	}
	return uint8(at)
}

// fitScale is the number of parts that sampleError divides one unit of squared error into.
const fitScale = 16

// sampleError is the mean squared error (three channels together, times fitScale) of some 4096 pixels
// evenly spread over the picture. Their blocks must be filled.
func (p *palette) sampleError(img *image.RGBA) int64 {
	w, h := img.Rect.Dx(), img.Rect.Dy()
	step := max(1, w*h/4096) | 1 // odd: it does not fall on the same columns of even widths
	var sum, n int64
	for i := 0; i < w*h; i += step {
		px := pixel(img, i%w, i/w)
		v := &p.rgb[p.nearest[entry(px[0], px[1], px[2])]]
		for k := range 3 {
			d := int64(px[k]) - int64(v[k])
			sum += d * d
		}
		n++
	}
	return fitScale * sum / n
}
