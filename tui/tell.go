package tui

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"unicode"

	tea "charm.land/bubbletea/v2"

	"focusnfix/core/notify"
	"focusnfix/core/run"
	"focusnfix/core/words"
	"focusnfix/tui/feed"
)

// How the terminal tells that a run has ended or alarmed: the values of the setting.
const (
	tellBell   = "bell"
	tellNotify = "notify"     // by the desktop: OSC 9
	tell777    = "notify-777" // by the desktop: OSC 777, of urxvt and others
	tellOff    = "off"
)

var tellChoices = []string{tellBell, tellNotify, tell777, tellOff}

// windowTitle is the run's name, how far it is, and its state unless it is running.
func (a *app) windowTitle() string {
	if a.run == nil {
		return "focusnfix"
	}
	name := shortName(a.run.Folder.Name())
	if a.run.State == run.Running {
		return fmt.Sprintf("%d %% %s", a.percent(), name)
	}
	return words.State(a.run.State) + " " + name
}

// percent is how much of the run's steps are done.
func (a *app) percent() int {
	return 100 * max(a.run.Store.Step, a.run.Info.Step) / max(a.run.Info.Steps, 1)
}

// progressBar is the run's progress for the terminal's tab or the task bar (OSC 9;4); nil is none.
func (a *app) progressBar() *tea.ProgressBar {
	if a.run == nil {
		return nil
	}
	switch a.run.State {
	case run.Running:
		return tea.NewProgressBar(tea.ProgressBarDefault, a.percent())
	case run.Paused:
		return tea.NewProgressBar(tea.ProgressBarWarning, a.percent())
	case run.Failed, run.Crashed:
		return tea.NewProgressBar(tea.ProgressBarError, a.percent())
	}
	return nil
}

// tell makes itself heard as the user has set.
func (s *shared) tell(o *feed.Run, state, text string) tea.Cmd {
	name := shortName(o.Folder.Name())
	text = name + ": " + text
	var raw tea.Cmd
	switch s.settings.Tell {
	case tellBell:
		raw = tea.Raw("\a")
	case tellNotify:
		raw = tea.Raw("\x1b]9;" + oneLine(text) + "\x1b\\")
	case tell777:
		raw = tea.Raw("\x1b]777;notify;focusnfix;" + strings.ReplaceAll(oneLine(text), ";", ",") + "\x1b\\")
	}
	return tea.Batch(raw, s.runCommand(o, notify.News{Run: name, State: state, Text: text}))
}

// runCommand runs the user's notify.command for what the run's engine does not tell: that it was killed, and all of
// a run on another machine.
func (s *shared) runCommand(o *feed.Run, n notify.News) tea.Cmd {
	command := s.settings.Notify
	if command.Command == "" || n.State != run.Crashed && o.Info.Far == nil {
		return nil
	}
	return func() tea.Msg {
		if err := command.Tell(context.Background(), n); err != nil {
			return failure(err)
		}
		return nil
	}
}

// oneLine is text without control characters, which would end the sequence that it stands in.
func oneLine(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, text)
}

// tellEnd tells that a run has ended that was running, or was paused, when it was seen last.
func (s *shared) tellEnd(before string, o *feed.Run) tea.Cmd {
	if !isLive(before) || isLive(o.State) {
		return nil
	}
	return s.tell(o, o.State, words.State(o.State))
}

// selector is a pane that has something to copy beside the run.
type selector interface{ selected() []menuItem }

// openCopy lists what can be copied to the clipboard, which the terminal does (OSC 52), also over ssh.
func (a *app) openCopy() tea.Cmd {
	if a.run == nil {
		return a.say("no run is open: 1 lists the runs")
	}
	name, dir := a.run.Folder.Name(), whole(a.run.Folder.Dir)
	attach := "focusnfix attach " + name
	if away := a.run.Info.Far; away != nil {
		attach = "focusnfix attach " + away.Host + ":" + name
	}
	var items []menuItem
	if p, ok := a.panes[a.tab].(selector); ok {
		items = p.selected()
	}
	items = append(items,
		menuItem{name: "name of the run", note: name}, menuItem{name: "folder of the run", note: dir},
		menuItem{name: "command that watches it", note: attach},
		menuItem{name: "command that exports its LoRA", note: "focusnfix export " + name})
	for i := range items {
		text := items[i].note
		items[i].do = func() tea.Cmd { return tea.Batch(tea.SetClipboard(text), a.say("copied: %s", text)) }
	}
	return a.openDialog(newMenu(a.shared, "Copy", items))
}

func (p *dashboardPane) selected() []menuItem {
	var items []menuItem
	if p.s.run == nil {
		return nil
	}
	if rows := tableRows(p.s.run.Store); p.row < len(rows) {
		r := rows[p.row]
		items = append(items, menuItem{name: r.name, note: r.text(r.now) + r.unit()})
	}
	if pic, _, _, _, ok := p.shown(); ok {
		items = append(items, menuItem{name: "prompt", note: pic.Prompt})
	}
	return items
}

func (p *imagesPane) selected() []menuItem {
	at, ok := p.current()
	if !ok {
		return nil
	}
	return []menuItem{
		{name: "prompt", note: p.gallery.Texts[at.Sample.Index]},
		{name: "random seed", note: fmt.Sprint(at.Sample.Seed)},
		{name: "image file", note: filepath.Join(p.run.Folder.Dir, p.gallery.Images[at].Path)},
	}
}

func (p *promptPane) selected() []menuItem {
	r, ok := p.results.Current()
	if !ok {
		return nil
	}
	return []menuItem{
		{name: "prompt", note: r.Prompt},
		{name: "random seed", note: fmt.Sprint(r.Seed)},
		{name: "folder of the result", note: filepath.Join(p.run.Folder.Dir, r.Path)},
	}
}
