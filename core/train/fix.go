package train

import (
	"cmp"
	"context"
	"fmt"
	"image"
	"math"
	"slices"
	"time"

	"focusnfix/core"
	"focusnfix/core/eval"
	"focusnfix/model/backbone"
	"focusnfix/model/nn"
	"focusnfix/model/reward"
	"focusnfix/model/torch"
	"focusnfix/model/weights"
)

// A fix repairs a region of one image: a small LoRA of its own is trained on it alone, with the region for the mask,
// until the judge that it follows finds no fault there. The objective is that of training with one aspect,
//
//	J = r(M ⊙ Î + (1 − M) ⊙ Î₀) − regionWeight · ‖(1 − M) ⊙ (Î − Î₀)‖
//
// but that the reward sees Î in the region only and the image before around it: a fault elsewhere is none of its
// business. The held-out judge looks on; neither gradient nor end depends on it.
//
// A judge that is followed can be fooled by less than a repair, so three things keep it honest. Its reward is the mean
// over several augmented views of the image. It is content only if it finds no fault in fixed views either. And once it
// is, the region term holds the healed region as well as its surroundings: else it draws the whole image back to the one
// before, as far as the judge lets it, and the fault comes back in a shape that this judge alone does not see.

// Fix is what a repair is told.
type Fix struct {
	Aspect string        // what is to be repaired
	Reward reward.Reward // that is followed
	// Region is the mask, for the trained judge's heatmap of the image before.
	Region    func(heat core.Heatmap) (core.Mask, error)
	Judges    []eval.Judge // of the aspect
	Threshold float64      // of heatmaps, in [0,1]: above it is a fault
	Stack     []Stacked    // earlier fixes that it builds on
	Steps     int          // updates at most
	LoRA      string       // file that the fix is written to; "" writes none
	Header    map[string]string
	// Progress, if set, sees each frame: the image after each update, from the image before on.
	Progress func(FixFrame)
}

// FixFrame is an image of a repair under way.
type FixFrame struct {
	core.FixStep
	Image *image.RGBA
}

// Fixed is a repaired image.
type Fixed struct {
	core.FixResult // without a path
	Mask           core.Mask
	Before, After  *image.RGBA
	Heatmaps       map[eval.Role][2]core.Heatmap // of both
}

const (
	fixRank    = 4
	fixWarmup  = 3    // updates in which the learning rate rises
	fixRate    = 1.5  // of the run's learning rate: one image needs no care for others
	fixHold    = 3    // of the run's region weight, to begin with: what is shown beside the image before must not drift
	fixMargin  = 0.1  // of the threshold: where the judge that is followed is content
	fixOutside = 35.5 // dB, outside the region, that a repair goes on for
	fixCalm    = 3    // images in a row with a content judge, after which the region is held as it is
	fixSettle  = 6    // images in a row that are content and kept, at the end: the last traces go after the judge is content
	fixViews   = 4    // augmented views that a gradient is the mean of
	fixTighten = 1.25 // factors of fixHold from one update to the next: see balance
	fixLoosen  = 0.6
)

// fixing is a repair under way.
type fixing struct {
	*Canvas
	ask         Fix
	objective   Objective
	before      torch.Tensor // Î₀, [1,3,H,W]
	mask        torch.Tensor // M, [1,1,H,W]
	own, last   *nn.Adapter  // of this repair, and of the last one that it builds on
	params      []torch.Tensor
	optimizer   *nn.AdamW
	random      *torch.Generator
	hold        float64      // of the run's region weight
	calm        int          // images in a row with which the judge is content
	settled     int          // and those with which the repair could have ended
	healed      torch.Tensor // [1,3,H,W], owned: the image before with the region as it is to stay; none before it has healed
	least       float64      // that the judge saw in it, from any view
	was, is     []sight      // of each judge, before and now
	started, at time.Time
	Fixed
}

// sight is what a judge sees of an image.
type sight struct {
	inside, outside float64 // maximum of its heatmap in the region and around it
	anyView         float64 // in the region, from any view; of the judge that is followed
	probability     float64 // of a fault in the image; NaN if it does not know
	heat            core.Heatmap
}

