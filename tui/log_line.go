package tui

import (
	"fmt"
	"strings"

	"charm.land/lipgloss/v2"

	"focusnfix/core"
	"focusnfix/core/run"
)

// logLine is one event as a line of the log.
func (s *shared) logLine(e *core.Event, w int) string {
	text, style := s.logText(e)
	head := fmt.Sprintf(" %s  %6d  ", e.Time.Local().Format("15:04:05"), e.Step)
	return fitLine(s.styles.faintText.Render(head)+style.Render(fitLine(text, max(w-lipgloss.Width(head), 1))), w)
}

// logText is what an event says.
func (s *shared) logText(e *core.Event) (string, lipgloss.Style) {
	st := s.styles
	switch {
	case e.Kind == "state":
		switch {
		case e.Message != "" && e.State == run.Running:
			return e.Message, st.faintText
		case e.Message != "":
			return stateName(e.State) + ": " + e.Message, st.state(e.State)
		}
		return stateName(e.State), st.state(e.State)
	case e.Alarm != nil:
		return "▲ " + alarmText(e), st.warnText
	case e.Control != nil:
		return controlText(e.Control), st.accentText
	case e.Kind == "checkpoint":
		return "kept " + e.Path, st.text
	case e.Evaluation != nil:
		return evaluationText(e.Evaluation), st.text
	case e.Prompt != nil && e.Prompt.Fix:
		return fmt.Sprintf("repaired %q, seed %d: %s", e.Prompt.Prompt, e.Prompt.Seed, scores(e.Prompt.Aspects)), st.text
	case e.Prompt != nil:
		return fmt.Sprintf("drew %q, seed %d: %s", e.Prompt.Prompt, e.Prompt.Seed, scores(e.Prompt.Aspects)), st.text
	}
	return strings.TrimSpace(e.Kind + " " + e.Message), st.faintText
}

func controlText(c *core.Control) string {
	switch {
	case c.To != "" && c.From != "":
		return fmt.Sprintf("%s: %s → %s", c.Key, c.From, c.To)
	case c.To != "":
		return fmt.Sprintf("%s: %s", c.Key, c.To)
	}
	return "told to " + c.Key
}

// alarmText is what was found, what the limit is, and what was done about it.
func alarmText(e *core.Event) string {
	a := e.Alarm
	text := e.Message
	if text == "" {
		text = strings.TrimSpace(a.Name + " " + aspectName(a.Subject))
		if a.Value == a.Value {
			text += " " + number(a.Value, 3)
		}
		if a.Limit == a.Limit {
			text += ", limit " + number(a.Limit, 3)
		}
	}
	switch a.Action {
	case run.Stopped, "stop":
		text += "; the run was stopped"
	case "rollback":
		text += "; it went back to the last good checkpoint"
	case "skip":
		text += "; the step was left out"
	}
	return text
}

func evaluationText(v *core.Evaluation) string {
	text := fmt.Sprintf("held out, %s: ", plural(v.Pictures, "picture"))
	var parts []string
	for _, a := range v.Aspects {
		value := a.HeldOut
		if value != value {
			value = a.Reward
		}
		part := aspectName(a.Aspect) + " " + number(value, 3)
		if a.Fixed == a.Fixed {
			part += fmt.Sprintf(" (%.0f %% fixed)", 100*a.Fixed)
		}
		parts = append(parts, part)
	}
	return text + strings.Join(parts, ", ")
}

// scores are each aspect's reward before and after.
func scores(aspects []core.AspectScore) string {
	var parts []string
	for _, a := range aspects {
		parts = append(parts, fmt.Sprintf("%s %s → %s", aspectName(a.Aspect), number(a.Base, 2), number(a.Reward, 2)))
	}
	return strings.Join(parts, ", ")
}
