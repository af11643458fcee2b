package tui

import (
	"context"
	"fmt"
	"slices"

	tea "charm.land/bubbletea/v2"

	"focusnfix/core/run"
	"focusnfix/core/words"
	"focusnfix/tui/feed"
	"focusnfix/tui/widget"
)

// controlKeys are the commands to the run's engine. The footer has those that do something in the run's state.
func (p *dashboardPane) controlKeys() []binding {
	fits := func(state string, b binding) binding {
		if p.s.run == nil {
			return b
		}
		lives, done := isLive(p.s.run.State), p.s.run.State == run.Done
		if lives && state == "lives" || !lives && state == "over" || !lives && !done && state == "ended" {
			return b
		}
		return here(b.meaning, "", b.help, b.do)
	}
	return []binding{
		fits("lives", on(keyPause, p.s.pause)),
		fits("lives", on(keyCheckpoint, p.s.checkpoint)),
		fits("lives", here(keyEdit, "set", "Change the learning rate or a weight while it trains", p.s.chooseSetting)),
		fits("ended", on(keyResume, p.s.resume)),
		fits("lives", on(keyStop, p.s.stop)),
		fits("over", on(keyMeasure, func() tea.Cmd { return p.measure(false) })),
		fits("over", on(keyExport, p.export)),
	}
}

// isLive reports whether a run in that state trains, or will go on without another engine.
func isLive(state string) bool { return state == run.Running || state == run.Paused }

// command sends a short command to the engine and says in the footer how it went.
func (s *shared) command(done string, f func(ctx context.Context, c *run.Client) error) tea.Cmd {
	return s.engine(func(ctx context.Context, c *run.Client) tea.Msg {
		if err := f(ctx, c); err != nil {
			return failure(err)
		}
		return noticeMsg{text: done}
	})
}

// pause pauses a run or resumes it.
func (s *shared) pause() tea.Cmd {
	if s.run != nil && s.run.State == run.Done {
		return s.say("nothing to pause: the run is done")
	}
	if s.run != nil && s.run.State == run.Paused {
		return tea.Batch(s.say("resuming"), s.command("resumed", func(ctx context.Context, c *run.Client) error { return c.Resume(ctx) }))
	}
	return tea.Batch(s.say("pausing after this step"), s.command("paused; p resumes", func(ctx context.Context, c *run.Client) error { return c.Pause(ctx) }))
}

func (s *shared) checkpoint() tea.Cmd {
	return tea.Batch(s.say("saving a checkpoint after this step"), s.engine(func(ctx context.Context, c *run.Client) tea.Msg {
		path, err := c.Checkpoint(ctx)
		if err != nil {
			return failure(err)
		}
		return noticeMsg{text: "saved " + path}
	}))
}

// stop asks and then stops.
func (s *shared) stop() tea.Cmd {
	if s.run == nil {
		return nil
	}
	if !isLive(s.run.State) {
		return s.say("nothing to stop: the run is %s", words.State(s.run.State))
	}
	yes := func() tea.Cmd {
		return s.command("told to stop; r resumes it later", func(ctx context.Context, c *run.Client) error { return c.Stop(ctx) })
	}
	return s.ask("Stop the run?", yes, s.run.Folder.Name(), "It finishes the step and writes a checkpoint.", "It can be resumed from there later.")
}

// resume starts an engine for a run that has none.
func (s *shared) resume() tea.Cmd {
	if s.run == nil {
		return nil
	}
	return s.resumeRun(s.run.Folder, s.run.State)
}

func (s *shared) resumeRun(f run.Folder, state string) tea.Cmd {
	switch {
	case isLive(state):
		return s.say("the run is %s", state)
	case state == run.Done:
		return s.say("the run is done; 4 tries prompts on it")
	case s.options.Resume == nil:
		return s.fail(fmt.Errorf("this screen cannot start engines"))
	}
	resume := s.options.Resume
	return tea.Batch(s.say("%s: starting an engine", f.Name()), func() tea.Msg {
		if err := resume(context.Background(), f); err != nil {
			return failure(err)
		}
		return noticeMsg{text: f.Name() + ": engine running"}
	})
}

// chooseSetting lists what can be changed while the run trains.
func (s *shared) chooseSetting() tea.Cmd {
	if s.run == nil || !s.run.HasConfig {
		return s.fail(fmt.Errorf("the run's configuration cannot be read"))
	}
	var items []menuItem
	for _, key := range feed.Adjustable(s.run.Config) {
		items = append(items, menuItem{key, s.run.Current(key), func() tea.Cmd { return s.askSetting(key) }})
	}
	return s.openDialog(newMenu(s, "Change a setting", items))
}

// askSetting asks for a setting's new value, checks it as a configuration would, and sends it.
func (s *shared) askSetting(key string) tea.Cmd {
	o := s.run
	var doc []string
	for _, k := range o.Config.Keys() {
		if k.Name == key {
			doc = widget.Wrap(k.Doc, 60, 3)
			if k.Max > k.Min {
				doc = append(doc, fmt.Sprintf("%v to %v", k.Min, k.Max))
			}
		}
	}
	done := func(text string) (tea.Cmd, error) {
		c := o.Config
		c.Reward = slices.Clone(c.Reward)
		if err := c.Set(key, text); err != nil {
			return nil, err
		}
		if err := c.Validate(); err != nil {
			return nil, err
		}
		return s.command(fmt.Sprintf("%s is %s", key, text), func(ctx context.Context, e *run.Client) error { return e.Set(ctx, key, text) }), nil
	}
	return s.askValue(key, o.Current(key), done, doc...)
}
