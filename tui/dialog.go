package tui

import (
	"image"
	"strings"

	tea "charm.land/bubbletea/v2"

	"focusnfix/tui/picture"
	"focusnfix/tui/widget"
)

// dialog lies over the panes and has keys, pastes and the mouse for itself.
type dialog interface {
	// update takes a tea.KeyPressMsg, a tea.PasteMsg or a mouseMsg, counted from the inside's top left.
	update(msg tea.Msg) (done bool, cmd tea.Cmd)
	// resize tells the room inside, in cells, before the first view and whenever it changes.
	resize(w, h int)
	// view is the inside: any lines, at most as large as resize said. It changes nothing.
	view() string
	title() string
}

// open shows a dialog.
func (s *shared) openDialog(d dialog) tea.Cmd {
	d.resize(s.dialogRoom())
	s.dialog = d
	return nil
}

// dialogRoom is how large the inside of a dialog may be.
func (s *shared) dialogRoom() (w, h int) { return max(min(s.w-4, 100)-4, 0), max(s.h-6, 0) }

// dialogUpdate hands a message to the dialog and closes it when it is done.
func (a *app) dialogUpdate(msg tea.Msg) tea.Cmd {
	d := a.dialog
	if m, ok := msg.(widget.Mouse); ok {
		_, r := a.dialogBlock()
		if m.Left() && !m.In(r) {
			a.dialog = nil
			return nil
		}
		m.X, m.Y = m.X-r.Min.X-2, m.Y-r.Min.Y-1
		msg = m
	}
	done, cmd := d.update(msg)
	if done && a.dialog == d {
		a.dialog = nil
	}
	return cmd
}

// dialogBlock is the dialog in its frame, and where it lies.
func (a *app) dialogBlock() (string, image.Rectangle) {
	block := a.frame(a.dialog.title(), a.dialog.view())
	top, _, _ := strings.Cut(block, "\n")
	size := image.Pt(picture.Width(top), strings.Count(block, "\n")+1)
	at := image.Pt((a.w-size.X)/2, max((a.h-size.Y)/2, 1))
	return block, image.Rectangle{at, at.Add(size)}
}

// frame draws a border with a title around lines.
func (s *shared) frame(title, inside string) string {
	lines := strings.Split(inside, "\n")
	w := picture.Width(title) + 2
	for _, line := range lines {
		w = max(w, picture.Width(line))
	}
	rule := s.styles.AccentText
	out := []string{rule.Render("╭─ ") + s.styles.Bold.Render(title) + rule.Render(" "+strings.Repeat("─", max(w-picture.Width(title)-1, 0))+"╮")}
	for _, line := range lines {
		out = append(out, rule.Render("│")+" "+widget.FitLine(line, w)+" "+rule.Render("│"))
	}
	return strings.Join(append(out, rule.Render("╰"+strings.Repeat("─", w+2)+"╯")), "\n")
}

// question asks yes or no.
type question struct {
	s     *shared
	head  string
	lines []string
	yes   func() tea.Cmd
}

// ask opens a question; yes runs when it is answered so.
func (s *shared) ask(title string, yes func() tea.Cmd, lines ...string) tea.Cmd {
	return s.openDialog(&question{s, title, lines, yes})
}

func (q *question) title() string { return q.head }

func (q *question) update(msg tea.Msg) (bool, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.KeyPressMsg:
		switch msg.String() {
		case "y", "enter":
			return true, q.yes()
		case "n", "esc", "q":
			return true, nil
		}
	case widget.Mouse:
		if msg.Left() && msg.Y == len(q.lines)+1 {
			if msg.X < 10 {
				return true, q.yes()
			}
			return msg.X < 20, nil
		}
	}
	return false, nil
}

func (q *question) resize(int, int) {}

func (q *question) view() string {
	key := q.s.styles.KeyCap
	return strings.Join(append(append([]string{}, q.lines...), "", key.Render("enter")+" yes   "+key.Render("esc")+" no"), "\n")
}
