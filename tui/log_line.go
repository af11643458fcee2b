package tui

import (
	"fmt"

	"charm.land/lipgloss/v2"

	"focusnfix/core"
	"focusnfix/core/run"
	"focusnfix/core/words"
	"focusnfix/tui/picture"
	"focusnfix/tui/widget"
)

// logLine is one event as a line of the log.
func (s *shared) logLine(e *core.Event, w int) string {
	text, style := s.logText(e)
	head := fmt.Sprintf(" %s  %6d  ", e.Time.Local().Format("15:04:05"), e.Step)
	return widget.FitLine(s.styles.FaintText.Render(head)+style.Render(widget.FitLine(text, max(w-picture.Width(head), 1))), w)
}

// logText is what an event says, and its style.
func (s *shared) logText(e *core.Event) (string, lipgloss.Style) {
	st, text := s.styles, words.Event(e)
	switch {
	case e.Kind == "state" && e.Message != "" && e.State == run.Running:
		return text, st.FaintText
	case e.Kind == "state":
		return text, st.State(e.State)
	case e.Alarm != nil:
		return "▲ " + text, st.WarnText
	case e.Control != nil:
		return text, st.AccentText
	case e.Kind == "checkpoint", e.Evaluation != nil, e.Prompt != nil:
		return text, st.Text
	}
	return text, st.FaintText
}
