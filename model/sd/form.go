package sd

import (
	"cmp"
	"math"
	"slices"
)

// quantity is what a sampler combines.
type quantity uint8

const (
	ofLatents  quantity = iota // before the step
	ofOutput                   // what the network made of them
	ofEstimate                 // x̂0, where it is bounded and so no combination of the two
)

// symbol is a quantity of one step.
type symbol struct {
	at   int
	what quantity
}

// form is a linear combination of quantities of this step and earlier ones.
type form map[symbol]float64

func latentsAt(i int) form { return form{{i, ofLatents}: 1} }

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

// term is one summand of a form.
type term struct {
	symbol
	weight float64
}

// terms lists the summands, latest step first, in an order that is always the same.
func (f form) terms() []term {
	var list []term
	for s, w := range f {
		if w != 0 {
			list = append(list, term{s, w})
		}
	}
	slices.SortFunc(list, func(a, b term) int {
		return cmp.Or(cmp.Compare(b.at, a.at), cmp.Compare(a.what, b.what))
	})
	return list
}

func finite(terms []term) bool {
	return !slices.ContainsFunc(terms, func(t term) bool { return math.IsNaN(t.weight) || math.IsInf(t.weight, 0) })
}
