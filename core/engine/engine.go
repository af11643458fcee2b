package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"runtime"
	"slices"
	"sync"
	"time"

	"focusnfix/core"
	"focusnfix/core/eval"
	"focusnfix/core/run"
	"focusnfix/core/train"
	"focusnfix/model/reward"
	"focusnfix/model/torch"
)

// Options say what an engine is to do.
type Options struct {
	Folder  run.Folder
	Version string // of the program

	Idle     bool          // serve prompts, repairs and evaluations without training
	IdleTime time.Duration // after which one that is asked nothing ends; 0 is ten minutes

	Group *torch.Group // that this process leads in training; nil is none. The others call Follow

	TensorBoard bool             // write event files for it too
	OnEvent     func(core.Event) // told of every event, if set
	Warn        func(string)     // told what is taken for granted while loading, if set
	Kinds       []reward.Kind    // further rewards
}

const defaultIdleTime = 10 * time.Minute

// Run is the engine of a run, from where its newest checkpoint is: it trains, or serves, until it is done
// or told to stop. When ctx ends it stops as by command, with a checkpoint. What it returns is also the
// message of the run's last state.
func Run(ctx context.Context, o Options) error {
	e, listener, err := begin(o)
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { _ = e.Stop(ctx) })()
	serving, quit := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- run.Serve(serving, listener, e) }()
	err = e.work()
	close(e.ended)
	if errors.Is(err, run.ErrDeleted) {
		quit()
		return errors.Join(err, <-served, e.close(), e.Folder.Release())
	}
	unwritten := e.lastState(err)
	quit()
	unwritten = errors.Join(unwritten, <-served, e.close(), e.Folder.SetInfo(e.info), e.Folder.Release()) // now another may take it
	if err == errStopped {                                                                                //nolint:errorlint // with nothing to say about it
		err = nil
	}
	return errors.Join(err, unwritten)
}

// engine does what run.Engine asks. All work with tensors happens on the goroutine of work; what other
// goroutines want of it they put in the queue.
type engine struct {
	Options
	log    *run.Log
	board  *run.TensorBoard
	device *meter

	queue    chan func()
	wake     chan struct{}   // something in desired has changed
	stopping context.Context // ends when the engine is told to stop
	stop     context.CancelFunc
	ended    chan struct{} // nothing in the queue will be done any more

	mutex  sync.Mutex
	info   run.Info   // as in run.json
	status run.Status // its State is info's
	paused bool       // is wanted

	// Only work and what it calls touch these.
	session   *Session
	trainer   *train.Trainer
	began     bool // training continues here, rather than serving alone
	written   int  // step of the newest checkpoint; -1 where there is none
	evaluator *eval.Evaluator
	gate      *eval.Evaluator    // also with the held-out judges of aspects that are not trained
	watched   []core.Pair        // images that are kept
	drawn     int                // references in the pool that are there
	alarming  map[core.Pair]bool // of images whose mask covers too much
	begun     *train.Canvas      // of the last repair, with what it depends on; nil is none
	begunAs   canvasKey
}

// begin takes the run folder: no other engine can have it then.
func begin(o Options) (*engine, net.Listener, error) {
	e := &engine{
		Options: o, queue: make(chan func()), wake: make(chan struct{}, 1), ended: make(chan struct{}),
		written: -1, alarming: map[core.Pair]bool{},
	}
	if e.IdleTime == 0 {
		e.IdleTime = defaultIdleTime
	}
	e.stopping, e.stop = context.WithCancel(context.Background())
	held, err := o.Folder.Hold()
	if err != nil {
		return nil, nil, fmt.Errorf("open run: %w", err)
	}
	e.Folder = held
	if e.info, err = held.Info(); err == nil {
		e.log, err = held.OpenLog()
	}
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("open run: %w", err), held.Release())
	}
	listener, err := e.take()
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("open run: %w", err), e.log.Close(), held.Release())
	}
	return e, listener, nil
}

// take makes this process the run's engine, for others to see.
func (e *engine) take() (net.Listener, error) {
	if err := e.Folder.Clean(); err != nil {
		return nil, err
	}
	listener, process, err := e.Folder.Listen()
	if err != nil {
		return nil, err
	}
	process.Idle = e.Idle
	e.info.Engine, e.info.Version = process, e.Version
	e.status = run.Status{Busy: "load", Steps: e.info.Steps, Step: e.info.Step, Version: e.Version}
	if !e.Idle {
		e.info.State, e.info.Message = run.Running, "loading "+e.info.Model
	}
	if err := e.Folder.SetInfo(e.info); err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	return listener, nil
}

