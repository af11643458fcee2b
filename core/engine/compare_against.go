package engine

import (
	"fmt"
	"math"

	"focusnfix/core/eval"
	"focusnfix/core/run"
)

// FindDraft finds the newest run of a preset that trained without the region term, which is plain DRaFT,
// and has a checkpoint.
func FindDraft(runs, preset string) (run.Folder, error) {
	list, err := run.List(runs)
	if err != nil {
		return run.Folder{}, err
	}
	for _, r := range list {
		if r.Err != nil || r.Info.Preset != preset || r.State == run.Running || r.State == run.Paused {
			continue
		}
		config, err := r.Config()
		if err != nil || config.Region.Weight != 0 {
			continue
		}
		if checkpoints, err := r.Checkpoints(); err == nil && len(checkpoints) > 0 {
			return r.Folder, nil
		}
	}
	return run.Folder{}, fmt.Errorf("%s: no finished run of preset %s with region.weight 0, which is plain DRaFT", runs, preset)
}

// curve is what each checkpoint of a run repairs and keeps of the faulty images.
func (x *comparing) curve(f run.Folder) (curve []eval.Point, checkpoints []run.Checkpoint, err error) {
	if checkpoints, err = f.Checkpoints(); err != nil {
		return nil, nil, err
	}
	if len(checkpoints) == 0 {
		return nil, nil, fmt.Errorf("%s: no checkpoint yet", f.Name())
	}
	for i, c := range checkpoints {
		what := fmt.Sprintf("%s: checkpoint %d of %d", f.Name(), i+1, len(checkpoints))
		err := x.with(c, 1, func() error {
			p, err := x.set.Share(c.Step, func(done, of int) error { return x.progress(what, done, of) })
			curve = append(curve, p)
			return err
		})
		if err != nil {
			return nil, nil, err
		}
	}
	return curve, checkpoints, nil
}

// nearest is the point of a curve that repairs the share nearest to one; of several the earliest.
func nearest(curve []eval.Point, share float64) (at int) {
	for i, p := range curve {
		if math.Abs(p.Share-share) < math.Abs(curve[at].Share-share) {
			at = i
		}
	}
	return at
}
