package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"focusnfix/core"
	"focusnfix/core/run"
)

var _ run.Engine = (*engine)(nil)

var errEnded = errors.New("the engine has ended")

// ask lets the work goroutine do something between two steps and waits for the result. The context that
// do gets ends with the caller's, and when the engine is told to stop.
func ask[T any](ctx context.Context, e *engine, busy string, do func(context.Context) (T, error)) (T, error) {
	type answer struct {
		result T
		err    error
	}
	given := make(chan answer, 1)
	job := func() {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		defer context.AfterFunc(e.stopping, cancel)()
		var a answer
		if a.err = cmp.Or(ctx.Err(), e.Folder.Here()); a.err == nil {
			e.busy(busy, 0, 0)
			a.result, a.err = do(ctx)
			e.busy("", 0, 0)
		}
		given <- a
	}
	var none T
	select {
	case e.queue <- job:
	case <-ctx.Done():
		return none, ctx.Err()
	case <-e.ended:
		return none, errEnded
	}
	select {
	case a := <-given:
		return a.result, a.err
	case <-ctx.Done():
		return none, ctx.Err()
	}
}

// between is called between two pieces of work: it does what is in the queue, and waits while the run is
// paused. It returns errStopped when the engine was told to stop, and run.ErrMoved or run.ErrDeleted where
// the run's folder is no longer at its path. why is the message of a pause that the engine itself wants.
func (e *engine) between(why string) error {
	for said := false; ; {
		if err := e.Folder.Here(); err != nil {
			return err
		}
		select {
		case job := <-e.queue:
			job()
			continue
		default:
		}
		if e.stopping.Err() != nil {
			return errStopped
		}
		e.mutex.Lock()
		paused := e.paused
		e.mutex.Unlock()
		switch {
		case !paused && said:
			return e.leaveFull(e.setState(run.Running, ""))
		case !paused:
			return nil
		case !said:
			said = true
			if err := e.leaveFull(e.setState(run.Paused, why)); err != nil {
				return err
			}
		}
		hold := time.NewTimer(holdEvery)
		asked := e.waitFor(hold.C)
		hold.Stop()
		if !asked {
			if err := e.trainer.Hold(); err != nil {
				return err
			}
		}
	}
}

// leaveFull forgets an error of a full disk: the state is told over the socket.
func (e *engine) leaveFull(err error) error {
	if diskFull(err) {
		return nil
	}
	return err
}

// waitFor returns when something happened: a job was done, a wish changed, or the timer is over, which
// makes it false.
func (e *engine) waitFor(timer <-chan time.Time) bool {
	select {
	case job := <-e.queue:
		job()
	case <-e.wake:
	case <-e.stopping.Done():
	case <-timer:
		return false
	}
	return true
}

// serve answers without training until it is told to stop, is asked nothing for long, or is told to continue
// with the training, which is true.
func (e *engine) serve() (goOn bool, err error) {
	e.mutex.Lock()
	e.paused = true
	e.mutex.Unlock()
	for {
		idle := time.NewTimer(e.IdleTime)
		asked := e.waitFor(idle.C)
		idle.Stop()
		e.mutex.Lock()
		paused := e.paused
		e.mutex.Unlock()
		switch {
		case e.stopping.Err() != nil:
			return false, errStopped
		case !paused:
			return true, nil
		case !asked:
			return false, nil
		}
	}
}

// Status tells what the engine is doing.
func (e *engine) Status(context.Context) (run.Status, error) {
	e.mutex.Lock()
	defer e.mutex.Unlock()
	s := e.status
	s.State, s.Message = e.info.State, e.info.Message
	if e.device != nil {
		s.GPUs = e.device.now()
	}
	return s, nil
}

// Pause lets the step under way finish and waits then.
func (e *engine) Pause(context.Context) error { return e.want("pause", true) }