// Fix repairs a region of the image. Afterwards the trainer is as it was: weights, moments and random state. When ctx
// ends, so does the repair, within a denoising step, with its error and nothing written.
func (c *Canvas) Fix(ctx context.Context, f Fix) (Fixed, error) {
	return c.fix(ctx, f, (*fixing).repair)
}

// Sees is what the judges see in the region as the image is, without repairing anything.
func (c *Canvas) Sees(ctx context.Context, f Fix) ([]core.FixJudge, error) {
	seen, err := c.fix(ctx, f, func(x *fixing, _ context.Context) error { return x.begin() })
	return seen.FixResult.Judges, err
}

func (c *Canvas) fix(ctx context.Context, f Fix, do func(*fixing, context.Context) error) (Fixed, error) {
	x := &fixing{Canvas: c, ask: f, hold: fixHold, started: time.Now()}
	x.FixResult = core.FixResult{Drawing: c.Drawing, Aspect: f.Aspect, Start: "base", From: c.from, PrepareSeconds: c.seconds}
	if c.OfRun {
		x.Start = "run"
	}
	x.at = x.started
	x.objective = c.t.fixObjective(f)
	var err error
	if len(f.Judges) == 0 || f.Judges[0].HeldOut {
		return x.Fixed, fmt.Errorf("aspect %q: no judge to follow", f.Aspect)
	}
	if x.random, err = torch.NewGenerator(torch.CPU, c.Seed); err != nil {
		return x.Fixed, err
	}
	defer x.random.Close()
	err = c.work(ctx, func() error {
		return c.with(f.Stack, func(last *nn.Adapter) error { x.last = last; return do(x, ctx) })
	})
	return x.Fixed, err
}

// fixObjective is the objective of training one aspect, with the run's guards: what is drawn anew is not to be faulty
// in another way.
func (t *Trainer) fixObjective(f Fix) Objective {
	o := Objective{[]Aspect{{Name: f.Aspect, Reward: f.Reward, Weight: 1}}, t.Region, t.Augment}
	for _, a := range t.Aspects {
		switch {
		case a.Name == f.Aspect && a.Weight != 0: // else it is measured only, in the run
			o.Aspects[0].Weight = a.Weight
		case a.Name != f.Aspect && a.Guard:
			o.Aspects = append(o.Aspects, a)
		}
	}
	return o
}

// begin draws the image before and judges it.
func (x *fixing) begin() (err error) {
	torch.NoGrad(func() {
		if x.before, err = x.image(x.last); err != nil {
			return
		}
		heat := eval.HeatmapOf(x.ask.Judges[0].Heatmap(x.before, x.prompts).Clamp(0, 1))
		if x.Mask, err = x.ask.Region(heat); err == nil {
			x.mask = eval.MaskTensor(x.Mask).ToDevice(x.t.pipeline.Device(), torch.Float32)
		}
	})
	if err != nil {
		return err
	}
	if size := (core.Size{Width: x.Mask.Width, Height: x.Mask.Height}); size != x.Canvas.Size {
		return fmt.Errorf("region of %v pixels, want the image's %v", size, x.Canvas.Size)
	}
	x.lap(&x.PrepareSeconds)
	x.look(x.before)
	x.Before, x.was = x.After, x.is
	x.judge()
	x.lap(&x.JudgeSeconds)
	return nil
}

// repair looks for the fault, trains and judges.
func (x *fixing) repair(ctx context.Context) (err error) {
	if err := x.begin(); err != nil {
		return err
	}
	if x.Verdict == core.NoFault {
		x.nearest()
		return nil
	}
	x.show()
	if x.own, err = x.attach(fixRank); err != nil {
		return err
	}
	defer x.own.Remove()
	_, x.params = x.own.Tensors()
	x.own.SetTrainable(true)
	x.optimizer = x.t.newOptimizer(x.params)
	defer x.optimizer.Drop()
	defer func() { torch.Drop(x.healed) }()
	for done := false; !done && err == nil; {
		err = run(func() (err error) { done, err = x.step(); return cmp.Or(err, ctx.Err()) })
	}
	if err != nil {
		return err
	}
	x.judge()
	x.Seconds = time.Since(x.started).Seconds()
	if x.ask.LoRA == "" {
		return nil
	}
	x.own.SetTrainable(false)
	return backbone.SaveLoRA(x.ask.LoRA, weights.PEFT, x.t.pipeline.About().Network, x.own, x.ask.Header)
}

