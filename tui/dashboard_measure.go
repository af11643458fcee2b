package tui

import (
	"context"
	"errors"
	"fmt"

	tea "charm.land/bubbletea/v2"

	"focusnfix/core"
	"focusnfix/core/run"
	"focusnfix/core/words"
)

const dashboardPaneName = "dashboard"

// measure has the run's engine evaluate held-out prompts, with an engine that is started first if wake is true. The
// header shows how far it is, esc cancels it, and the log, the table and the curves get the result.
func (p *dashboardPane) measure(wake bool) tea.Cmd {
	switch {
	case p.s.run == nil:
		return p.s.fail(errors.New("no run is open; 1 lists the runs"))
	case p.job != nil:
		return p.s.say("an evaluation is under way; esc cancels it")
	}
	var cmd tea.Cmd
	p.job, cmd = p.s.begin(dashboardPaneName, wake, func(ctx context.Context, c *run.Client) (core.Event, error) {
		found, err := c.Evaluate(ctx, run.EvaluateRequest{})
		return core.Event{Kind: "evaluation", Evaluation: &found}, err
	})
	return cmd
}

// measured takes what an evaluation brings, and while it is under way, how far it is.
func (p *dashboardPane) measured(msg tea.Msg) tea.Cmd {
	switch msg := msg.(type) {
	case jobStatusMsg:
		if p.job != nil && msg.job == p.job {
			return p.job.take(msg)
		}
	case jobMsg:
		if p.job == nil || msg.job != p.job {
			return nil
		}
		p.job = nil
		if errors.Is(msg.err, context.Canceled) {
			return p.s.say("evaluation canceled")
		}
		if cmd, ok := p.s.offerWake(msg.err, func() tea.Cmd { return p.measure(true) }); ok {
			return cmd
		}
		if msg.err != nil {
			return p.s.fail(fmt.Errorf("not evaluated: %w", msg.err))
		}
		return p.s.say("%s", words.Evaluation(msg.result.Evaluation))
	}
	return nil
}

// export offers the formats of the run's LoRA file.
func (p *dashboardPane) export() tea.Cmd {
	o := p.s.run
	switch {
	case o == nil:
		return p.s.fail(errors.New("no run is open; 1 lists the runs"))
	case o.Info.Far != nil:
		host, name := o.Info.Far.Host, o.Folder.Name()
		return p.s.fail(fmt.Errorf("the weights are on %s: ssh %s focusnfix export %s -o %s.safetensors", host, host, name, name))
	case p.s.options.Export == nil:
		return p.s.fail(errors.New("this screen cannot export"))
	}
	write := func(format string) func() tea.Cmd {
		return func() tea.Cmd {
			export, folder := p.s.options.Export, o.Folder
			return tea.Batch(p.s.say("exporting the newest checkpoint"), func() tea.Msg {
				return saved(export(context.Background(), folder, format))
			})
		}
	}
	return p.s.openDialog(newMenu(p.s, "Export the LoRA of the newest checkpoint", []menuItem{
		{"diffusers", "safetensors, names of diffusers and PEFT", write("peft")},
		{"web interfaces", "safetensors, names of kohya; ComfyUI reads them too", write("kohya")},
	}))
}
