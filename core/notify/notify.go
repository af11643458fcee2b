// Package notify runs the user's own command when a run is done, has failed or crashed, or alarmed: a message to a
// phone, a desktop notification. The command comes from the user's settings alone. A run's configuration
// cannot name one, since run folders are sent around.
package notify

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/BurntSushi/toml"

	"focusnfix/core"
	"focusnfix/core/run"
)

// Settings are the table [notify] of the user's settings.
type Settings struct {
	Command string `toml:"command,omitempty"` // for sh -c; empty is none
}

// SettingsPath is where the user's settings lie: $XDG_CONFIG_HOME/focusnfix/screen.toml, or the system's place for it.
func SettingsPath() (string, error) {
	dir := os.Getenv("XDG_CONFIG_HOME")
	if !filepath.IsAbs(dir) {
		var err error
		if dir, err = os.UserConfigDir(); err != nil {
			return "", err
		}
	}
	return filepath.Join(dir, "focusnfix", "screen.toml"), nil
}

// Load reads the settings. Without a file there is no command.
func Load() (Settings, error) {
	path, err := SettingsPath()
	if err != nil {
		return Settings{}, err
	}
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Settings{}, nil
	}
	if err != nil {
		return Settings{}, err
	}
	var all struct {
		Notify Settings `toml:"notify"`
	}
	if err := toml.Unmarshal(text, &all); err != nil {
		return Settings{}, fmt.Errorf("%s: %w", path, err)
	}
	return all.Notify, nil
}

// News is what the command is told, in its environment.
type News struct {
	Run   string // FNF_RUN: the run's name
	State string // FNF_STATE: done, stopped, failed, crashed or alarm
	Text  string // FNF_TEXT: the same and why, in one line for people
}

// limit is how long the command may take.
const limit = 30 * time.Second

// Tell runs the command. What is told stands in the environment, never in the command's text, and is clean.
func (s Settings) Tell(ctx context.Context, n News) error {
	if s.Command == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	c := exec.CommandContext(ctx, "sh", "-c", s.Command)
	c.Env = append(os.Environ(), "FNF_RUN="+core.Clean(n.Run), "FNF_STATE="+core.Clean(n.State), "FNF_TEXT="+core.Clean(n.Text))
	c.WaitDelay = time.Second // of what it left in the background
	var said bytes.Buffer
	c.Stdout, c.Stderr = &said, &said
	err := c.Run()
	if errors.Is(err, exec.ErrWaitDelay) {
		err = nil
	}
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		err = fmt.Errorf("did not end within %s", limit)
	}
	lines := strings.Split(strings.TrimSpace(said.String()), "\n")
	if last := core.Clean(lines[len(lines)-1]); last != "" {
		return fmt.Errorf("notify.command: %w: %s", err, last)
	}
	return fmt.Errorf("notify.command: %w", err)
}

// Of is the news in an event, if there is some: a run has ended otherwise than by hand, or alarmed.
func Of(name string, e *core.Event, text string) (News, bool) {
	switch {
	case e.Alarm != nil:
		return News{name, "alarm", name + ": " + text}, true
	case e.Kind == "state" && (e.State == run.Done || e.State == run.Failed):
		return News{name, e.State, name + ": " + text}, true
	}
	return News{}, false
}
