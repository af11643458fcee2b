package tui

import (
	"context"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	"focusnfix/core"
	"focusnfix/core/run"
	"focusnfix/tui/picture"
)

// driver runs an app without a terminal: its commands run in goroutines, what they return is handed to
// Update by until.
type driver struct {
	*app
	t    testing.TB
	msgs chan tea.Msg
}

// drive starts the screen at a size. Images are half blocks.
func drive(t testing.TB, o Options, w, h int) *driver {
	t.Helper()
	probe, err := picture.NewProbe(nil, "blocks", "", func(name string) string {
		return map[string]string{"TERM": "xterm-256color", "COLORTERM": "truecolor", "LANG": "C.UTF-8"}[name]
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	d := &driver{newApp(o, probe, picture.NewShelf(probe.Terminal())), t, make(chan tea.Msg, 1000)}
	t.Cleanup(d.close)
	d.start(d.Init())
	d.send(tea.WindowSizeMsg{Width: w, Height: h})
	return d
}

func (d *driver) start(cmd tea.Cmd) {
	if cmd == nil {
		return
	}
	go func() {
		switch msg := cmd().(type) {
		case nil:
		case tea.BatchMsg:
			for _, c := range msg {
				d.start(c)
			}
		default:
			d.msgs <- msg
		}
	}()
}

// send hands one message to the app.
func (d *driver) send(msg tea.Msg) {
	_, cmd := d.Update(msg)
	d.start(cmd)
}

// press types keys by their names: "enter", "down", "x".
func (d *driver) press(keys ...string) {
	for _, k := range keys {
		d.send(keyPress(k))
	}
}

// codes are the keys that are not written as they are called.
var codes = map[string]rune{
	"enter": tea.KeyEnter, "esc": tea.KeyEscape, "tab": tea.KeyTab, "up": tea.KeyUp, "down": tea.KeyDown, "left": tea.KeyLeft,
	"right": tea.KeyRight, "home": tea.KeyHome, "end": tea.KeyEnd, "pgup": tea.KeyPgUp, "pgdown": tea.KeyPgDown,
	"backspace": tea.KeyBackspace, "space": tea.KeySpace, "delete": tea.KeyDelete, "f1": tea.KeyF1,
}

func keyPress(name string) tea.KeyPressMsg {
	var k tea.Key
	for {
		switch {
		case strings.HasPrefix(name, "ctrl+"):
			k.Mod, name = k.Mod|tea.ModCtrl, name[len("ctrl+"):]
			continue
		case strings.HasPrefix(name, "shift+"):
			k.Mod, name = k.Mod|tea.ModShift, name[len("shift+"):]
			continue
		}
		break
	}
	if code, ok := codes[name]; ok {
		k.Code = code
		if name == "space" {
			k.Text = " "
		}
		return tea.KeyPressMsg(k)
	}
	k.Code = []rune(name)[0]
	if k.Mod == 0 {
		k.Text = name
	}
	return tea.KeyPressMsg(k)
}

// until handles messages until ok, and fails after half a minute without.
func (d *driver) until(what string, ok func() bool) {
	d.t.Helper()
	late := time.After(30 * time.Second)
	for !ok() {
		select {
		case msg := <-d.msgs:
			d.send(msg)
		case <-late:
			d.t.Fatalf("not in half a minute: %s. The screen:\n%s", what, ansi.Strip(d.content()))
		}
	}
}

// shows waits until the screen has each of the texts.
func (d *driver) shows(texts ...string) {
	d.t.Helper()
	d.until(strings.Join(texts, ", "), func() bool {
		screen := ansi.Strip(d.content())
		for _, text := range texts {
			if !strings.Contains(screen, text) {
				return false
			}
		}
		return true
	})
}

// checkSize fails unless the frame is exactly as large as the screen.
func (d *driver) checkSize() {
	d.t.Helper()
	rows := strings.Split(d.content(), "\n")
	if len(rows) != d.h {
		d.t.Errorf("tab %d: %d rows, want %d", d.tab+1, len(rows), d.h)
	}
	for y, row := range rows {
		if n := ansi.StringWidth(row); n != d.w {
			d.t.Errorf("tab %d: row %d has %d cells, want %d: %q", d.tab+1, y, n, d.w, ansi.Strip(row))
		}
	}
}

func TestFrames(t *testing.T) {
	for _, size := range [][2]int{{40, 12}, {60, 18}, {80, 24}, {120, 40}, {200, 60}} {
		d := drive(t, Options{Runs: t.TempDir()}, size[0], size[1])
		for _, tab := range []string{"1", "2", "3", "4", "5", "?"} {
			d.press(tab)
			d.checkSize()
		}
	}
}

// starter is a Start that makes a run without an engine and notes the preset.
func starter(preset *string) func(context.Context, string, []string) (run.Folder, error) {
	return func(_ context.Context, name string, set []string) (run.Folder, error) {
		*preset = name
		c, err := core.Load(nil, set)
		if err != nil {
			return run.Folder{}, err
		}
		return run.Create("runs", run.Info{Preset: name, Model: "builtin:scenes"}, c)
	}
}

func mustConfig(t testing.TB) core.Config {
	t.Helper()
	c, err := core.Load(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	return c
}
