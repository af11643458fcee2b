package sd

import (
	"cmp"
	"math"
	"slices"

	"focusnfix/model/backbone"
)

// form is a linear combination of quantities of this step and earlier ones.
type form map[backbone.Symbol]float64

func latentsAt(i int) form { return form{{At: i, What: backbone.OfLatents}: 1} }

// times scales every weight.
func (f form) times(w float64) form {
	scaled := make(form, len(f))
	for s, v := range f {
		scaled[s] = w * v
	}
	return scaled
}

// plus adds forms.
func (f form) plus(others ...form) form {
	sum := f.times(1)
	for _, o := range others {
		for s, v := range o {
			sum[s] += v
		}
	}
	return sum
}

// minus takes g off.
func (f form) minus(g form) form { return f.plus(g.times(-1)) }

// terms lists the summands, latest step first, in an order that is always the same.
func (f form) terms() []backbone.Term {
	var list []backbone.Term
	for s, w := range f {
		if w != 0 {
			list = append(list, backbone.Term{Symbol: s, Weight: w})
		}
	}
	slices.SortFunc(list, func(a, b backbone.Term) int {
		return cmp.Or(cmp.Compare(b.At, a.At), cmp.Compare(a.What, b.What))
	})
	return list
}

func finite(terms []backbone.Term) bool {
	return !slices.ContainsFunc(terms, func(t backbone.Term) bool { return math.IsNaN(t.Weight) || math.IsInf(t.Weight, 0) })
}
