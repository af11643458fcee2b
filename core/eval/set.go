package eval

import (
	"slices"

	"focusnfix/core"
)

// Set is a fixed set of base images that tunings are compared by. They are drawn and judged once, until enough
// of them are faulty; then any number of tunings draw the same pairs. Of those without a fault the set has as many
// as faulty ones are wanted: what a tuning changes in them needs no more.
type Set struct {
	Pairs  []core.Pair
	Faulty []bool // whether a fault of a trained aspect is inside the image's mask
	Drawn  int    // base images, of which Pairs are a part
	Missed int    // of those drawn: with such a fault, but outside the mask, so that training cannot be asked to repair it

	evaluator *Evaluator
	o         SetOptions
}

// SetOptions say what is drawn, and what counts as a fault.
type SetOptions struct {
	Trained []string // aspects that training repairs
	// Next is pair i of an endless list. None of it should be trained on.
	Next   func(i int) core.Pair
	Faulty int // images wanted with a fault
	Most   int // images at most, faulty or not
	// Every draws Most images, keeps them all, and counts them all where else the faulty ones count.
	Every bool
	// Threshold is of heatmaps, in [0,1]: above it, inside the mask, a judge sees something.
	Threshold float64
	Progress  func(found, drawn int) error // found: those that count; an error ends the drawing
}

// NewSet draws and judges images of the base model. The held-out judges of the trained aspects decide whether
// one is faulty, or the trained judges where none is held out.
func NewSet(e *Evaluator, o SetOptions) (*Set, error) {
	s := &Set{evaluator: e, o: o}
	for (o.Every || s.CountFaulty() < o.Faulty) && s.Drawn < o.Most {
		var pairs []core.Pair
		for len(pairs) < e.Batch && s.Drawn+len(pairs) < o.Most {
			pairs = append(pairs, o.Next(s.Drawn+len(pairs)))
		}
		if err := s.add(pairs); err != nil {
			return nil, err
		}
		if err := o.Progress(s.found(), s.Drawn); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// found is how many of the images that are wanted are there.
func (s *Set) found() int {
	if s.o.Every {
		return s.Drawn
	}
	return min(s.CountFaulty(), s.o.Faulty)
}

// CountFaulty counts the faulty images.
func (s *Set) CountFaulty() (count int) {
	for _, faulty := range s.Faulty {
		if faulty {
			count++
		}
	}
	return count
}

// add draws and judges a few more base images.
func (s *Set) add(pairs []core.Pair) error {
	return noGrad(func() error {
		b := Batch{Pairs: pairs}
		by, err := s.evaluator.base(&b)
		if err != nil {
			return err
		}
		for i, p := range pairs {
			verdicts := map[Role]Verdict{}
			for k, j := range s.evaluator.Judges {
				verdicts[j.Role] = j.verdict(by[k][i], by[k][i])
			}
			faulty := s.any(verdicts, func(v Verdict) bool { return v.Faulty(s.o.Threshold) })
			if !faulty && s.any(verdicts, func(v Verdict) bool { return v.BaseProbability >= 0.5 }) {
				s.Missed++
			}
			s.Drawn++
			if faulty || s.o.Every || len(s.Pairs)-s.CountFaulty() < s.o.Faulty {
				s.Pairs, s.Faulty = append(s.Pairs, p), append(s.Faulty, faulty)
			}
		}
		return nil
	})
}

// any reports whether a judge that decides on a trained aspect says so.
func (s *Set) any(verdicts map[Role]Verdict, so func(Verdict) bool) bool {
	return slices.ContainsFunc(s.evaluator.Judges, func(j Judge) bool {
		return slices.Contains(s.o.Trained, j.Aspect) && j.decides(s.evaluator.Judges) && so(verdicts[j.Role])
	})
}

// Repaired reports whether every fault of a trained aspect that was inside an image's mask is gone.
func (s *Set) Repaired(m Image) bool {
	return !s.any(m.Verdicts, func(v Verdict) bool { return v.Faulty(s.o.Threshold) && !v.Clean(s.o.Threshold) })
}

// Draw draws all pairs with the model as it is now.
func (s *Set) Draw(progress func(done, of int) error) (Drawn, error) {
	return s.evaluator.Draw(s.Pairs, progress)
}

// Share draws the faulty pairs alone, and says how many are repaired and how well the rest of them is kept.
func (s *Set) Share(step int, progress func(done, of int) error) (p Point, err error) {
	var pairs []core.Pair
	for i, pair := range s.Pairs {
		if s.Faulty[i] {
			pairs = append(pairs, pair)
		}
	}
	done := 0
	images, err := s.evaluator.Evaluate(pairs, func(batch []Image, _ Batch) error {
		done += len(batch)
		return progress(done, len(pairs))
	})
	if err != nil {
		return p, err
	}
	p = Point{Step: step, Faulty: len(pairs), PSNR: Summarize(images, s.o.Threshold, 0).PSNR}
	for _, m := range images {
		if s.Repaired(m) {
			p.Fixed++
		}
	}
	p.Share = float64(p.Fixed) / float64(max(len(pairs), 1))
	return p, nil
}

// split sorts images of the set by whether the base image is faulty.
func (s *Set) split(images []Image) (faulty, others []Image) {
	for i, m := range images {
		if s.Faulty[i] {
			faulty = append(faulty, m)
		} else {
			others = append(others, m)
		}
	}
	return faulty, others
}
