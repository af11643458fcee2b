package tui

import (
	"fmt"
	"strings"

	tea "charm.land/bubbletea/v2"

	"focusnfix/tui/feed"
	"focusnfix/tui/picture"
)

// openPalette lists everything that can be done here, by what it does: for those who do not know the key.
func (a *app) openPalette() tea.Cmd {
	var items []menuItem
	add := func(table []binding) {
		for _, b := range table {
			if b.do != nil {
				items = append(items, menuItem{b.help, strings.Join(b.keys, " "), b.do})
			}
		}
	}
	add(a.panes[a.tab].keys())
	if d, ok := a.panes[tabDashboard].(*dashboardPane); ok && a.tab != tabDashboard && a.run != nil {
		add(d.controlKeys())
	}
	if a.run != nil && a.run.HasConfig {
		for _, key := range feed.Adjustable(a.run.Config) {
			items = append(items, menuItem{"set " + key, a.run.Current(key), func() tea.Cmd { return a.askSetting(key) }})
		}
	}
	add(a.globalKeys())
	return a.openDialog(newMenu(a.shared, "Commands", items))
}

// openSettings lists the settings of the screen; choosing one takes its next value.
func (a *app) openSettings() tea.Cmd { return a.openDialog(a.settingsMenu(0)) }

func (a *app) settingsMenu(at int) *menu {
	next := func(i int, change func(*settings)) func() tea.Cmd {
		return func() tea.Cmd {
			s := a.settings
			change(&s)
			cmd := a.change(s)
			return tea.Batch(cmd, a.openDialog(a.settingsMenu(i)))
		}
	}
	protocol := a.probe.Terminal().Protocol
	m := newMenu(a.shared, "Settings", []menuItem{
		{"colors", a.settings.Theme, next(0, func(s *settings) { s.Theme = following(themes, s.Theme) })},
		{"smoothing of curves", fmt.Sprint(a.settings.Smoothing), next(1, func(s *settings) { s.Smoothing = following(smoothings, s.Smoothing) })},
		{"images", fmt.Sprintf("%s (now %v: %s)", a.settings.Images, protocol, a.probe.Terminal().Reason), next(2, func(s *settings) { s.Images = following(imageChoices, s.Images) })},
		{"when a run ends or alarms", a.settings.Tell, next(3, func(s *settings) { s.Tell = following(tellChoices, s.Tell) })},
	})
	m.at = at
	return m
}

// imageChoices are the values of the setting for images.
var imageChoices = append([]string{"auto"}, picture.ProtocolNames...)
