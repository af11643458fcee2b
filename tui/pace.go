package tui

import (
	"reflect"
	"time"

	tea "charm.land/bubbletea/v2"
)

// bubbletea draws at fixed times, whatever happens between them: a key would wait for the next of framesPerSecond. For a
// moment after a key it looks for a new frame each half millisecond instead, and draws it at once. A look at a frame
// that has not changed costs a microsecond.

const (
	framesPerSecond = 30
	quickLook       = time.Millisecond / 2
	quickTime       = 100 * time.Millisecond // after a key: by then its frame is there, on a busy machine too
)

// pace is how often a program looks whether its frame has changed.
type pace struct {
	program *tea.Program
	back    *time.Timer // ends the moment after a key
}

// hurry begins that moment.
func (p *pace) hurry() {
	ticker := frameTicker(p.program)
	if ticker == nil {
		return
	}
	ticker.Reset(quickLook)
	if p.back == nil {
		p.back = time.AfterFunc(quickTime, func() { ticker.Reset(time.Second / framesPerSecond) })
		return
	}
	p.back.Reset(quickTime)
}

// frameTicker is the ticker by which a program that runs draws, or nil. bubbletea (2.1) has no name for it outside; where
// it has another one some day, keys wait for the next frame again, and TestKeysDoNotWait fails.
func frameTicker(p *tea.Program) *time.Ticker {
	if p == nil {
		return nil
	}
	field := reflect.ValueOf(p).Elem().FieldByName("ticker")
	if !field.IsValid() || field.Type() != reflect.TypeFor[*time.Ticker]() {
		return nil
	}
	return (*time.Ticker)(field.UnsafePointer())
}
