package engine

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"focusnfix/core"
	"focusnfix/core/eval"
	"focusnfix/core/run"
	"focusnfix/core/train"
	"focusnfix/model/reward"
	"focusnfix/model/sd"
)

// Compare draws held-out images with the base model and with tunings, and lets judges say what became of them. It trains nothing and changes nothing in the runs but the cache of references.
type Compare struct {
	Run        run.Folder
	Checkpoint run.Checkpoint
	Against    *run.Folder // a run with the same base model, or nil
	Pictures   int         // faulty images of the base model that are wanted
	Shown      int         // rows of the sheet

	Warn     func(line string)
	Progress func(what string, done, of int) // may be nil
	Kinds    []reward.Kind                   // further rewards
}

// faultThreshold is where a held-out judge's heatmap says fault rather than not.
const faultThreshold = 0.5

const (
	mostPerFaulty = 4  // images that are drawn at most for each faulty one that is wanted
	trialPictures = 24 // by which a checkpoint of the other run is chosen
	tie           = 0.05
	setSeeds      = 1 << 40 // beyond those of any training
)

// Do runs the comparison. When ctx ends, so does it.
func (c Compare) Do(ctx context.Context) (*eval.Comparison, error) {
	info, err := c.Run.Info()
	if err != nil {
		return nil, err
	}
	config, err := c.Run.Config()
	if err == nil {
		err = c.fits(config)
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
	others, err := s.OtherJudges()
	if err != nil {
		return nil, err
	}
	evaluator, kept, err := s.Evaluator(append(s.Judges, others...))
	if err != nil {
		return nil, err
	}
	defer kept.Close()
	x := &comparing{Compare: c, ctx: ctx, pipeline: s.Pipeline, references: kept}
	x.set, err = eval.NewSet(evaluator, eval.SetOptions{
		Trained: aspectsOf(config), Next: s.setPair, Faulty: c.Pictures, Most: c.Pictures * mostPerFaulty, Threshold: faultThreshold,
		Progress: func(faulty, _ int) error { return x.progress("base model, faulty images", faulty, c.Pictures) },
	})
	if err != nil {
		return nil, err
	}
	return x.all(config)
}

// references is the run's folder of them, or a passing one where that cannot be written.
func (c Compare) references() (dir string, drop func(), err error) {
	dir = filepath.Join(c.Run.Dir, run.References)
	if c.Run.Sound() == nil && os.MkdirAll(dir, 0o755) == nil {
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

// fits checks that the other run starts from the same images.
func (c Compare) fits(config core.Config) error {
	if c.Against == nil {
		return nil
	}
	other, err := c.Against.Config()
	if err != nil {
		return err
	}
	ours, err := c.Run.Info()
	if err != nil {
		return err
	}
	theirs, err := c.Against.Info()
	if err != nil {
		return err
	}
	if ours.ModelHash != theirs.ModelHash || other.Sample != config.Sample {
		return fmt.Errorf("%s and %s draw with other models or samplers: their base images differ", c.Run.Name(), c.Against.Name())
	}
	return nil
}

// comparing is a comparison under way.
type comparing struct {
	Compare
	ctx        context.Context
	pipeline   *sd.Pipeline
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
func (x *comparing) all(config core.Config) (*eval.Comparison, error) {
	info, err := x.Run.Info()
	if err != nil {
		return nil, err
	}
	x.result = eval.NewComparison(x.set, tie)
	x.result.Run, x.result.Preset, x.result.Model = x.Run.Name(), info.Preset, info.Model
	if x.result.Faulty < x.Pictures && x.Warn != nil {
		x.Warn(fmt.Sprintf("%d of %d images of the base model are faulty, %d were wanted", x.result.Faulty, x.result.Pictures, x.Pictures))
	}
	if x.result.Faulty == 0 {
		return nil, fmt.Errorf("none of %d images of the base model has a fault: nothing to compare", x.result.Pictures)
	}
	if err := x.add(config, x.Run, x.Checkpoint); err != nil || x.Against == nil {
		return x.result, err
	}
	if config, err = x.Against.Config(); err != nil {
		return nil, err
	}
	checkpoint, err := x.choose(*x.Against)
	if err != nil {
		return nil, err
	}
	return x.result, x.add(config, *x.Against, checkpoint)
}

// add puts one tuning into the result.
func (x *comparing) add(config core.Config, f run.Folder, c run.Checkpoint) error {
	drawn, err := x.draw(c, len(x.set.Pairs), fmt.Sprintf("%s step %d", f.Name(), c.Step))
	if err != nil {
		return err
	}
	x.result.Add(eval.Tuning{Run: f.Name(), Step: c.Step, RegionWeight: config.Region.Weight}, drawn)
	return x.result.Show(drawn, x.Shown, x.references.Place)
}

// draw draws the first n pairs of the set with a checkpoint's LoRA weights.
func (x *comparing) draw(c run.Checkpoint, n int, what string) (d eval.Drawn, err error) {
	adapters, err := x.pipeline.AttachLoRA(train.LoRAFile(c.Dir), 1)
	if err != nil {
		return d, err
	}
	for _, a := range adapters {
		defer a.Remove()
	}
	return x.set.Draw(n, func(done, of int) error { return x.progress(what, done, of) })
}

func aspectsOf(c core.Config) (names []string) {
	for _, r := range c.Reward {
		names = append(names, r.Aspect)
	}
	return names
}