// work loads the model and trains, or serves, until there is nothing left to do. It returns nil when the
// training is done or an idle engine was asked nothing for long, errStopped when it was told to stop.
func (e *engine) work() error {
	runtime.LockOSThread() // libtorch's threads belong to that of its caller
	defer runtime.UnlockOSThread()
	if err := e.load(); err != nil {
		return err
	}
	defer e.session.Close()
	defer e.trainer.Close()
	defer e.forgetCanvas()
	if e.Idle {
		if goOn, err := e.serve(); err != nil || !goOn {
			return err
		}
	}
	return e.train()
}

// load opens what the run's configuration names and goes to its newest checkpoint.
func (e *engine) load() (err error) {
	c, err := e.Folder.Config()
	if err != nil {
		return err
	}
	c = Resolve(c, e.info.Start)
	all, err := e.Folder.Checkpoints()
	if err != nil {
		return err
	}
	e.session, err = Open(c, Settings{References: e.references(), Warn: e.Warn, Kinds: e.Kinds})
	if err != nil {
		return explain(err, c)
	}
	e.session.Options.Watch = e.session.Judges
	var others []eval.Judge
	if err = e.sameModel(); err == nil {
		others, err = e.session.OtherJudges()
	}
	if err == nil {
		e.trainer, err = e.session.Trainer()
	}
	if err != nil {
		e.session.Close()
		return explain(err, c)
	}
	e.trainer.Join(e.Group)
	atOnce := max(c.Train.Batch, e.trainer.AtOnce())
	e.evaluator = &eval.Evaluator{Source: e.trainer.References, Judges: e.session.Judges, Batch: atOnce}
	e.gate = &eval.Evaluator{Source: e.trainer.References, Judges: slices.Concat(e.session.Judges, others), Batch: atOnce}
	if len(all) > 0 {
		newest := all[len(all)-1]
		if err := e.trainer.Load(newest.Dir); err != nil {
			e.trainer.Close()
			e.session.Close()
			return fmt.Errorf("load checkpoint: %w", err)
		}
		e.written = newest.Step
	}
	e.mutex.Lock()
	defer e.mutex.Unlock()
	e.device = newMeter(e.session.Pipeline.Device())
	e.info.Device, e.info.Libtorch, e.info.ModelHash = string(e.session.Pipeline.Device()), torch.Version(), e.session.Options.Model
	e.info.PromptsHash = e.session.PromptsHash
	e.info.Steps, e.status.Steps, e.status.Device = c.Train.Steps, c.Train.Steps, e.info.Device
	e.status.Step, e.status.Busy = e.trainer.Done(), ""
	return e.Folder.SetInfo(e.info)
}

// sameModel refuses to continue with other base weights or prompts than a run began with.
func (e *engine) sameModel() error {
	if was, now := e.info.PromptsHash, e.session.PromptsHash; was != "" && was != now {
		return fmt.Errorf("%s is not the list of prompts that this run began with: its fingerprint is %s, was %s; "+
			"train --resume with --set train.prompts=FILE takes another", e.session.Config.Train.Prompts, cmp.Or(now, "none"), was)
	}
	if was, now := e.info.ModelHash, e.session.Options.Model; was != "" && was != now {
		return fmt.Errorf("%s is not the model that this run began with: its fingerprint is %s, was %s", e.info.Model, now, was)
	}
	return nil
}

// explain says what to lower where the device had no memory left.
func explain(err error, c core.Config) error {
	var failed *torch.Error
	if !errors.As(err, &failed) || !failed.OutOfMemory() {
		return err
	}
	return fmt.Errorf("out of memory on the device: lower train.batch (%d; train.accumulate makes up for it), train.backprop_steps (%d) or sample.size: %w",
		c.Train.Batch, c.Train.BackpropSteps, err)
}

// close ends what is open beside the folder.
func (e *engine) close() error {
	var err error
	if e.board != nil {
		err = e.board.Close()
	}
	if e.device != nil {
		e.device.close()
	}
	e.stop()
	return errors.Join(err, e.log.Close())
}

// unknown is a number that was not measured.
var unknown = math.NaN()
