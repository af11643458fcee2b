package tui

import (
	"context"
	"fmt"
	"time"

	tea "charm.land/bubbletea/v2"

	"focusnfix/core"
	"focusnfix/core/run"
	"focusnfix/tui/feed"
)

// What the screen reads of a run's files besides events and images, and what it changes, of runs that are here and of
// those on other machines.

// broughtMsg tells that small files of a run on another machine are here as they are there.
type broughtMsg struct {
	run *feed.Run
	err error
}

const (
	bringTime = 5 * time.Minute // for a folder of small files, over a slow link
	applyTime = 30 * time.Second
)

// bring brings the small files of a folder of the run up to date where the run is on another machine; nil does nothing.
func (s *shared) bring(part string) tea.Cmd {
	bring, of := s.options.Bring, s.run
	if bring == nil || of == nil {
		return nil
	}
	return func() tea.Msg {
		ctx, cancel := context.WithTimeout(context.Background(), bringTime)
		defer cancel()
		err := bring(ctx, of.Folder, part)
		if err != nil {
			err = fmt.Errorf("%s may be out of date: %w", part, err)
		}
		return broughtMsg{of, err}
	}
}

// fetchFile sees to a file of a run that may be on another machine. It is for commands.
func (s *shared) fetchFile(f run.Folder, name string) error {
	if s.options.Fetch == nil {
		return nil
	}
	_, err := s.options.Fetch(f, name, 0)
	return err
}

// apply makes a change where the run is. It is for commands.
func (s *shared) apply(f run.Folder, e run.Edit) error {
	if s.options.Apply == nil {
		return f.Apply(e)
	}
	ctx, cancel := context.WithTimeout(context.Background(), applyTime)
	defer cancel()
	return s.options.Apply(ctx, f, e)
}

// setMask changes the mask of a reference, nil to the heatmap's own, and tells the run's engine, if there is one. It is
// for commands.
func (s *shared) setMask(f run.Folder, reference string, m *core.Mask) error {
	change, err := run.EditMask(reference, m)
	if err == nil {
		err = s.apply(f, change)
	}
	if err != nil {
		return err
	}
	c, err := f.Dial()
	if err != nil {
		return nil //nolint:nilerr // an engine that starts reads the file
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return c.ReloadMasks(ctx)
}
