package engine

import (
	"bytes"
	"fmt"
	"image"
	"os"
	"path/filepath"
	"slices"

	"focusnfix/core"
	"focusnfix/core/eval"
	"focusnfix/core/run"
	"focusnfix/model/backbone"
	"focusnfix/model/torch"
)

// maxWatched is the number of images that are kept for looking at: each costs half as much as an
// image of training, every train.images_every steps.
const maxWatched = 6

// firstImages draws the base images that the run's images are compared with, a few at a time, so
// that there is something to see within seconds. Before training they are the tuned model's, too.
func (e *engine) firstImages() error {
	pool := e.trainer.PoolSize()
	e.drawn = e.trainer.CountReferences()
	n := min(maxWatched, pool)
	e.watched = nil
	for i := range n {
		e.watched = append(e.watched, e.trainer.PoolAt(i*pool/n))
	}
	var kept []core.Picture
	together := e.trainer.AtOnce()
	for i, p := range e.watched {
		if i%together == 0 {
			if err := e.prepare(e.watched[i:min(i+together, n)]); err != nil {
				return err
			}
		}
		picture := e.imageAt(0, p)
		if _, err := os.Stat(filepath.Join(e.Folder.Dir, picture.Path)); err == nil {
			continue // of a training before
		}
		base, err := os.ReadFile(filepath.Join(e.trainer.References.Path(p), "base.png"))
		if err != nil {
			return err
		}
		if err := e.persist("images", func() error { return e.Folder.WriteFile(picture.Path, base) }); err != nil {
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

// imageAt is the image of a pair at a step, without scores.
func (e *engine) imageAt(step int, p core.Pair) core.Picture {
	index := slices.Index(e.session.Options.Prompts, p.Prompt)
	return core.Picture{
		Index: index, Prompt: p.Prompt, Seed: p.Seed, Path: run.PicturePath(step, index, p.Seed),
		Reference: e.fromFolder(e.trainer.References.Path(p)),
	}
}

// saveImages draws the watched images with the weights of now.
func (e *engine) saveImages() error {
	var kept []core.Picture
	_, err := e.evaluator.Evaluate(e.watched, func(all []eval.Image, b eval.Batch) error {
		for i, tuned := range backbone.Pictures(b.Tuned) {
			picture := e.imageAt(e.trainer.Done(), all[i].Pair)
			picture.Aspects = e.scores(all[i : i+1])
			data, err := encode(tuned)
			if err != nil {
				return err
			}
			if err := e.persist("images", func() error { return e.Folder.WriteFile(picture.Path, data) }); err != nil {
				return err
			}
			if err := e.saveHeatmaps(picture, b, i); err != nil {
				return err
			}
			kept = append(kept, picture)
		}
		e.busy("images", len(kept), len(e.watched))
		return nil
	})
	e.busy("", 0, 0)
	if err != nil {
		return fmt.Errorf("images: %w", err)
	}
	return e.event(core.Event{Kind: "pictures", Pictures: kept})
}

// saveHeatmaps keeps, beside the i-th tuned image of a batch, where each judge still finds its fault in it.
func (e *engine) saveHeatmaps(p core.Picture, b eval.Batch, i int) error {
	var heat core.Heatmap
	for _, j := range e.session.Judges {
		torch.NoGrad(func() {
			torch.Scope(func() torch.Tensor {
				one := b.Tuned.Narrow(0, int64(i), 1)
				heat = eval.HeatmapOf(j.Heatmap(one, []string{p.Prompt}).Clamp(0, 1))
				return torch.Tensor{}
			})
		})
		data, err := encode(heat.Gray())
		if err != nil {
			return err
		}
		path := run.PictureHeatmap(p.Path, run.HeatmapName(j.Aspect, j.HeldOut))
		if err := e.persist("images", func() error { return e.Folder.WriteFile(path, data) }); err != nil {
			return err
		}
	}
	return nil
}

// verdictsOf are what the judge of a role says of images.
func verdictsOf(all []eval.Image, role eval.Role) []eval.Verdict {
	var verdicts []eval.Verdict
	for _, one := range all {
		if v, judged := one.Verdicts[role]; judged {
			verdicts = append(verdicts, v)
		}
	}
	return verdicts
}

// addHeatmaps adds what judges see in an image and in the tuned one, under the names of their files.
func addHeatmaps(pictures map[string]image.Image, heatmaps map[eval.Role][2]core.Heatmap) {
	for role, heat := range heatmaps {
		name := run.HeatmapName(role.Aspect, role.HeldOut)
		pictures[name], pictures[name+"-tuned"] = heat[0].Gray(), heat[1].Gray()
	}
}

// writePictures writes images to PNG files of a folder, by their names without the ending.
func writePictures(dir string, pictures map[string]image.Image, text ...core.PNGText) error {
	for name, m := range pictures {
		data, err := encode(m, text...)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name+".png"), data, 0o644)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func encode(m image.Image, text ...core.PNGText) ([]byte, error) {
	var b bytes.Buffer
	err := core.WritePNG(&b, m, text...)
	return b.Bytes(), err
}

// scores are what the judges say of evaluated images, by aspect. A fault is fixed if the held-out judge,
// or the only one, finds none where the base image has one.
func (e *engine) scores(all []eval.Image) []core.AspectScore {
	var list []core.AspectScore
	judges := eval.Summarize(all, faultThreshold, 0).Judges
	for _, r := range e.session.Config.Reward {
		ownRole, heldOutRole := eval.Role{Aspect: r.Aspect}, eval.Role{Aspect: r.Aspect, HeldOut: true}
		own, heldOut := judges[ownRole], judges[heldOutRole]
		score := core.AspectScore{Aspect: r.Aspect, Base: own.Base, Reward: own.Tuned, BaseHeldOut: unknown, HeldOut: unknown, Fixed: unknown}
		judge := own
		if r.HeldOut != "" {
			score.BaseHeldOut, score.HeldOut, judge = heldOut.Base, heldOut.Tuned, heldOut
		}
		score.Faulty = float64(judge.Faulty)
		score.BaseFault, score.Fault = meanProbabilities(verdictsOf(all, ownRole))
		score.BaseHeldOutFault, score.HeldOutFault = meanProbabilities(verdictsOf(all, heldOutRole))
		if judge.Faulty > 0 {
			score.Fixed = judge.FixedShare()
		}
		list = append(list, score)
	}
	return list
}