// step draws the image, shows it, and updates the weights unless the repair is at its end. The gradient comes with
// the image before its update, so that looking at it costs nothing more.
func (x *fixing) step() (done bool, err error) {
	w, err := x.toLast(x.own)
	if err != nil {
		return false, err
	}
	drawn, drop := x.s.stepwise(w)
	defer drop()
	decoded := x.s.decode(drawn.latents)
	x.lap(&x.DrawSeconds)
	if x.Steps > 0 { // before, it is the image before
		x.look(decoded.images.Detach())
		x.show()
		x.holdHealed(decoded.images.Detach())
	}
	x.lap(&x.JudgeSeconds)
	if x.done() {
		return true, nil
	}
	grads := addScaled(nil, drawn.backward(decoded.backward(x.gradient(decoded.images)), x.params), 1/x.s.scale.Value)
	norm := gradNorm(grads)
	if x.s.scale = x.s.scale.after(finite(norm)); finite(norm) {
		clip(grads, norm, x.t.GradClip)
		x.optimizer.LearningRate = fixRate * x.t.LearningRate * min(1, float64(x.Steps+1)/fixWarmup)
		x.optimizer.Step(grads)
	}
	x.balance()
	x.Steps++
	x.lap(&x.LearnSeconds)
	return false, nil
}

// holdHealed keeps the region of an image [1,3,H,W] once the judge has been content for some images: the one in which
// it saw least.
func (x *fixing) holdHealed(image torch.Tensor) {
	if x.calm++; !x.content() {
		x.calm = 0
	}
	if x.calm < fixCalm || x.healed.Defined() && x.is[0].anyView >= x.least {
		return
	}
	x.least = x.is[0].anyView
	torch.Drop(x.healed)
	torch.NoGrad(func() { x.healed = torch.Own(x.within(image)) })
}

// within is the image before with the region of another, [1,3,H,W].
func (x *fixing) within(image torch.Tensor) torch.Tensor {
	return torch.Scope(func() torch.Tensor { return x.before.Add(image.Sub(x.before).Mul(x.mask)) })
}

// balance moves the weight of the region term toward what is still missing: the surroundings, where the judge is content,
// or the judge, where they are kept.
func (x *fixing) balance() {
	switch content, kept := x.content(), x.OutsidePSNR >= fixOutside; {
	case content && !kept:
		x.hold = min(x.hold*fixTighten, 4*fixHold)
	case kept && !content && x.is[0].inside < x.was[0].inside/2: // it has begun to heal
		x.hold = max(x.hold*fixLoosen, fixHold/6.0)
	}
}

// content reports whether the judge that is followed is.
func (x *fixing) content() bool {
	return x.is[0].inside <= fixMargin*x.ask.Threshold && x.is[0].anyView <= x.ask.Threshold
}

// done reports whether the repair is at its end: the judge that it follows is content, and the surroundings are kept, for
// some images in a row.
func (x *fixing) done() bool {
	if x.settled++; !x.content() || x.OutsidePSNR < fixOutside {
		x.settled = 0
	}
	return x.settled == fixSettle || x.Steps == x.ask.Steps
}

// gradient is that of −J, scaled, at an image [1,3,H,W].
func (x *fixing) gradient(image torch.Tensor) torch.Tensor {
	return torch.Scope(func() torch.Tensor {
		score, within := image.NewZeros(1), x.within(image)
		for range fixViews {
			of, _ := x.objective.reward(within, x.prompts, x.random)
			score = score.AddScaled(of, 1.0/fixViews)
		}
		as, free := x.before, x.mask
		if x.healed.Defined() {
			as, free = x.healed, x.mask.MulScalar(0)
		}
		region := regionLoss(x.objective.Region.Norm, x.s.flat(), image, as, free)
		loss := score.AddScaled(region, -x.hold*x.objective.Region.Weight).Mean().Neg() // −J
		at := torch.Grad([]torch.Tensor{loss}, []torch.Tensor{image}, nil)[0]
		if x.s.scale.on() {
			at = at.MulScalar(x.s.scale.Value)
		}
		return at
	})
}

