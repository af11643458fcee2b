package engine

import (
	"errors"
	"fmt"
	"slices"

	"focusnfix/core"
	"focusnfix/core/eval"
	"focusnfix/core/run"
	"focusnfix/core/train"
)

// maxSkipped is how many steps in a row may have no usable loss before the run ends.
const maxSkipped = 10

// train walks the steps that are left. Whatever ends it early, a checkpoint of now is written if the
// weights are sound.
func (e *engine) train() error {
	e.mutex.Lock()
	e.began, e.info.Engine.Idle = true, false
	e.mutex.Unlock()
	err := e.steps()
	if here := e.Folder.Here(); here != nil { // perhaps the reason of err
		return e.afterMove(here)
	}
	if errors.Is(err, errStopped) {
		return e.lastCheckpoint()
	}
	if errors.Is(err, train.ErrGroup) {
		return e.afterParting(err)
	}
	return explain(err, e.session.Config)
}

func (e *engine) steps() error {
	if err := e.leaveFull(e.setState(run.Running, "")); err != nil {
		return err
	}
	if e.TensorBoard || e.Folder.HasTensorBoard() {
		if err := e.persist("TensorBoard's file", e.openBoard); err != nil {
			return err
		}
	}
	if e.written < 0 { // something to go back to, whatever comes
		if err := e.persist("a checkpoint", func() error { _, err := e.writeCheckpoint(&verdict{Good: true}); return err }); err != nil {
			return err
		}
	}
	if err := e.firstImages(); err != nil {
		return err
	}
	for e.trainer.Done() < e.session.Options.Steps {
		if err := e.between(""); err != nil {
			return err
		}
		if err := e.oneStep(); err != nil {
			return err
		}
	}
	return nil
}

func (e *engine) openBoard() (err error) {
	e.board, err = e.Folder.NewTensorBoard(e.trainer.Done())
	return err
}

// lastCheckpoint keeps what was reached when the work was ended. The steps since the checkpoint before are
// lost where there is no room.
func (e *engine) lastCheckpoint() error {
	if e.written == e.trainer.Done() || e.trainer.SkippedInARow() > 0 {
		return errStopped
	}
	if _, err := e.writeCheckpoint(nil); err != nil {
		return fmt.Errorf("%w without a checkpoint of step %d: %w; resume continues from step %d", errStopped, e.trainer.Done(), err, e.written)
	}
	return errStopped
}

// afterMove ends the work on a folder that is no longer at its path: with a checkpoint where the folder is
// now, if the system tells.
func (e *engine) afterMove(err error) error {
	if errors.Is(err, run.ErrDeleted) {
		return fmt.Errorf("%w: %s; ended at step %d, nothing of it is left", err, e.Folder.Dir, e.trainer.Done())
	}
	now, found := e.Folder.Now()
	if !found {
		return fmt.Errorf("%w: %s is no longer that of this run; resume continues from step %d where it is now", err, e.Folder.Dir, e.written)
	}
	e.mutex.Lock()
	was := e.Folder.Dir
	e.Folder = now
	e.mutex.Unlock()
	if stopped := e.lastCheckpoint(); stopped != errStopped { //nolint:errorlint // with nothing to say about it
		err = errors.Join(err, stopped)
	}
	return fmt.Errorf("%w: %s is now %s; focusnfix train --resume %s resumes it", err, was, now.Dir, now.Dir)
}

// oneStep makes the references that a step needs, trains, and does what is due after it.
func (e *engine) oneStep() error {
	if err := e.trainer.Plan(e.prepare); err != nil {
		return err
	}
	if err := e.prepare(e.trainer.Next()); err != nil {
		return err
	}
	e.mutex.Lock()
	e.info.Message = "" // what was said of references
	e.mutex.Unlock()
	e.busy("step", 0, 0)
	var r train.StepResult
	err := e.persist("references", func() (err error) { r, err = e.trainer.Step(); return err })
	e.busy("", 0, 0)
	if err != nil {
		return err
	}
	e.mutex.Lock()
	e.status.Step = r.Step
	e.mutex.Unlock()
	if err := e.record(r); err != nil {
		return err
	}
	c, last := e.session.Config.Train, r.Step == e.session.Options.Steps
	if r.Step%c.ImagesEvery == 0 || last {
		if err := e.saveImages(); err != nil {
			return err
		}
	}
	if r.Step%c.CheckpointEvery == 0 || last {
		return e.gatedCheckpoint()
	}
	return nil
}

