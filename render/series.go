package render

import (
	"math"
	"slices"
)

// Series is a curve that grows: points of rising x, and above them a pyramid of the smallest and largest
// values of 16, 256, 4096, ... points, so that a chart of any number of points costs no more than its
// columns do. The zero value is empty. Values that are NaN or infinite are gaps.
type Series struct {
	x, y   []float64
	levels [][]extent // levels[k][j] is of the points j*16^(k+1) to (j+1)*16^(k+1)-1
}

const fan = 16

// extent is the range of finite values: all of them, and the smallest above zero for logarithmic axes.
// No values: lo is +Inf, hi -Inf; positive is +Inf.
type extent struct{ lo, hi, positive float64 }

var nothing = extent{math.Inf(1), math.Inf(-1), math.Inf(1)}

// add takes values in. Comparisons rather than min and max: they are faster, and false for NaN.
func (e *extent) add(values []float64) {
	for _, v := range values {
		if v < e.lo && v >= -math.MaxFloat64 {
			e.lo = v
		}
		if v > e.hi && v <= math.MaxFloat64 {
			e.hi = v
		}
		if v > 0 && v < e.positive {
			e.positive = v
		}
	}
}

// join takes other extents in.
func (e *extent) join(others []extent) {
	for i := range others {
		o := &others[i]
		if o.lo < e.lo {
			e.lo = o.lo
		}
		if o.hi > e.hi {
			e.hi = o.hi
		}
		if o.positive < e.positive {
			e.positive = o.positive
		}
	}
}

// Len is the number of points.
func (s *Series) Len() int { return len(s.x) }

// At is the i-th point.
func (s *Series) At(i int) (x, y float64) { return s.x[i], s.y[i] }

// Append adds a point. An x below the last one goes back: the points from there on are dropped, as when
// a run is resumed from an earlier checkpoint. A NaN or infinite x is ignored.
func (s *Series) Append(x, y float64) {
	if x-x != 0 {
		return
	}
	if n := len(s.x); n > 0 && x < s.x[n-1] {
		s.truncate(s.search(x, 0))
	}
	i := len(s.x)
	s.x, s.y = append(s.x, x), append(s.y, y)
	for k := 0; ; k++ {
		j := i / fan
		if k == len(s.levels) {
			if j == 0 && i < fan-1 {
				return // the level below is not full yet
			}
			if cap(s.levels) > k { // after Reset
				s.levels = s.levels[:k+1]
				s.levels[k] = append(s.levels[k][:0], s.rebuild(k, 0))
			} else {
				s.levels = append(s.levels, []extent{s.rebuild(k, 0)})
			}
			return
		}
		if j == len(s.levels[k]) {
			s.levels[k] = append(s.levels[k], nothing)
		}
		s.levels[k][j].add(s.y[len(s.y)-1:])
		i = j
	}
}

// Reset forgets all points and keeps the memory for those that come.
func (s *Series) Reset() {
	s.x, s.y = s.x[:0], s.y[:0]
	for k := range s.levels {
		s.levels[k] = s.levels[k][:0]
	}
	s.levels = s.levels[:0]
}

// Clone is a copy that does not grow with the series.
func (s *Series) Clone() *Series {
	c := &Series{x: slices.Clone(s.x), y: slices.Clone(s.y)}
	for _, level := range s.levels {
		c.levels = append(c.levels, slices.Clone(level))
	}
	return c
}

// rebuild is the extent of the j-th entry of a level from what lies below it.
func (s *Series) rebuild(level, j int) extent {
	e := nothing
	if level == 0 {
		e.add(s.y[j*fan : min((j+1)*fan, len(s.y))])
	} else {
		below := s.levels[level-1]
		e.join(below[j*fan : min((j+1)*fan, len(below))])
	}
	return e
}

// truncate keeps the first n points.
func (s *Series) truncate(n int) {
	s.x, s.y = s.x[:n], s.y[:n]
	for k := range s.levels {
		n = (n + fan - 1) / fan
		s.levels[k] = s.levels[k][:n]
		if n > 0 {
			s.levels[k][n-1] = s.rebuild(k, n-1)
		}
	}
}

// search is the first index from i on whose x is at least x.
func (s *Series) search(x float64, i int) int {
	step := 1 // near points are found fast: columns come in order
	j := i
	for j < len(s.x) && s.x[j] < x {
		i = j + 1
		j += step
		step *= 2
	}
	j = min(j, len(s.x))
	for i < j {
		if m := int(uint(i+j) >> 1); s.x[m] < x {
			i = m + 1
		} else {
			j = m
		}
	}
	return i
}

// extent is the range of the values of the points i..j-1.
func (s *Series) extent(i, j int) extent {
	e := nothing
	if len(s.levels) == 0 || j-i < 2*fan {
		e.add(s.y[i:max(i, j)])
		return e
	}
	a, b := (i+fan-1)/fan, j/fan // whole entries of the level above
	e.add(s.y[i : a*fan])
	e.add(s.y[b*fan : j])
	for k := 0; ; k++ {
		i, j = a, b
		level := s.levels[k]
		if k+1 == len(s.levels) || j-i < 2*fan {
			e.join(level[i:j])
			return e
		}
		a, b = (i+fan-1)/fan, j/fan
		e.join(level[i : a*fan])
		e.join(level[b*fan : j])
	}
}
