package notify

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"focusnfix/core"
	"focusnfix/core/run"
)

// What is told reaches the command as text, whatever it holds.
func TestTell(t *testing.T) {
	out := filepath.Join(t.TempDir(), "told")
	s := Settings{Command: `printf '%s|%s|%s' "$FNF_RUN" "$FNF_STATE" "$FNF_TEXT" >'` + out + `'`}
	if err := s.Tell(t.Context(), News{"violence-3aym", "failed", "$(touch /tmp/no); \x1b[2J`x`"}); err != nil {
		t.Fatal(err)
	}
	told, err := os.ReadFile(out)
	if want := "violence-3aym|failed|$(touch /tmp/no); \ufffd[2J`x`"; err != nil || string(told) != want {
		t.Errorf("%q, %v, want %q", told, err, want)
	}
	if err := (Settings{}).Tell(t.Context(), News{}); err != nil {
		t.Errorf("without a command: %v", err)
	}
	err = Settings{Command: "echo no route >&2; exit 3"}.Tell(t.Context(), News{})
	if err == nil || !strings.Contains(err.Error(), "exit status 3: no route") {
		t.Errorf("a command that fails: %v", err)
	}
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("XDG_CONFIG_HOME", dir)
	if s, err := Load(); err != nil || s.Command != "" {
		t.Errorf("without a file: %+v, %v", s, err)
	}
	path, err := SettingsPath()
	if err != nil || path != filepath.Join(dir, "focusnfix", "screen.toml") {
		t.Fatal(path, err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{"theme = \"dark\"\n[notify]\ncommand = \"ntfy\"\n": "ntfy", "theme = \"dark\"": "", "[notify": "error"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := Load()
		if (err != nil) != (want == "error") || err == nil && s.Command != want {
			t.Errorf("%q: %+v, %v", text, s, err)
		}
	}
}

func TestOf(t *testing.T) {
	for _, c := range []struct {
		event core.Event
		want  string
	}{
		{core.Event{Kind: "state", State: run.Done}, "done"},
		{core.Event{Kind: "state", State: run.Failed}, "failed"},
		{core.Event{Kind: "state", State: run.Stopped}, ""}, // by hand
		{core.Event{Kind: "state", State: run.Running}, ""},
		{core.Event{Kind: "alarm", Alarm: &core.Alarm{}}, "alarm"},
		{core.Event{Kind: "step", Train: &core.TrainStep{}}, ""},
	} {
		if n, ok := Of("x", &c.event, "y"); n.State != c.want || ok != (c.want != "") {
			t.Errorf("%s %s: %+v", c.event.Kind, c.event.State, n)
		}
	}
}
