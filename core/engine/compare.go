package engine

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"focusnfix/core"
	"focusnfix/core/eval"
	"focusnfix/core/run"
	"focusnfix/core/train"
	"focusnfix/model/backbone"
	"focusnfix/model/reward"
)

// Compare draws held-out images with the base model and with tunings, and lets judges say what became of them. It
// trains nothing and changes nothing in the runs but the cache of references.
type Compare struct {
	Runs     []Tuned     // with the same base model; what is a fault is as the first one has it
	Against  *run.Folder // a run with the same base model, or nil
	Pictures int         // faulty images of the base model that are wanted
	Every    bool        // draws every prompt once instead and counts all images, faulty or not
	Shown    int         // rows of the sheet
	Strength float64     // of the LoRA weights of Runs: 1 is as trained, which 0 stands for
	Prompts  []string    // drawn in turn; nil are the first run's held-out ones

	Warn     func(line string)
	Progress func(what string, done, of int) // may be nil
	Kinds    []reward.Kind                   // further rewards
}

// Tuned is a run at one of its checkpoints.
type Tuned struct {
	Run        run.Folder
	Checkpoint run.Checkpoint
}

// faultThreshold is where a held-out judge's heatmap says fault rather than not.
const faultThreshold = 0.5

const (
	mostPerFaulty = 8 // images that are drawn at most for each faulty one that is wanted
	tie           = 0.05
	setSeeds      = 1 << 40 // beyond those of any training
)

// Do runs the comparison. When ctx ends, so does it.
func (c Compare) Do(ctx context.Context) (*eval.Comparison, error) {
	if c.Strength == 0 {
		c.Strength = 1
	}
	info, err := c.Runs[0].Run.Info()
	if err != nil {
		return nil, err
	}
	config, err := c.Runs[0].Run.Config()
	if err == nil {
		err = c.fit(config)
	}
	if err != nil {
		return nil, err
	}
	references, drop, err := c.references()
	if err != nil {
		return nil, err
	}
	defer drop()
	s, err := Open(Resolve(config, info.Start), Settings{References: references, Warn: c.Warn, Kinds: c.Kinds})
	if err != nil {
		return nil, err
	}
	defer s.Close()
	if c.Prompts != nil {
		s.HeldOut = c.Prompts
	}
	others, err := s.OtherJudges()
	if err != nil {
		return nil, err
	}
	evaluator, kept, err := s.Evaluator(slices.Concat(s.Judges, others))
	if err != nil {
		return nil, err
	}
	defer kept.Close()
	x := &comparing{Compare: c, ctx: ctx, pipeline: s.Pipeline, references: kept}
	o := eval.SetOptions{
		Trained: repaired(config), Next: s.setPair, Faulty: c.Pictures, Most: c.Pictures * mostPerFaulty, Threshold: faultThreshold,
		Progress: func(faulty, _ int) error { return x.progress("base model, faulty images", faulty, c.Pictures) },
	}
	if c.Every {
		o.Every, o.Next, o.Most = true, s.promptPair, len(s.HeldOut)
		o.Progress = func(drawn, _ int) error { return x.progress("base model", drawn, o.Most) }
	}
	x.set, err = eval.NewSet(evaluator, o)
	if err != nil {
		return nil, err
	}
	return x.all()
}

// repaired lists the aspects that a training repairs, rather than measures or guards.
func repaired(c core.Config) (aspects []string) {
	for _, r := range c.Reward {
		if r.Mask && r.Weight > 0 {
			aspects = append(aspects, r.Aspect)
		}
	}
	return aspects
}

// references is the run's folder of them, or a passing one where that cannot be written.
func (c Compare) references() (dir string, drop func(), err error) {
	first := c.Runs[0].Run
	dir = filepath.Join(first.Dir, run.References)
	if first.Sound() == nil && os.MkdirAll(dir, 0o755) == nil {
		if try, err := os.MkdirTemp(dir, ".new-"); err == nil {
			return dir, func() {}, os.Remove(try)
		}
	}
	dir, err = os.MkdirTemp("", "focusnfix-references-")
	return dir, func() { _ = os.RemoveAll(dir) }, err
}

