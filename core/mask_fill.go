package core

import (
	"hash/fnv"
	"image"
	"math"
	"slices"
)

// at is where a place lies in the mask, in pixels.
func (m Mask) at(p Point) (x, y float64) { return p.X * float64(m.Width), p.Y * float64(m.Height) }

// fillBox marks every pixel that a box touches.
func (m Mask) fillBox(a, z Point) {
	left, top := m.at(a)
	right, bottom := m.at(z)
	const touch = 1e-6 // pixels: less is rounding
	for y := int(top + touch); y < min(int(math.Ceil(bottom-touch)), m.Height); y++ {
		for x := int(left + touch); x < min(int(math.Ceil(right-touch)), m.Width); x++ {
			m.Faulty[y*m.Width+x] = true
		}
	}
}

// fillPolygon marks the pixels whose centers lie within, by the even-odd rule.
func (m Mask) fillPolygon(corners []Point) {
	var crossings []float64
	for y := range m.Height {
		middle := float64(y) + 0.5
		crossings = crossings[:0]
		for i := range corners {
			ax, ay := m.at(corners[i])
			bx, by := m.at(corners[(i+1)%len(corners)])
			if (ay <= middle) != (by <= middle) {
				crossings = append(crossings, ax+(middle-ay)/(by-ay)*(bx-ax))
			}
		}
		slices.Sort(crossings)
		for i := 0; i+1 < len(crossings); i += 2 {
			from, to := max(int(math.Ceil(crossings[i]-0.5)), 0), min(int(math.Ceil(crossings[i+1]-0.5)), m.Width)
			for x := from; x < to; x++ {
				m.Faulty[y*m.Width+x] = true
			}
		}
	}
}

// fillStroke marks what a round brush of a radius, a share of the longer side, touches along a path; at least the
// pixels that the path goes through.
func (m Mask) fillStroke(path []Point, radius float64) {
	r := max(radius*float64(max(m.Width, m.Height)), 0.71) // so that a point marks the pixel that it is in
	for i := range path {
		ax, ay := m.at(path[max(i-1, 0)])
		bx, by := m.at(path[i])
		top, bottom := max(int(min(ay, by)-r), 0), min(int(max(ay, by)+r)+1, m.Height)
		left, right := max(int(min(ax, bx)-r), 0), min(int(max(ax, bx)+r)+1, m.Width)
		for y := top; y < bottom; y++ {
			for x := left; x < right; x++ {
				if distanceTo(ax, ay, bx, by, float64(x)+0.5, float64(y)+0.5) <= r {
					m.Faulty[y*m.Width+x] = true
				}
			}
		}
	}
}

// distanceTo is how far a point is from the line between a and b.
func distanceTo(ax, ay, bx, by, x, y float64) float64 {
	dx, dy := bx-ax, by-ay
	along := 0.0
	if length := dx*dx + dy*dy; length > 0 {
		along = min(max(((x-ax)*dx+(y-ay)*dy)/length, 0), 1)
	}
	return math.Hypot(x-ax-along*dx, y-ay-along*dy)
}

// Minus marks what the mask does and other does not. Both must be of one size.
func (m Mask) Minus(other Mask) Mask {
	out := Mask{m.Width, m.Height, slices.Clone(m.Faulty)}
	for i, faulty := range other.Faulty {
		if faulty {
			out.Faulty[i] = false
		}
	}
	return out
}

// Spots are the smallest rectangles around the connected parts of a mask, corners counted, from the largest part to
// the smallest.
func (m Mask) Spots() []image.Rectangle {
	seen := make([]bool, len(m.Faulty))
	type spot struct {
		image.Rectangle
		pixels int
	}
	var spots []spot
	var stack []int
	for i, faulty := range m.Faulty {
		if !faulty || seen[i] {
			continue
		}
		var s spot
		stack, seen[i] = append(stack[:0], i), true
		for len(stack) > 0 {
			at := stack[len(stack)-1]
			stack = stack[:len(stack)-1]
			x, y := at%m.Width, at/m.Width
			s.Rectangle, s.pixels = s.Union(image.Rect(x, y, x+1, y+1)), s.pixels+1
			for _, n := range [8]image.Point{{-1, -1}, {0, -1}, {1, -1}, {-1, 0}, {1, 0}, {-1, 1}, {0, 1}, {1, 1}} {
				nx, ny := x+n.X, y+n.Y
				if nx < 0 || ny < 0 || nx >= m.Width || ny >= m.Height {
					continue
				}
				if next := ny*m.Width + nx; m.Faulty[next] && !seen[next] {
					stack, seen[next] = append(stack, next), true
				}
			}
		}
		spots = append(spots, s)
	}
	slices.SortStableFunc(spots, func(a, b spot) int { return b.pixels - a.pixels })
	all := make([]image.Rectangle, len(spots))
	for i, s := range spots {
		all[i] = s.Rectangle
	}
	return all
}

// Nearest is the part of a mask whose rectangle is nearest to that of other, as a box; ok is false of an empty mask.
func (m Mask) Nearest(other Mask) (box Shape, ok bool) {
	spots := m.Spots()
	if len(spots) == 0 {
		return box, false
	}
	middle := func(r image.Rectangle) image.Point { return r.Min.Add(r.Max).Div(2) }
	var around image.Rectangle
	for _, r := range other.Spots() {
		around = around.Union(r)
	}
	from := middle(around)
	nearest := slices.MinFunc(spots, func(a, b image.Rectangle) int {
		far := func(r image.Rectangle) int { d := middle(r).Sub(from); return d.X*d.X + d.Y*d.Y }
		return far(a) - far(b)
	})
	w, h := float64(m.Width), float64(m.Height)
	return Shape{Kind: BoxShape, Points: []Point{
		{float64(nearest.Min.X) / w, float64(nearest.Min.Y) / h}, {float64(nearest.Max.X) / w, float64(nearest.Max.Y) / h},
	}}, true
}

// Hash tells an edited mask from the one that was written.
func (m Mask) Hash() uint64 {
	h := fnv.New64a()
	for _, faulty := range m.Faulty {
		if faulty {
			h.Write([]byte{1})
		} else {
			h.Write([]byte{0})
		}
	}
	return h.Sum64()
}

// Overlap is what both masks mark as a share of what either marks; 1 of two empty ones.
func (m Mask) Overlap(other Mask) float64 {
	both, either := 0, 0
	for i, faulty := range m.Faulty {
		if faulty && other.Faulty[i] {
			both++
		}
		if faulty || other.Faulty[i] {
			either++
		}
	}
	if either == 0 {
		return 1
	}
	return float64(both) / float64(either)
}
