package engine

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"syscall"

	"focusnfix/core"
	"focusnfix/core/run"
)

// errStopped says that a person ended the work.
var errStopped = errors.New("stopped")

// diskFull reports whether a write failed for lack of space.
func diskFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

// persist does something that writes to the disk. Where that is full, the run pauses until a person made
// room and lets it continue, and tries again. Only the work goroutine calls it.
func (e *engine) persist(what string, write func() error) error {
	for {
		err := write()
		if err == nil || !diskFull(err) || e.stopping.Err() != nil {
			return err
		}
		e.mutex.Lock()
		e.paused = true
		e.mutex.Unlock()
		if err := e.between(fmt.Sprintf("the disk is full: no room for %s; make room and resume", what)); err != nil {
			return err
		}
	}
}

// event appends to the run's events, with the step of now.
func (e *engine) event(v core.Event) error {
	return e.persist("an event", func() error { return e.append(v) })
}

// append is event for any goroutine: a full disk is an error.
func (e *engine) append(v core.Event) error {
	if v.Step == 0 {
		v.Step = e.step()
	}
	if err := e.log.Append(v); err != nil {
		return err
	}
	if e.OnEvent != nil {
		e.OnEvent(v)
	}
	return nil
}

// step is that of now, as others see it.
func (e *engine) step() int {
	e.mutex.Lock()
	defer e.mutex.Unlock()
	return e.status.Step
}

// setState writes the run's state, with a message for people, to run.json and the events.
func (e *engine) setState(state, message string) error {
	e.mutex.Lock()
	e.info.State, e.info.Message, e.info.Step = state, message, e.status.Step
	info := e.info
	e.mutex.Unlock()
	err := e.Folder.SetInfo(info)
	return errors.Join(err, e.append(core.Event{Kind: "state", State: state, Message: message}))
}

// say tells how far a longer piece of work is, while the state stays.
func (e *engine) say(message string) error {
	e.mutex.Lock()
	e.info.Message = message
	state := e.info.State
	e.mutex.Unlock()
	return e.event(core.Event{Kind: "state", State: state, Message: message})
}

// busy tells Status what is being done.
func (e *engine) busy(what string, done, of int) {
	e.mutex.Lock()
	defer e.mutex.Unlock()
	e.status.Busy, e.status.Done, e.status.Of, e.status.Preview, e.status.Frame = what, done, of, "", nil
}

// lastState says in the events how the work ended, and leaves info as run.json is to have it. Serving
// leaves the run's state as it was.
func (e *engine) lastState(err error) error {
	e.mutex.Lock()
	defer e.mutex.Unlock()
	e.info.Engine.Socket = ""
	if e.Idle && !e.began {
		return nil
	}
	var closed *gateClosed
	e.info.State, e.info.Message, e.info.Step = run.Done, "", e.status.Step
	switch {
	case err == nil:
	case err == errStopped: //nolint:errorlint // with nothing to say about it
		e.info.State = run.Stopped
	case errors.Is(err, errStopped), errors.Is(err, run.ErrMoved), errors.As(err, &closed):
		e.info.State, e.info.Message = run.Stopped, oneLine(err)
	default:
		e.info.State, e.info.Message = run.Failed, oneLine(err)
	}
	last := core.Event{Kind: "state", Step: e.info.Step, State: e.info.State, Message: e.info.Message}
	if err := e.log.Append(last); err != nil {
		return err
	}
	if e.OnEvent != nil {
		e.OnEvent(last)
	}
	return nil
}

// oneLine joins the lines of an error.
func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }

// references is the folder of the run's references.
func (e *engine) references() string { return filepath.Join(e.Folder.Dir, run.References) }

// fromFolder is a path as events have it.
func (e *engine) fromFolder(path string) string {
	name, err := filepath.Rel(e.Folder.Dir, path)
	if err != nil {
		return path
	}
	return filepath.ToSlash(name)
}