// setPair is pair i of a comparison: held-out prompts in turn, each with two seeds at a time, so that seeds can
// be compared. All runs of a model get the same ones, whatever seed they are trained with.
func (s *Session) setPair(i int) core.Pair {
	return core.Pair{Prompt: s.HeldOut[i/2%len(s.HeldOut)], Seed: setSeeds + uint64(i)}
}

// promptPair is the image of prompt i.
func (s *Session) promptPair(i int) core.Pair {
	return core.Pair{Prompt: s.HeldOut[i], Seed: setSeeds + uint64(i)}
}

// fit checks that all runs start from the same images.
func (c Compare) fit(config core.Config) error {
	first := c.Runs[0].Run
	ours, err := first.Info()
	if err != nil {
		return err
	}
	others := make([]run.Folder, 0, len(c.Runs))
	for _, t := range c.Runs[1:] {
		others = append(others, t.Run)
	}
	if c.Against != nil {
		others = append(others, *c.Against)
	}
	for _, f := range others {
		other, err := f.Config()
		if err != nil {
			return err
		}
		theirs, err := f.Info()
		if err != nil {
			return err
		}
		if ours.ModelHash != theirs.ModelHash || other.Sample != config.Sample {
			return fmt.Errorf("%s and %s draw with other models or samplers: their base images differ", first.Name(), f.Name())
		}
	}
	return nil
}

// comparing is a comparison under way.
type comparing struct {
	Compare
	ctx        context.Context
	pipeline   backbone.Model
	references *train.References
	set        *eval.Set
	result     *eval.Comparison
}

func (x *comparing) progress(what string, done, of int) error {
	if x.Progress != nil && what != "" {
		x.Progress(what, done, of)
	}
	return x.ctx.Err()
}

// all compares the tunings, one after the other.
func (x *comparing) all() (*eval.Comparison, error) {
	first := x.Runs[0].Run
	info, err := first.Info()
	if err != nil {
		return nil, err
	}
	x.result = eval.NewComparison(x.set, tie)
	x.result.Run, x.result.Preset, x.result.Model = first.Name(), info.Preset, info.Model
	if !x.Every && x.result.Faulty < x.Pictures && x.Warn != nil {
		x.Warn(fmt.Sprintf("%d of %d images of the base model are faulty, %d were wanted", x.result.Faulty, x.result.Pictures, x.Pictures))
	}
	if !x.Every && x.result.Faulty == 0 {
		return nil, fmt.Errorf("none of %d images of the base model has a fault: nothing to compare", x.result.Pictures)
	}
	for _, t := range x.Runs {
		if err := x.add(t, x.Strength); err != nil {
			return nil, err
		}
	}
	if len(x.Runs) > 1 {
		x.result.Sum()
	}
	if x.Against == nil {
		return x.result, nil
	}
	curve, checkpoints, err := x.curve(*x.Against)
	if err != nil {
		return nil, err
	}
	x.result.Against(x.Against.Name(), curve)
	return x.result, x.add(Tuned{*x.Against, checkpoints[nearest(curve, x.result.Equal.Share)]}, 1)
}

// add puts one tuning into the result.
func (x *comparing) add(t Tuned, strength float64) error {
	config, err := t.Run.Config()
	if err != nil {
		return err
	}
	var drawn eval.Drawn
	err = x.with(t.Checkpoint, strength, func() (err error) {
		drawn, err = x.set.Draw(func(done, of int) error {
			return x.progress(fmt.Sprintf("%s step %d", t.Run.Name(), t.Checkpoint.Step), done, of)
		})
		return err
	})
	if err != nil {
		return err
	}
	x.result.Add(eval.Tuning{Run: t.Run.Name(), Step: t.Checkpoint.Step, RegionWeight: config.Region.Weight, Strength: strength}, drawn)
	return x.result.Show(drawn, x.Shown, x.references.Place)
}

// with calls f while the model has a checkpoint's LoRA weights.
func (x *comparing) with(c run.Checkpoint, strength float64, f func() error) error {
	adapters, err := x.pipeline.AttachLoRA(train.LoRAFile(c.Dir), strength)
	if err != nil {
		return err
	}
	for _, a := range adapters {
		defer a.Remove()
		if a.MergesExactly() { // the layers then run at their plain speed
			if err := a.Merge(); err != nil {
				return err
			}
		}
	}
	return f()
}

func aspectsOf(c core.Config) (names []string) {
	for _, r := range c.Reward {
		names = append(names, r.Aspect)
	}
	return names
}
