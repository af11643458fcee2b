package render

import "image"

// Color quantization after Xiaolin Wu, "Efficient Statistical Computations for Optimal Color
// Quantization", Graphics Gems II (1991), pp. 126-133: pixels are summed into a 32x32x32 histogram whose
// cumulative moments give the sum of any box in eight look-ups; boxes are cut until there are enough.
// Wu cuts the box of the largest variance; we cut the box whose best cut lowers the squared error most,
// which needs no second moment and gives a slightly smaller error.

const (
	histSide = 33 // 32 cells a channel and a zero border, for the cumulative sums
	histSize = histSide * histSide * histSide
	// maxSamples is about how many pixels are counted: more do not improve the palette. The sums of so
	// few fit in 32 bits.
	maxSamples = 1 << 16
)

// moment is the number of pixels and the sums of their channels; cumulative after accumulate. Sums may
// wrap around: differences of cumulative sums are exact while a box itself fits.
type moment struct{ n, r, g, b uint32 }

func (m moment) plus(o moment) moment  { return moment{m.n + o.n, m.r + o.r, m.g + o.g, m.b + o.b} }
func (m moment) minus(o moment) moment { return moment{m.n - o.n, m.r - o.r, m.g - o.g, m.b - o.b} }

// energy is |sum of the colors|^2 / count; the larger the energies of a partition, the smaller its
// squared error.
func (m moment) energy() float64 {
	r, g, b := float64(m.r), float64(m.g), float64(m.b)
	return (r*r + g*g + b*b) / float64(m.n)
}

// box is a range of histogram cells, lo exclusive and hi inclusive, with its best cut.
type box struct {
	lo, hi [3]uint8 // red, green, blue
	sum    moment
	gain   float64 // energy won by the cut; 0 when the box cannot be cut
	axis   uint8
	at     uint8
}

// quantizer is the working memory of one quantization.
type quantizer struct {
	hist  [histSize]moment
	boxes []box
}

func histIndex(r, g, b int) int { return (r*histSide+g)*histSide + b }

// count fills the histogram from the picture's pixels or an even sample of them.
func (q *quantizer) count(img *image.RGBA) {
	clear(q.hist[:])
	w, h := img.Rect.Dx(), img.Rect.Dy()
	// every stride-th pixel, in the order of reading; with no factor in common with the width it falls on
	// all columns, so that no thin line is missed
	stride := 1 + (w*h-1)/maxSamples
	for commonFactor(stride, w) > 1 {
		stride++
	}
	x := 0
	for y := range h {
		row := img.Pix[y*img.Stride : y*img.Stride+4*w]
		for ; x < w; x += stride {
			row := row[4*x : 4*x+3 : 4*x+3]
			r, g, b := uint32(row[0]), uint32(row[1]), uint32(row[2])
			m := &q.hist[histIndex(int(r>>3+1), int(g>>3+1), int(b>>3+1))]
			m.n++
			m.r += r
			m.g += g
			m.b += b
		}
		x -= w
	}
}

// commonFactor is the greatest of a and b.
func commonFactor(a, b int) int {
	for b > 0 {
		a, b = b, a%b
	}
	return a
}

// accumulate turns counts into cumulative sums from the corner (0,0,0).
func (q *quantizer) accumulate() {
	for r := 1; r < histSide; r++ {
		var area [histSide]moment
		for g := 1; g < histSide; g++ {
			var line moment
			k := histIndex(r, g, 0)
			below := histIndex(r-1, g, 0)
			for b := 1; b < histSide; b++ {
				line = line.plus(q.hist[k+b])
				area[b] = area[b].plus(line)
				q.hist[k+b] = q.hist[below+b].plus(area[b])
			}
		}
	}
}

// face is the cumulative sum over the box's two other axes up to position at of axis.
func (q *quantizer) face(c *box, axis int, at uint8) moment {
	lo, hi := c.lo, c.hi
	hi[axis] = at
	u, v := (axis+1)%3, (axis+2)%3
	corner := func(p [3]uint8) moment { return q.hist[histIndex(int(p[0]), int(p[1]), int(p[2]))] }
	a := corner(hi)
	hi[u] = lo[u]
	b := corner(hi)
	hi[v] = lo[v]
	d := corner(hi)
	hi[u] = c.hi[u]
	return a.minus(b).plus(d).minus(corner(hi))
}

// measure sets the box's sum and best cut.
func (q *quantizer) measure(c *box) {
	c.sum = q.face(c, 0, c.hi[0]).minus(q.face(c, 0, c.lo[0]))
	c.gain = 0
	if c.sum.n == 0 {
		return
	}
	whole := c.sum.energy()
	for axis := range 3 {
		start := q.face(c, axis, c.lo[axis])
		for at := c.lo[axis] + 1; at < c.hi[axis]; at++ {
			left := q.face(c, axis, at).minus(start)
			if left.n == 0 {
				continue
			}
			if left.n == c.sum.n {
				break
			}
			gain := left.energy() + c.sum.minus(left).energy() - whole
			if gain > c.gain {
				c.gain, c.axis, c.at = gain, uint8(axis), at
			}
		}
	}
}

// split cuts the histogram into at most colors boxes, the most populous first.
func (q *quantizer) split(colors int) []box {
	first := box{hi: [3]uint8{32, 32, 32}}
	q.measure(&first)
	q.boxes = append(q.boxes[:0], first)
	for len(q.boxes) < colors {
		best := 0
		for i := range q.boxes {
			if q.boxes[i].gain > q.boxes[best].gain {
				best = i
			}
		}
		left := q.boxes[best]
		if left.gain <= 0 {
			break
		}
		right := left
		left.hi[left.axis], right.lo[left.axis] = left.at, left.at
		q.measure(&left)
		q.measure(&right)
		q.boxes[best] = left
		q.boxes = append(q.boxes, right)
	}
	return q.boxes
}
