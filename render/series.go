package render

import "math"

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

func (e extent) with(v float64) extent {
	if v-v != 0 { // NaN or infinite
		return e
	}
	e.lo, e.hi = min(e.lo, v), max(e.hi, v)
	if v > 0 {
		e.positive = min(e.positive, v)
	}
	return e
}

func (e extent) join(o extent) extent {
	return extent{min(e.lo, o.lo), max(e.hi, o.hi), min(e.positive, o.positive)}
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
			s.levels = append(s.levels, []extent{s.rebuild(k, 0)})
			return
		}
		if j == len(s.levels[k]) {
			s.levels[k] = append(s.levels[k], nothing)
		}
		s.levels[k][j] = s.levels[k][j].with(y)
		i = j
	}
}

// rebuild is the extent of the j-th entry of a level from what lies below it.
func (s *Series) rebuild(level, j int) extent {
	e := nothing
	for i := j * fan; i < min((j+1)*fan, s.entries(level-1)); i++ {
		e = e.join(s.entry(level-1, i))
	}
	return e
}

// entries and entry read a level; level -1 are the points.
func (s *Series) entries(level int) int {
	if level < 0 {
		return len(s.y)
	}
	return len(s.levels[level])
}

func (s *Series) entry(level, i int) extent {
	if level < 0 {
		return nothing.with(s.y[i])
	}
	return s.levels[level][i]
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
	for level := -1; i < j; level++ {
		if level+1 >= len(s.levels) || j-i < 2*fan {
			for ; i < j; i++ {
				e = e.join(s.entry(level, i))
			}
			break
		}
		for ; i%fan != 0; i++ {
			e = e.join(s.entry(level, i))
		}
		for ; j%fan != 0; j-- {
			e = e.join(s.entry(level, j-1))
		}
		i, j = i/fan, j/fan
	}
	return e
}
