package workshop

import "math"

// A glitch tears the image of one entity, not the place around it. The three kinds leave edges
// sharp, so that blur is never mistaken for one.

type glitchKind int

const (
	noGlitch glitchKind = iota
	swirl
	tornRows
	blockShuffle
)

// glitch is the plan of a glitch: the numbers it needs are drawn from its seed.
type glitch struct {
	kind glitchKind
	seed uint64
}

func newGlitch(r *random) glitch {
	return glitch{kind: swirl + glitchKind(r.below(3)), seed: r.pcg.Uint64()}
}

// glitchMargin is the room around a sprite into which a glitch may push its pixels.
const glitchMargin = 6 // pixels

// apply writes the glitched sprite to out, whose buffer is reused. It is a square with the old
// sprite in its middle.
func (g glitch) apply(from *sprite, out *sprite) {
	side := max(from.width, from.height) + 2*glitchMargin
	out.width, out.height = side, side
	out.pix = sized(out.pix, 4*side*side)
	clear(out.pix)
	var r random
	r.pcg.Seed(g.seed, mix(g.seed))
	switch g.kind {
	case swirl:
		swirlSprite(from, out, &r)
	case tornRows:
		tearSprite(from, out, &r)
	case blockShuffle:
		shuffleSprite(from, out, &r)
	}
}

// swirlSprite turns the middle of the sprite by up to a full turn and its rim not at all.
func swirlSprite(from, out *sprite, r *random) {
	middle := float64(out.width) / 2
	reach := middle * 1.05
	turn := r.sign() * r.between(4, 6) // radians
	for y := range out.height {
		for x := range out.width {
			dx, dy := float64(x)+0.5-middle, float64(y)+0.5-middle
			inside := max(0, 1-math.Sqrt(dx*dx+dy*dy)/reach)
			sin, cos := math.Sincos(turn * inside)
			sx := dx*cos - dy*sin + float64(from.width)/2
			sy := dx*sin + dy*cos + float64(from.height)/2
			from.sample(sx, sy, out.pix[4*(y*out.width+x):])
		}
	}
}

// sample writes the pixel at (x, y), bilinear between pixel centers, transparent outside.
func (s *sprite) sample(x, y float64, to []uint8) {
	x, y = x-0.5, y-0.5
	left, top := math.Floor(x), math.Floor(y)
	fx, fy := x-left, y-top
	var sum [4]float64
	for j := range 2 {
		for i := range 2 {
			px, py := int(left)+i, int(top)+j
			if px < 0 || py < 0 || px >= s.width || py >= s.height {
				continue
			}
			weight := (fx*float64(i) + (1-fx)*float64(1-i)) * (fy*float64(j) + (1-fy)*float64(1-j))
			for k, v := range s.pix[4*(py*s.width+px) : 4*(py*s.width+px)+4] {
				sum[k] += weight * float64(v)
			}
		}
	}
	for k := range sum {
		to[k] = uint8(sum[k] + 0.5)
	}
}

// tearSprite cuts the sprite into bands and pushes neighbors to opposite sides.
func tearSprite(from, out *sprite, r *random) {
	left, top := (out.width-from.width)/2, (out.height-from.height)/2
	side := 1
	for y := 0; y < from.height; {
		band := r.count(4, 7)
		shift := side * r.count(4, glitchMargin+5)
		for end := min(from.height, y+band); y < end; y++ {
			for x := range from.width {
				if at := left + x + shift; at >= 0 && at < out.width {
					copy(out.pix[4*((top+y)*out.width+at):], from.pix[4*(y*from.width+x):4*(y*from.width+x)+4])
				}
			}
		}
		side = -side
	}
}

// shuffleSprite cuts the sprite into blocks and moves every block to another's place.
func shuffleSprite(from, out *sprite, r *random) {
	left, top := (out.width-from.width)/2, (out.height-from.height)/2
	columns, rows := blocks(from.width), blocks(from.height)
	n := columns * rows
	var order [64]int
	for i := range n {
		order[i] = i
	}
	for i := n - 1; i > 0; i-- { // Sattolo: one cycle, so that no block stays
		j := r.below(i)
		order[i], order[j] = order[j], order[i]
	}
	w, h := from.width/columns, from.height/rows
	for i := range n {
		sx, sy := order[i]%columns*w, order[i]/columns*h
		dx, dy := left+i%columns*w, top+i/columns*h
		for y := range h {
			copy(out.pix[4*((dy+y)*out.width+dx):4*((dy+y)*out.width+dx+w)], from.pix[4*((sy+y)*from.width+sx):])
		}
	}
}

// blocks returns how many blocks of 10 to 15 pixels fit side by side, at least two.
func blocks(length int) int { return min(8, max(2, length/12)) }
