package train

import (
	"errors"
	"fmt"
	"image"
	"math"

	"focusnfix/model/sd"
	"focusnfix/model/torch"
)

// Exam is a set of pictures of the base model that tunings are compared by. They are drawn and judged once,
// until so many of them are faulty; then any number of tunings draw the same prompts from the same noise.
type Exam struct {
	Pairs  []Pair
	Faulty []bool // whether a fault of a trained aspect is in the picture's mask
	Missed int    // pictures with such a fault, but not in the mask: training cannot be asked to repair it

	trainer *Trainer
	o       ExamOptions
	base    map[string]look // by judge
}

// ExamOptions say what is drawn and who judges.
type ExamOptions struct {
	Judges []Judge
	// Next is picture i of a list without end. None of it should be trained on.
	Next   func(i int) Pair
	Faulty int // pictures wanted with a fault
	Most   int // pictures at most, faulty or not
	// Threshold is of heatmaps, in [0,1]: above it, in the mask, a judge sees something.
	Threshold float64
	Progress  func(faulty, drawn int) error // an error ends the drawing
}

// NewExam draws and judges pictures of the base model. Whether one is faulty is for the held-out judges of
// the trained aspects to say, or for the trained ones where none is held out. No LoRA may be attached.
func (t *Trainer) NewExam(o ExamOptions) (*Exam, error) {
	e := &Exam{trainer: t, o: o, base: map[string]look{}}
	for found := 0; found < o.Faulty && len(e.Pairs) < o.Most; {
		var pairs []Pair
		for len(pairs) < t.Batch && len(e.Pairs)+len(pairs) < o.Most {
			pairs = append(pairs, o.Next(len(e.Pairs)+len(pairs)))
		}
		if err := e.add(pairs); err != nil {
			return nil, err
		}
		found = e.faulty(len(e.Pairs))
		if err := o.Progress(min(found, o.Faulty), len(e.Pairs)); err != nil {
			return nil, err
		}
	}
	return e, nil
}

// faulty counts among the first n.
func (e *Exam) faulty(n int) (count int) {
	for _, faulty := range e.Faulty[:n] {
		if faulty {
			count++
		}
	}
	return count
}

// add draws and judges a few more.
func (e *Exam) add(pairs []Pair) (err error) {
	failed := torch.Run(func() {
		torch.NoGrad(func() {
			if err = e.trainer.Prepare(pairs); err != nil {
				return
			}
			var b batch
			if b, _, err = e.trainer.batch(pairs); err != nil {
				return
			}
			for _, j := range e.o.Judges {
				l, all := j.look(b.baseImage, b.mask, b.prompts), e.base[j.Name()]
				e.base[j.Name()] = look{append(all.scores, l.scores...), append(all.faults, l.faults...)}
			}
		})
	})
	if err = errors.Join(err, failed); err != nil {
		return err
	}
	for range pairs {
		i := len(e.Faulty)
		e.Faulty = append(e.Faulty, e.any(i, func(j Judged) bool { return j.faulty(e.o.Threshold) }))
		if !e.Faulty[i] && e.any(i, func(j Judged) bool { return j.BaseProbability >= 0.5 }) {
			e.Missed++
		}
	}
	e.Pairs = append(e.Pairs, pairs...)
	return nil
}

// any tells whether base picture i is so by a judge that decides on a trained aspect.
func (e *Exam) any(i int, so func(Judged) bool) bool {
	for _, a := range e.trainer.Aspects {
		for _, j := range e.o.Judges {
			base := e.base[j.Name()]
			if j.Aspect == a.Name && j.decides(e.o.Judges) && so(j.compare(base, base, i)) {
				return true
			}
		}
	}
	return false
}

// Repaired tells whether every fault of a trained aspect that was in a base picture's mask is gone.
func (e *Exam) Repaired(one Evaluated) bool {
	for _, a := range e.trainer.Aspects {
		for _, j := range e.o.Judges {
			said := one.Judged[j.Name()]
			if j.Aspect == a.Name && j.decides(e.o.Judges) && said.faulty(e.o.Threshold) && !said.clean(e.o.Threshold) {
				return false
			}
		}
	}
	return true
}

