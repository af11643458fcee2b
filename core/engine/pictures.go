package engine

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"os"
	"path/filepath"
	"slices"

	"focusnfix/core"
	"focusnfix/core/run"
	"focusnfix/core/train"
	"focusnfix/model/sd"
	"focusnfix/model/torch"
)

// maxWatched is the number of pictures that are kept for looking at: each costs as much as half a
// picture of training, every train.images_every steps.
const maxWatched = 6

// firstPictures draws the base pictures that the run's pictures are compared with, one after the other, so
// that there is something to see within seconds. Before training they are the tuned model's, too.
func (e *engine) firstPictures() error {
	pool := e.trainer.Pool()
	for _, p := range pool {
		if e.trainer.HasReference(p) {
			e.drawn++
		}
	}
	n := min(maxWatched, len(pool))
	e.watched = nil
	for i := range n {
		e.watched = append(e.watched, pool[i*len(pool)/n])
	}
	var kept []core.Picture
	for _, p := range e.watched {
		if err := e.reference(p); err != nil {
			return err
		}
		picture := e.picture(0, p)
		if _, err := os.Stat(filepath.Join(e.Folder.Dir, picture.Path)); err == nil {
			continue // of a training before
		}
		base, err := os.ReadFile(filepath.Join(e.trainer.ReferencePath(p), "base.png"))
		if err != nil {
			return err
		}
		if err := e.keep("pictures", func() error { return e.Folder.WriteFile(picture.Path, base) }); err != nil {
			return err
		}
		kept = append(kept, picture)
		if e.trainer.Done() == 0 {
			if err := e.event(core.Event{Kind: "pictures", Pictures: slices.Clone(kept)}); err != nil {
				return err
			}
		}
	}
	return nil
}

// picture is that of a pair at a step, without scores.
func (e *engine) picture(step int, p Pair) core.Picture {
	index := slices.Index(e.session.Options.Prompts, p.Prompt)
	return core.Picture{
		Index: index, Prompt: p.Prompt, Seed: p.Seed, Path: run.PicturePath(step, index, p.Seed),
		Reference: e.fromFolder(e.trainer.ReferencePath(p)),
	}
}

// keepPictures draws the watched pictures with the weights of now.
func (e *engine) keepPictures() error {
	var kept []core.Picture
	err := e.evaluate(e.watched, "pictures", func(all []train.Evaluated, pictures train.Pictures) error {
		for i, tuned := range sd.Pictures(pictures.Tuned) {
			picture := e.picture(e.trainer.Done(), all[i].Pair)
			picture.Aspects = e.scores(all[i : i+1])
			data, err := encode(tuned)
			if err != nil {
				return err
			}
			if err := e.keep("pictures", func() error { return e.Folder.WriteFile(picture.Path, data) }); err != nil {
				return err
			}
			kept = append(kept, picture)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return e.event(core.Event{Kind: "pictures", Pictures: kept})
}

func encode(m image.Image) ([]byte, error) {
	var b bytes.Buffer
	err := core.WritePNG(&b, m)
	return b.Bytes(), err
}

// evaluate compares pairs with the base model, as many at once as training takes, and hands over each
// batch in a scope of its own.
func (e *engine) evaluate(pairs []Pair, what string, use func([]train.Evaluated, train.Pictures) error) error {
	done := 0
	defer e.busy("", 0, 0)
	for batch := range slices.Chunk(pairs, e.session.Config.Train.Batch) {
		e.busy(what, done, len(pairs))
		var failed error
		err := torch.Run(func() {
			var all []train.Evaluated
			var pictures train.Pictures
			if all, pictures, failed = e.trainer.Evaluate(batch, e.session.Judges); failed == nil {
				failed = use(all, pictures)
			}
		})
		if err = errors.Join(err, failed); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		done += len(batch)
	}
	return nil
}

// scores are what the judges say of evaluated pictures, by aspect. A fault is fixed if the held-out judge,
// or the only one, finds none where the base picture has one.
func (e *engine) scores(all []train.Evaluated) []core.AspectScore {
	var list []core.AspectScore
	for _, r := range e.session.Config.Reward {
		s := train.Summarize(all, faultThreshold, 0).Aspects
		own, heldOut := s[r.Aspect], s["held-out "+r.Aspect]
		score := core.AspectScore{Aspect: r.Aspect, Base: own.Base, Reward: own.Tuned, BaseHeldOut: unknown, HeldOut: unknown, Fixed: unknown}
		judge := own
		if r.HeldOut != "" {
			score.BaseHeldOut, score.HeldOut, judge = heldOut.Base, heldOut.Tuned, heldOut
		}
		if judge.Faulty > 0 {
			score.Fixed = judge.FixedShare()
		}
		list = append(list, score)
	}
	return list
}
