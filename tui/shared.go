package tui

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"

	"focusnfix/core/run"
	"focusnfix/tui/feed"
	"focusnfix/tui/picture"
	"focusnfix/tui/widget"
)

// shared is what panes see of the program; see app.go. It changes in Update only.
type shared struct {
	options  Options
	w, h     int // of the screen, in cells
	settings settings
	saver    saver
	styles   widget.Styles
	probe    *picture.Probe
	deck     *deck
	run      *feed.Run // nil: none
	marked   []*markedRun
	dialog   dialog // nil: none
	notice   notice
	dark     bool             // the terminal's background
	zen      bool             // the visible pane has the whole screen
	now      func() time.Time // for tests
}

// notice is a line for the footer.
type notice struct {
	text string
	bad  bool
	at   time.Time
}

// noticeTime is how long a notice stays; what went wrong stays longer.
const noticeTime = 6 * time.Second

func newShared(o Options, probe *picture.Probe, pics *picture.Shelf) *shared {
	s := &shared{options: o, probe: probe, deck: newDeck(pics, o.Fetch), dark: true, now: time.Now}
	var err error
	if s.settings, err = loadSettings(); err != nil {
		s.notice = notice{err.Error() + "; the defaults are used", true, s.now()}
	}
	if o.Images == "" && s.settings.Images != "auto" {
		probe.Choose(s.settings.Images)
		pics.SetTerminal(probe.Terminal())
	}
	s.styles = widget.NewStyles(s.settings.isDark(true))
	return s
}

// close ends what runs in the background.
func (s *shared) close() {
	if s.run != nil {
		s.run.Close()
	}
}

// setTerminal makes the images that come next for another terminal.
func (s *shared) setTerminal(t picture.Terminal) {
	s.deck.shelf.SetTerminal(t)
	s.deck.generation++
}

// setBackground chooses the colors.
func (s *shared) setBackground(dark bool) {
	s.dark = dark
	s.styles = widget.NewStyles(s.settings.isDark(dark))
}

// say puts a line into the footer.
func (s *shared) say(format string, args ...any) tea.Cmd {
	text := fmt.Sprintf(format, args...)
	return func() tea.Msg { return noticeMsg{text: text} }
}

// fail puts an error into the footer, with what to do next if it knows.
func (s *shared) fail(err error) tea.Cmd {
	if err == nil {
		return nil
	}
	return func() tea.Msg { return failure(err) }
}

// failure is the notice of an error, and what to do about it where the error knows.
func failure(err error) noticeMsg {
	text := err.Error()
	var hinted interface{ Hint() string }
	if errors.As(err, &hinted) && hinted.Hint() != "" {
		text += "; " + hinted.Hint()
	}
	return noticeMsg{text: strings.ReplaceAll(text, "\n", "; "), bad: true}
}

// engineTime is how long an engine may take to answer a short command: it answers between two steps.
const engineTime = 2 * time.Minute

// engine runs f with the opened run's engine; f's context ends after engineTime. Where there is no
// engine the footer says so. Requests that take long bring their own context.
func (s *shared) engine(f func(ctx context.Context, c *run.Client) tea.Msg) tea.Cmd {
	if s.run == nil {
		return s.fail(fmt.Errorf("no run is open; 1 lists the runs"))
	}
	folder := s.run.Folder
	return func() tea.Msg {
		c, err := folder.Dial()
		if err != nil {
			return failure(err)
		}
		defer c.Close()
		ctx, cancel := context.WithTimeout(context.Background(), engineTime)
		defer cancel()
		return f(ctx, c)
	}
}