// look asks the judges about the image as it is now, and how far it is from the image before.
func (x *fixing) look(now torch.Tensor) {
	x.is = x.judged(now)
	x.InsidePSNR = eval.PSNR(now, x.before, x.mask)[0]
	torch.NoGrad(func() { x.OutsidePSNR = eval.PSNR(now, x.before, eval.Outside(x.mask))[0] })
	x.After = backbone.Pictures(now)[0]
}

// show passes the image on as it is now.
func (x *fixing) show() {
	step := core.FixStep{Step: x.Steps, Trained: x.is[0].inside, HeldOut: math.NaN(), Outside: x.OutsidePSNR, Seconds: time.Since(x.started).Seconds()}
	for i, j := range x.ask.Judges {
		if j.HeldOut {
			step.HeldOut = x.is[i].inside
		}
	}
	if len(x.Trace) == 0 {
		x.FirstSeconds = step.Seconds
	}
	x.Trace = append(x.Trace, step)
	if x.ask.Progress != nil {
		x.ask.Progress(FixFrame{step, x.After})
	}
}

// judged is what each judge sees of an image.
func (x *fixing) judged(image torch.Tensor) []sight {
	all := make([]sight, len(x.ask.Judges))
	torch.NoGrad(func() {
		torch.Scope(func() torch.Tensor {
			for i, j := range x.ask.Judges {
				x.s.giveUp()
				heat := j.Heatmap(image, x.prompts).Clamp(0, 1)
				all[i] = sight{
					inside: heat.Mul(x.mask).Max().Item(), outside: heat.Mul(eval.Outside(x.mask)).Max().Item(),
					probability: reward.FaultProbability(j.Reward, j.Score(image, x.prompts).Item()), heat: eval.HeatmapOf(heat),
				}
				if i == 0 {
					all[i].anyView = x.anyView(j, image)
				}
			}
			return torch.Tensor{}
		})
	})
	return all
}

// anyView is the maximum of a judge's heatmap in the region of an image [1,3,H,W], seen in four views: cut off by a
// sixteenth of each side, toward each corner, two of them mirrored.
func (x *fixing) anyView(j eval.Judge, image torch.Tensor) float64 {
	H, W := image.Size(2), image.Size(3)
	h, w := H-H/16, W-W/16
	views := func(whole torch.Tensor) torch.Tensor {
		var all []torch.Tensor
		for i := range int64(4) {
			view := whole.Narrow(2, i/2*(H-h), h).Narrow(3, i%2*(W-w), w).ResizeBilinear(H, W, torch.Resize{})
			if i%2 == 1 {
				view = view.Flip(3)
			}
			all = append(all, view)
		}
		return torch.Cat(all, 0)
	}
	heat := j.Heatmap(views(x.within(image)), slices.Repeat(x.prompts, 4)).Clamp(0, 1)
	return heat.Mul(views(x.mask)).Max().Item()
}

// judge compares what the judges see with what they saw before.
func (x *fixing) judge() {
	x.FixResult.Judges, x.Heatmaps = nil, map[eval.Role][2]core.Heatmap{}
	limit := x.ask.Threshold
	for i, j := range x.ask.Judges {
		was, is := x.was[i], x.is[i]
		x.FixResult.Judges = append(x.FixResult.Judges, core.FixJudge{
			HeldOut: j.HeldOut, Before: was.inside, After: is.inside,
			Found: was.inside > limit && !(was.probability < 0.5), Gone: is.inside <= limit,
			Moved: is.outside > limit && was.outside <= limit && !(is.probability < 0.5),
		})
		x.Heatmaps[j.Role] = [2]core.Heatmap{was.heat, is.heat}
	}
	x.Sharpness, x.SharpnessNow = core.Sharpness(x.Before, x.Mask), core.Sharpness(x.After, x.Mask)
	x.Judge()
}

// nearest names the nearest region in which the judges do find a fault.
func (x *fixing) nearest() {
	for i := range x.ask.Judges {
		if was := x.was[i]; !(was.probability < 0.5) {
			if box, ok := was.heat.Threshold(x.ask.Threshold).Dilate(2).Nearest(x.Mask); ok {
				x.Nearest = core.Region{box}.String()
				return
			}
		}
	}
}

// lap adds the time since the last lap.
func (x *fixing) lap(to *float64) {
	now := time.Now()
	*to += now.Sub(x.at).Seconds()
	x.at = now
}