// Resume continues; an engine that only serves begins to train.
func (e *engine) Resume(context.Context) error {
	e.mutex.Lock()
	step, steps, dir := e.status.Step, e.status.Steps, e.Folder.Dir
	e.mutex.Unlock()
	if step >= steps {
		return fmt.Errorf("training is done, all %d steps of it; train --resume %s --steps %d continues", steps, dir, 2*steps)
	}
	return e.want("resume", false)
}

// want notes a wish that the work goroutine sees between two steps.
func (e *engine) want(command string, paused bool) error {
	e.mutex.Lock()
	changed := e.paused != paused
	e.paused = paused
	e.mutex.Unlock()
	if !changed {
		return nil
	}
	e.nudge()
	return e.leaveFull(e.append(core.Event{Kind: "control", Control: &core.Control{Key: command}}))
}

func (e *engine) nudge() {
	select {
	case e.wake <- struct{}{}:
	default: // one is enough
	}
}

// Stop ends the work with a checkpoint.
func (e *engine) Stop(context.Context) error {
	if e.stopping.Err() != nil {
		return nil
	}
	e.stop()
	return e.leaveFull(e.append(core.Event{Kind: "control", Control: &core.Control{Key: "stop"}}))
}

// Checkpoint writes one now.
func (e *engine) Checkpoint(ctx context.Context) (string, error) {
	return ask(ctx, e, "checkpoint", func(context.Context) (string, error) {
		if err := e.append(core.Event{Kind: "control", Control: &core.Control{Key: "checkpoint"}}); err != nil {
			return "", err
		}
		return e.writeCheckpoint(nil)
	})
}

// Set changes a setting from the next step on. It is written to a checkpoint and config.toml, so that a
// run that is resumed continues as this one does.
func (e *engine) Set(ctx context.Context, key, value string) error {
	_, err := ask(ctx, e, "", func(context.Context) (struct{}, error) { return struct{}{}, e.set(key, value) })
	return err
}

func (e *engine) set(key, value string) error {
	c := &e.session.Config
	before, ok := settable(c)[key]
	if !ok {
		return fmt.Errorf("%s cannot be changed while training, only train.learning_rate, region.weight and weight, threshold and dilate of reward.ASPECT", key)
	}
	changed, err := e.Folder.Config() // a copy that shares nothing with c
	if err != nil {
		return err
	}
	if err := errors.Join(changed.Set(key, value), changed.Validate()); err != nil {
		return errors.New(oneLine(err))
	}
	if _, err := e.writeCheckpoint(nil); err != nil {
		return err
	}
	if err := e.Folder.SetConfig(changed); err != nil {
		return err
	}
	e.session.Config = changed
	e.trainer.LearningRate = changed.Train.LearningRate
	e.trainer.SetRegionWeight(changed.Region.Weight)
	for _, r := range changed.Reward {
		e.trainer.SetRewardWeight(r.Aspect, r.Weight)
		e.trainer.SetMaskRule(r.Aspect, r.Threshold, r.Dilate)
	}
	return e.append(core.Event{Kind: "control", Control: &core.Control{Key: key, From: before, To: settable(&changed)[key]}})
}

// ReloadMasks takes the masks that people have changed in the references' folders, from the next step on.
func (e *engine) ReloadMasks(ctx context.Context) error {
	_, err := ask(ctx, e, "", func(context.Context) (struct{}, error) {
		e.trainer.References.Forget()
		return struct{}{}, e.append(core.Event{Kind: "control", Control: &core.Control{Key: "masks"}})
	})
	return err
}

// settable are the settings that Set changes, with their values as text.
func settable(c *core.Config) map[string]string {
	values := map[string]string{}
	for _, k := range c.Keys() {
		last := k.Name[strings.LastIndexByte(k.Name, '.')+1:]
		ofReward := strings.HasPrefix(k.Name, "reward.") && slices.Contains([]string{"weight", "threshold", "dilate"}, last)
		if k.Name == "train.learning_rate" || k.Name == "region.weight" || ofReward {
			values[k.Name] = fmt.Sprint(k.Value)
		}
	}
	return values
}
