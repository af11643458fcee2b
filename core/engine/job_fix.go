package engine

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"focusnfix/core"
	"focusnfix/core/run"
	"focusnfix/core/train"
	"focusnfix/model/sd"
	"focusnfix/model/torch"
)

const (
	fixSteps    = 40 // of a repair that does not say
	maxFixSteps = 1000
)

// Fix trains a copy of the LoRA weights on one image, whose mask is a box, until no judge of the aspect
// finds a fault there. Status tells how far it is; the run's own weights stay as they are.
func (e *engine) Fix(ctx context.Context, r run.FixRequest) (core.PromptResult, error) {
	return ask(ctx, e, "fix", func(ctx context.Context) (core.PromptResult, error) {
		if err := e.complete(&r.Drawing); err != nil {
			return core.PromptResult{}, err
		}
		region, err := boxMask(r.Box, r.Size.Width, r.Size.Height)
		if err != nil {
			return core.PromptResult{}, err
		}
		return e.withCheckpoint(r.Checkpoint, func() (core.PromptResult, error) { return e.fix(ctx, r, region) })
	})
}

// fix repairs in the open scope.
func (e *engine) fix(ctx context.Context, r run.FixRequest, region core.Mask) (result core.PromptResult, err error) {
	f, err := e.fixOf(r, region)
	if err != nil {
		return result, err
	}
	started := time.Now()
	fixed, err := e.trainer.Fix(ctx, f)
	if err != nil {
		return result, err
	}
	torch.NoGrad(func() { result, err = e.savePrompt(r.Drawing, fixed.Base, fixed.Image, &region, started) })
	return result, err
}

// fixOf is a request as the trainer wants it.
func (e *engine) fixOf(r run.FixRequest, region core.Mask) (train.Fix, error) {
	rewards := e.session.Config.Reward
	i := slices.IndexFunc(rewards, func(known core.Reward) bool { return known.Aspect == r.Aspect })
	if i < 0 {
		var names []string
		for _, known := range rewards {
			names = append(names, known.Aspect)
		}
		return train.Fix{}, fmt.Errorf("no aspect %q in this run, want %s", r.Aspect, strings.Join(names, ", "))
	}
	if r.Steps < 0 || r.Steps > maxFixSteps {
		return train.Fix{}, fmt.Errorf("%d steps, want 1 to %d", r.Steps, maxFixSteps)
	}
	if r.Steps == 0 {
		r.Steps = fixSteps
	}
	f := train.Fix{
		Drawing: r.Drawing, Region: region, Aspect: r.Aspect,
		Threshold: rewards[i].Threshold, Steps: r.Steps,
		Progress: func(step int, image torch.Tensor) { e.show(run.Preview, step, r.Steps, image) },
	}
	for _, j := range e.session.Judges {
		if j.Aspect == r.Aspect {
			f.Judges = append(f.Judges, j)
		}
	}
	return f, nil
}

// show lets others see an image that is drawn or repaired, [1,3,H,W], as the file preview of the run's folder. It
// does without where the image cannot be written.
func (e *engine) show(preview string, step, of int, image torch.Tensor) {
	data, err := encode(sd.Pictures(image)[0])
	if err == nil {
		err = e.Folder.WriteFile(preview, data)
	}
	e.mutex.Lock()
	defer e.mutex.Unlock()
	e.status.Done, e.status.Of = step, of
	if err == nil {
		e.status.Preview = preview
	}
}

// boxMask is the mask of every pixel that a box touches.
func boxMask(b run.Box, width, height int) (core.Mask, error) {
	if !(b.Left >= 0 && b.Left < b.Right && b.Right <= 1 && b.Top >= 0 && b.Top < b.Bottom && b.Bottom <= 1) {
		return core.Mask{}, errors.New("the box is empty or leaves the image; its sides are shares of the image's, 0 to 1")
	}
	m := core.Mask{Width: width, Height: height, Faulty: make([]bool, width*height)}
	low := func(part float64, side int) int { return int(part * float64(side)) }
	high := func(part float64, side int) int { return int(math.Ceil(part * float64(side))) }
	for y := low(b.Top, height); y < high(b.Bottom, height); y++ {
		for x := low(b.Left, width); x < high(b.Right, width); x++ {
			m.Faulty[y*width+x] = true
		}
	}
	return m, nil
}