// decides tells whether the judge has the last word on its aspect: a held-out one, or the only one.
func (j Judge) decides(all []Judge) bool {
	for _, other := range all {
		if other.Aspect == j.Aspect && other.HeldOut && !j.HeldOut {
			return false
		}
	}
	return true
}

// Sat is what a tuning made of an exam: its first pictures, as many as were asked for.
type Sat struct {
	All         []Evaluated
	Base, Tuned []*image.RGBA
}

// Sit lets a tuning draw the first n pictures: that of a LoRA file, or of the base model for "".
func (e *Exam) Sit(lora string, n int, progress func(done, of int) error) (s Sat, err error) {
	t := e.trainer
	if lora != "" {
		adapters, err := t.pipeline.AttachLoRA(lora, 1)
		if err != nil {
			return s, err
		}
		for _, a := range adapters {
			defer a.Remove()
		}
	}
	n = min(n, len(e.Pairs))
	for from := 0; from < n; from += t.Batch {
		to := min(from+t.Batch, n)
		failed := torch.Run(func() { torch.NoGrad(func() { t.Untuned(func() { err = e.draw(&s, from, to) }) }) })
		if err = errors.Join(err, failed); err == nil {
			err = progress(to, n)
		}
		if err != nil {
			return s, err
		}
	}
	return s, nil
}

// draw adds pictures from to to, the last left out.
func (e *Exam) draw(s *Sat, from, to int) error {
	t, pairs := e.trainer, e.Pairs[from:to]
	b, coverage, err := t.batch(pairs)
	if err != nil {
		return err
	}
	tuned := t.pipeline.Decode(t.store.sampler.draw(b.start).latents)
	outside, ssim := outsidePSNR(tuned, b.baseImage, b.mask), outsideSSIM(tuned, b.baseImage, b.mask)
	before, after := pictureStatistics(b.baseImage), pictureStatistics(tuned)
	all := make([]Evaluated, len(pairs))
	for i, p := range pairs {
		all[i] = Evaluated{p, coverage[i], outside[i], ssim[i], map[string]Judged{}, before[i], after[i]}
	}
	for _, j := range e.o.Judges {
		base, now := e.base[j.Name()], j.look(tuned, b.mask, b.prompts)
		base = look{base.scores[from:to], base.faults[from:to]}
		for i := range all {
			all[i].Judged[j.Name()] = j.compare(base, now, i)
		}
	}
	s.All = append(s.All, all...)
	s.Base, s.Tuned = append(s.Base, sd.Pictures(b.baseImage)...), append(s.Tuned, sd.Pictures(tuned)...)
	return nil
}

// Split sorts what a tuning made by whether the base picture is faulty.
func (e *Exam) Split(all []Evaluated) (faulty, others []Evaluated) {
	for i, one := range all {
		if e.Faulty[i] {
			faulty = append(faulty, one)
		} else {
			others = append(others, one)
		}
	}
	return faulty, others
}

// Diversity is the mean RMS difference, for colours in [0,1], between pictures of the same prompt and other
// seeds; 0 where no prompt comes twice.
func (e *Exam) Diversity(pictures []*image.RGBA) float64 {
	sum, count := 0.0, 0
	for i := range pictures {
		for k := range i {
			if e.Pairs[i].Prompt == e.Pairs[k].Prompt {
				sum += rmsDifference(pictures[i], pictures[k])
				count++
			}
		}
	}
	return sum / float64(max(count, 1))
}

// rmsDifference is that of two pictures of one size.
func rmsDifference(a, b *image.RGBA) float64 {
	sum := 0.0
	for i := range a.Pix { // alpha is 255 in both
		d := float64(a.Pix[i]) - float64(b.Pix[i])
		sum += d * d
	}
	return math.Sqrt(sum/(0.75*float64(len(a.Pix)))) / 255
}

// Place is what a picture's mask comes from, for showing it.
func (e *Exam) Place(i int) (r *Reference, err error) {
	failed := torch.Run(func() { r, err = e.trainer.Reference(e.Pairs[i]) })
	if err = errors.Join(err, failed); err != nil {
		return nil, fmt.Errorf("reference of %q: %w", e.Pairs[i].Prompt, err)
	}
	return r, nil
}
