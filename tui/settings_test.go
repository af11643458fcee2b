package tui

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"focusnfix/core/notify"
)

// Settings last: what was changed on one screen is there on the next.
func TestSettingsPersist(t *testing.T) {
	d := drive(t, Options{Runs: t.TempDir()}, 100, 30)
	d.press("S")
	d.shows("Settings", "colors", "auto")
	d.press("enter", "enter") // dark, light
	d.press("down", "enter")
	path, err := notify.SettingsPath()
	if err != nil {
		t.Fatal(err)
	}
	d.until("the file", func() bool {
		text, _ := os.ReadFile(path)
		return strings.Contains(string(text), `theme = "light"`) && strings.Contains(string(text), "smoothing = 0.8")
	})
	if d.styles.Dark {
		t.Error("the light theme is not used")
	}
	again, err := loadSettings()
	if err != nil || again.Theme != "light" || again.Smoothing != 0.8 {
		t.Errorf("read again: %+v, %v", again, err)
	}
}

// A file that is no good is said so, and the defaults are used.
func TestBrokenSettings(t *testing.T) {
	for _, text := range []string{"smoothing = 3", "images = \"crayons\"", "theme = [", "smoothing = nan"} {
		t.Setenv("XDG_CONFIG_HOME", t.TempDir())
		path, err := notify.SettingsPath()
		if err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if s, err := loadSettings(); err == nil || s != defaultSettings() {
			t.Errorf("%q: %+v, %v", text, s, err)
		}
	}
}
