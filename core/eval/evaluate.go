package eval

import (
	"errors"
	"image"
	"math"
	"slices"

	"focusnfix/core"
	"focusnfix/model/backbone"
	"focusnfix/model/torch"
)

// Source draws the images that are compared. Tensors go to the open scope.
type Source interface {
	// Base is what the base model draws, [B,3,H,W] in [0,1], and where its faults are, [B,1,H,W] in {0,1}.
	Base(pairs []core.Pair) (images, masks torch.Tensor, err error)
	// Tuned is what the model draws with the LoRA weights that are attached now.
	Tuned(pairs []core.Pair) (images torch.Tensor, err error)
}

// Evaluator draws pairs with the base and the tuned model and asks judges about both. One goroutine uses it.
type Evaluator struct {
	Source Source
	Judges []Judge
	Batch  int // images that are drawn at once

	known map[core.Pair][]opinion // of base images, in the order of Judges
}

// Evaluate is the loop that every evaluation goes through: draw a batch, judge it, measure it. use, which may
// be nil, sees each batch in a scope of its own; its error ends the loop.
func (e *Evaluator) Evaluate(pairs []core.Pair, use func([]Image, Batch) error) (all []Image, err error) {
	for chunk := range slices.Chunk(pairs, e.Batch) {
		err := noGrad(func() error {
			b := Batch{Pairs: chunk}
			base, err := e.base(&b)
			if err != nil {
				return err
			}
			if b.Tuned, err = e.Source.Tuned(chunk); err != nil {
				return err
			}
			images := b.measure(e.Judges, base)
			all = append(all, images...)
			if use == nil {
				return nil
			}
			return use(images, b)
		})
		if err != nil {
			return nil, err
		}
	}
	return all, nil
}

// base draws the base images and masks of a batch, or reads them, and gives what the judges say of them, by
// judge; what they said once is remembered.
func (e *Evaluator) base(b *Batch) (by [][]opinion, err error) {
	if b.Base, b.Mask, err = e.Source.Base(b.Pairs); err != nil {
		return nil, err
	}
	if e.known == nil {
		e.known = map[core.Pair][]opinion{}
	}
	unknown := slices.ContainsFunc(b.Pairs, func(p core.Pair) bool { return len(e.known[p]) != len(e.Judges) })
	by = make([][]opinion, len(e.Judges))
	for k, j := range e.Judges {
		if unknown {
			by[k] = j.opinions(b.Base, b.Mask, b.Prompts())
			continue
		}
		for _, p := range b.Pairs {
			by[k] = append(by[k], e.known[p][k])
		}
	}
	for i, p := range b.Pairs {
		said := make([]opinion, len(by))
		for k := range by {
			said[k] = by[k][i]
		}
		e.known[p] = said
	}
	return by, nil
}

// noGrad calls f in a scope of its own, without recording gradients.
func noGrad(f func() error) (err error) {
	failed := torch.Run(func() { torch.NoGrad(func() { err = f() }) })
	return errors.Join(err, failed)
}

// Drawn is evaluated images together with the images themselves.
type Drawn struct {
	Images      []Image
	Base, Tuned []*image.RGBA
}

// Draw is Evaluate that keeps the images, in 8 bits. progress may end it.
func (e *Evaluator) Draw(pairs []core.Pair, progress func(done, of int) error) (d Drawn, err error) {
	d.Images, err = e.Evaluate(pairs, func(_ []Image, b Batch) error {
		d.Base, d.Tuned = append(d.Base, backbone.Pictures(b.Base)...), append(d.Tuned, backbone.Pictures(b.Tuned)...)
		return progress(len(d.Tuned), len(pairs))
	})
	return d, err
}

// Diversity is the mean RMS difference, for colors in [0,1], between base images of the same prompt and
// different seeds, and the same between tuned images; 0 where no prompt comes twice.
func (d Drawn) Diversity() (base, tuned float64) {
	count := 0.0
	for i := range d.Images {
		for k := range i {
			if d.Images[i].Pair.Prompt == d.Images[k].Pair.Prompt {
				base += rmsDifference(d.Base[i], d.Base[k])
				tuned += rmsDifference(d.Tuned[i], d.Tuned[k])
				count++
			}
		}
	}
	return base / max(count, 1), tuned / max(count, 1)
}

// rmsDifference is the RMS difference of two images of one size, for colors in [0,1].
func rmsDifference(a, b *image.RGBA) float64 {
	sum := 0.0
	for i := range a.Pix { // alpha is 255 in both
		d := float64(a.Pix[i]) - float64(b.Pix[i])
		sum += d * d
	}
	return math.Sqrt(sum/(0.75*float64(len(a.Pix)))) / 255
}
