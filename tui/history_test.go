package tui

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestHistory(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state", "prompts")
	h := loadHistory(path)
	if got := h.up("typed"); got != "typed" {
		t.Errorf("nothing before: %q", got)
	}
	for _, line := range []string{"a cat", "a  dog\n", "a cat", "a cow"} {
		if err := h.add(line)(); err != nil {
			t.Fatal(err)
		}
	}
	h = loadHistory(path)
	if want := []string{"a dog", "a cat", "a cow"}; !slices.Equal(h.lines, want) {
		t.Fatalf("kept %q, want %q: once each, the newest last", h.lines, want)
	}
	var seen []string
	for range 4 {
		seen = append(seen, h.up("half a pro"))
	}
	for range 4 {
		seen = append(seen, h.down("x"))
	}
	if want := []string{"a cow", "a cat", "a dog", "half a pro", "a cat", "a cow", "half a pro", "x"}; !slices.Equal(seen[:3], want[:3]) || !slices.Equal(seen[4:], want[4:]) {
		t.Errorf("up and down: %q, want %q", seen, want)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("others may read the prompts: %v, %v", info.Mode(), err)
	}
}

// Two screens of one user do not lose each other's prompts, and the file has a bound.
func TestHistoryShared(t *testing.T) {
	path := filepath.Join(t.TempDir(), "prompts")
	a, b := loadHistory(path), loadHistory(path)
	a.add("from a")()
	b.add("from b")()
	if got := loadHistory(path).lines; !slices.Equal(got, []string{"from a", "from b"}) {
		t.Errorf("kept %q", got)
	}
	if err := os.WriteFile(path, []byte(strings.Repeat("x\n", 3)+"\xff\x00 odd\n\n"+strings.Repeat("y y\n", 2*historyLength)), 0o600); err != nil {
		t.Fatal(err)
	}
	c := loadHistory(path)
	c.add("new")()
	if got := loadHistory(path).lines; len(got) > historyLength || got[len(got)-1] != "new" {
		t.Errorf("%d lines, the last %q", len(got), got[len(got)-1])
	}
	left, _ := filepath.Glob(filepath.Join(filepath.Dir(path), ".prompts-*"))
	if len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestHistoryFile(t *testing.T) {
	t.Setenv("XDG_STATE_HOME", "/state")
	if got := historyFile(); got != "/state/focusnfix/prompts" {
		t.Errorf("got %s", got)
	}
	t.Setenv("XDG_STATE_HOME", "relative") // which the specification says to ignore
	t.Setenv("HOME", "/home/me")
	if got := historyFile(); got != "/home/me/.local/state/focusnfix/prompts" {
		t.Errorf("got %s", got)
	}
	t.Setenv("HOME", "")
	if got := historyFile(); got != "" {
		t.Errorf("without a home: %s", got)
	}
	if err := loadHistory("").add("x")(); err != nil {
		t.Errorf("without a home: %v", err)
	}
}
