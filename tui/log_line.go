package tui

import (
	"fmt"

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

// logText is what an event says, and its style.
func (s *shared) logText(e *core.Event) (string, lipgloss.Style) {
	st, text := s.styles, eventText(e)
	switch {
	case e.Kind == "state" && e.Message != "" && e.State == run.Running:
		return text, st.faintText
	case e.Kind == "state":
		return text, st.state(e.State)
	case e.Alarm != nil:
		return "▲ " + text, st.warnText
	case e.Control != nil:
		return text, st.accentText
	case e.Kind == "checkpoint", e.Evaluation != nil, e.Prompt != nil:
		return text, st.text
	}
	return text, st.faintText
}
