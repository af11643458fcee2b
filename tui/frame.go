package tui

import (
	"fmt"
	"strconv"
	"strings"

	tea "charm.land/bubbletea/v2"

	"focusnfix/tui/picture"
	"focusnfix/tui/widget"
)

// View is the frame.
func (a *app) View() tea.View {
	v := tea.NewView(picture.Steady(a.content()))
	v.AltScreen = true
	v.MouseMode = tea.MouseModeAllMotion
	v.WindowTitle, v.ProgressBar = a.windowTitle(), a.progressBar()
	return v
}

func (a *app) content() string {
	if a.w == 0 {
		return ""
	}
	if a.layout.small {
		return widget.Message(a.w, a.h, "The terminal is too small.",
			fmt.Sprintf("It has %dx%d cells, %dx%d are needed.", a.w, a.h, minCols, minRows))
	}
	body := a.panes[a.tab].view(a.layout.body.Dx(), a.layout.body.Dy())
	screen := body
	if !a.zen {
		screen = a.tabBar() + "\n" + body + "\n" + a.footer()
	}
	if lines := a.noticeLines(); len(lines) > 0 {
		screen = widget.Over(screen, strings.Join(lines, "\n"), 0, a.h-1-len(lines))
	}
	if a.dialog != nil {
		block, at := a.dialogBlock()
		screen = widget.Over(screen, block, at.Min.X, at.Min.Y)
	}
	return screen
}

// tabNames are the labels of the tab bar.
func (a *app) tabNames() []string {
	names, width := make([]string, len(a.panes)), 1
	for i, p := range a.panes {
		names[i] = fmt.Sprintf("%d %s", i+1, p.title())
		width += len(names[i]) + tabGap
	}
	if width > a.w { // too many for a narrow screen: only the chosen one has its name
		for i := range names {
			if i != a.tab {
				names[i] = strconv.Itoa(i + 1)
			}
		}
	}
	return names
}

const tabGap = 2

// tabAt is the tab under column x of the tab bar, or -1.
func (a *app) tabAt(x int) int {
	left := 1
	for i, name := range a.tabNames() {
		if x >= left && x < left+len(name) {
			return i
		}
		left += len(name) + tabGap
	}
	return -1
}

func (a *app) tabBar() string {
	var b strings.Builder
	b.WriteString(" ")
	for i, name := range a.tabNames() {
		style := a.styles.TabText
		if i == a.tab {
			style = a.styles.TabActive
		}
		b.WriteString(style.Render(name) + strings.Repeat(" ", tabGap))
	}
	left := b.String()
	for _, label := range a.runLabels() {
		if picture.Width(left)+picture.Width(label) < a.w {
			return widget.Spread(left, label+" ", a.w)
		}
	}
	return widget.FitLine(left, a.w)
}

// runLabels name the opened run and its state, the longest first.
func (a *app) runLabels() []string {
	if a.run == nil {
		return nil
	}
	name := a.run.Folder.Name()
	short := shortName(name)
	name, short = a.styles.FaintText.Render(name), a.styles.FaintText.Render(short)
	dot := a.styles.State(a.run.State).Render("●")
	if a.tab == tabDashboard || a.run.State == "" { // which has the state's word below
		return []string{name, short}
	}
	word := dot + " " + a.styles.State(a.run.State).Render(stateText(a.run))
	return []string{name + " " + word, short + " " + word, word, dot}
}

// footer is the keys of the pane.
func (a *app) footer() string {
	if a.panes[a.tab].typing() {
		return widget.FitLine(a.keyHints(a.panes[a.tab].keys(), a.w), a.w)
	}
	right := a.keyHints([]binding{on(keyPalette, nil), on(keyHelp, nil), on(keyQuit, nil)}, a.w)
	left := a.keyHints(a.panes[a.tab].keys(), a.w-picture.Width(right)-2)
	return widget.Spread(left, right+" ", a.w)
}

// noticeLines are the notice as long as it stays, above the keys: one line, or up to four of a long one. They
// have no more cells than text, so that they cover little.
func (a *app) noticeLines() []string {
	n := a.notice
	stays, style := noticeTime, a.styles.AccentText
	if n.bad {
		stays, style = 3*noticeTime, a.styles.BadText
	}
	if n.text == "" || a.now().Sub(n.at) >= stays {
		return nil
	}
	lines := widget.Wrap(n.text, a.w-2, 4)
	for i, line := range lines {
		lines[i] = style.Render(" " + line + " ")
	}
	return lines
}

// keyHints are the keys with a short name, as many as fit into w cells.
func (a *app) keyHints(table []binding, w int) string {
	var b strings.Builder
	used := 0
	for _, k := range table {
		if k.short == "" {
			continue
		}
		n := picture.Width(k.keys[0]) + len(k.short) + 3
		if used+n > w {
			break
		}
		used += n
		b.WriteString(" " + a.styles.KeyCap.Render(k.keys[0]) + " " + a.styles.FaintText.Render(k.short) + " ")
	}
	return b.String()
}
