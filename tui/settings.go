package tui

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	tea "charm.land/bubbletea/v2"
	"github.com/BurntSushi/toml"

	"focusnfix/core/notify"
	"focusnfix/tui/picture"
)

// settings are what the user chose of the screen; they last in screen.toml in the user's configuration folder.
type settings struct {
	Theme     string  `toml:"theme"`     // auto, dark, light
	Smoothing float64 `toml:"smoothing"` // of curves: 0 to 0.99
	Images    string  `toml:"images"`    // as --images; auto asks the terminal
	Tell      string  `toml:"tell"`      // when a run ends or alarms: one of tellChoices
	GridRows  int     `toml:"grid_rows"` // of charts
	GridCols  int     `toml:"grid_cols"`
	Charts    string  `toml:"charts"`   // titles in the user's order, with | between them
	Baseline  string  `toml:"baseline"` // name of the run that others are compared with; "" is the first marked one

	Notify notify.Settings `toml:"notify"` // written by hand
}

// settingsMsg tells panes that settings have changed.
type settingsMsg struct{}

var themes = []string{"auto", "dark", "light"}

func defaultSettings() settings {
	return settings{Theme: "auto", Smoothing: 0.6, Images: "auto", Tell: tellBell, GridRows: 2, GridCols: 2}
}

// isDark reports whether to draw for a dark background; terminal is what the terminal says.
func (s settings) isDark(terminal bool) bool {
	switch s.Theme {
	case "dark":
		return true
	case "light":
		return false
	}
	return terminal
}

// loadSettings reads the settings. Without a file they are the defaults; one that cannot be read gives the
// defaults and an error.
func loadSettings() (settings, error) {
	path, err := notify.SettingsPath()
	if err != nil {
		return defaultSettings(), err
	}
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return defaultSettings(), nil
	}
	if err != nil {
		return defaultSettings(), err
	}
	s := defaultSettings()
	if err := toml.Unmarshal(text, &s); err != nil {
		return defaultSettings(), fmt.Errorf("%s: %w", path, err)
	}
	if _, _, err := picture.ParseProtocol(s.Images); err != nil {
		return defaultSettings(), fmt.Errorf("%s: images: %w", path, err)
	}
	if !slices.Contains(tellChoices, s.Tell) {
		return defaultSettings(), fmt.Errorf("%s: tell: %q, want one of %s", path, s.Tell, strings.Join(tellChoices, ", "))
	}
	if s.GridRows < 1 || s.GridRows > maxGridRows || s.GridCols < 1 || s.GridCols > maxGridCols {
		return defaultSettings(), fmt.Errorf("%s: grid of %d x %d charts, want 1 to %d rows and 1 to %d columns", path, s.GridRows, s.GridCols, maxGridRows, maxGridCols)
	}
	if !(s.Smoothing >= 0 && s.Smoothing <= 0.999) {
		return defaultSettings(), fmt.Errorf("%s: smoothing: %v, want 0 to 0.999", path, s.Smoothing)
	}
	return s, nil
}

func (s settings) save() error {
	path, err := notify.SettingsPath()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	var text bytes.Buffer
	text.WriteString("# What was chosen in the screen of focusnfix.\n")
	if err := toml.NewEncoder(&text).Encode(s); err != nil {
		return err
	}
	temp := path + ".new"
	if err := os.WriteFile(temp, text.Bytes(), 0o644); err != nil {
		return err
	}
	return os.Rename(temp, path)
}

// saver keeps the order of changes: commands may overtake each other.
type saver struct {
	wanted int // the number of the newest change
	mu     sync.Mutex
	saved  int
}

func (v *saver) save(s settings, number int) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if number < v.saved {
		return nil
	}
	v.saved = number
	return s.save()
}

// change makes next the settings, at once and for the next time.
func (s *shared) change(next settings) tea.Cmd {
	if next == s.settings {
		return nil
	}
	images := next.Images != s.settings.Images
	s.settings = next
	s.saver.wanted++
	saver, number := &s.saver, s.saver.wanted
	s.setBackground(s.dark)
	if images {
		s.probe.Choose(next.Images)
		s.setTerminal(s.probe.Terminal())
	}
	return tea.Batch(
		func() tea.Msg { return settingsMsg{} },
		func() tea.Msg {
			if err := saver.save(next, number); err != nil {
				return failure(fmt.Errorf("settings are not kept: %w", err))
			}
			return nil
		})
}