// prepare draws what the base model makes of pairs and finds the faults, as far as that was not done before.
func (e *engine) prepare(pairs []core.Pair) error {
	references, pool := e.trainer.References, e.trainer.PoolSize()
	missing := slices.DeleteFunc(slices.Clone(pairs), references.Has)
	if len(missing) == 0 {
		return nil
	}
	if err := e.between(""); err != nil {
		return err
	}
	e.drawn = min(e.drawn+len(missing), pool)
	e.busy("reference", e.drawn, pool)
	defer e.busy("", 0, 0)
	if err := e.say(fmt.Sprintf("drawing base images: %d of %d", e.drawn, pool)); err != nil {
		return err
	}
	if err := e.persist("references", func() error { return references.Prepare(missing) }); err != nil {
		return err
	}
	limit := e.session.Config.Region.MaxCoverage
	for _, p := range missing {
		_, mask, err := references.Place(p)
		if err != nil {
			return err
		}
		coverage := mask.Coverage()
		if coverage <= limit || e.alarming[p] {
			continue
		}
		e.alarming[p] = true
		alarm := core.Alarm{Name: "coverage", Subject: fmt.Sprintf("%s, seed %d", p.Prompt, p.Seed), Value: coverage, Limit: limit, Action: "warn"}
		if err := e.event(core.Event{Kind: "alarm", Alarm: &alarm}); err != nil {
			return err
		}
	}
	return nil
}

// record writes what a step measured, and ends the run where it has had no usable loss for long.
func (e *engine) record(r train.StepResult) error {
	t := e.measured(r)
	if err := e.event(core.Event{Kind: "step", Train: t}); err != nil {
		return err
	}
	if gpus := e.device.reading(); gpus != nil {
		if err := e.event(core.Event{Kind: "device", GPUs: gpus}); err != nil {
			return err
		}
	}
	if e.board != nil {
		if err := e.persist("TensorBoard's file", func() error { return e.board.Add(r.Step, scalars(t)) }); err != nil {
			return err
		}
	}
	if !r.Skipped || r.Overflow && e.trainer.SkippedInARow() < maxSkipped { // a smaller loss scale mends that
		return nil
	}
	inARow := e.trainer.SkippedInARow()
	alarm := core.Alarm{Name: "not a number", Value: float64(inARow), Limit: maxSkipped, Action: "skip"}
	if inARow >= maxSkipped {
		alarm.Action = "stop"
	}
	err := e.event(core.Event{Kind: "alarm", Alarm: &alarm})
	if err == nil && inARow >= maxSkipped {
		return fmt.Errorf("loss or gradient was not a number in %d steps in a row; the last good checkpoint is of step %d; lower train.learning_rate, or set model.dtype to bfloat16 if it is float16", inARow, e.written)
	}
	return err
}

// measured is a step as events have it.
func (e *engine) measured(r train.StepResult) *core.TrainStep {
	m := r.Measured
	t := &core.TrainStep{
		Loss: m.Loss, Region: mean(m.Region), Coverage: mean(r.Coverage), OutsidePSNR: mean(m.Outside), InsidePSNR: unknown,
		GradNorm: r.GradNorm, LearningRate: r.LearningRate, LossScale: unknown, Skipped: r.Skipped,
		SampleSeconds: m.Seconds.Sample, DecodeSeconds: m.Seconds.Decode, RewardSeconds: m.Seconds.Reward,
		BackwardSeconds: m.Seconds.Backward, StepSeconds: m.Seconds.Step,
	}
	var inside []float64
	for i, covered := range r.Coverage {
		if covered > 0 {
			inside = append(inside, m.Inside[i])
		}
	}
	t.InsidePSNR = mean(inside)
	if r.LossScale > 1 {
		t.LossScale = r.LossScale
	}
	t.MemoryMiB, t.DeviceUse = e.device.read()
	for _, a := range e.session.Config.Reward {
		score := core.AspectScore{
			Aspect: a.Aspect, Reward: mean(m.Rewards[a.Aspect]), Fixed: unknown, Faulty: unknown,
		}
		own, heldOut := r.Verdicts[eval.Role{Aspect: a.Aspect}], r.Verdicts[eval.Role{Aspect: a.Aspect, HeldOut: true}]
		score.Base, _ = meanScores(own)
		score.BaseHeldOut, score.HeldOut = meanScores(heldOut)
		score.BaseFault, score.Fault = meanProbabilities(own)
		score.BaseHeldOutFault, score.HeldOutFault = meanProbabilities(heldOut)
		t.Aspects = append(t.Aspects, score)
		t.Reward += a.Weight * score.Reward
	}
	return t
}

// scalars are a step's numbers by the tags that TensorBoard shows.
func scalars(t *core.TrainStep) map[string]float64 {
	all := map[string]float64{}
	t.Numbers(func(m core.Metric, name string, v float64) { all[m.Tag(name)] = v })
	return all
}

// mean of no values is unknown.
func mean(values []float64) float64 {
	sum := 0.0
	for _, v := range values {
		sum += v
	}
	return sum / float64(len(values))
}

// meanScores are the mean scores of base and tuned images by one judge; unknown where it said nothing.
func meanScores(verdicts []eval.Verdict) (base, tuned float64) {
	for _, v := range verdicts {
		base, tuned = base+v.Base, tuned+v.Tuned
	}
	n := float64(len(verdicts))
	return base / n, tuned / n
}

// meanProbabilities are how probable one judge finds a fault in base and in tuned images, on average; unknown where
// it said nothing, or where its score is no probability.
func meanProbabilities(verdicts []eval.Verdict) (base, tuned float64) {
	for _, v := range verdicts {
		base, tuned = base+v.BaseProbability, tuned+v.TunedProbability
	}
	n := float64(len(verdicts))
	return base / n, tuned / n
}
