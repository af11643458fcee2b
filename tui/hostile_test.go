package tui

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"focusnfix/core"
	"focusnfix/core/run"
)

// obeyed is what a terminal would obey if the screen let it through; colors are the screen's own.
var obeyed = []string{
	"\x1b]52", "\x1b]8;;http:x", "\x1b[2J", "\x1bPq", "\x1b_G", "\x1b^", "\x1bc", "\u009b", "\u009d", "\x9b", "\x7f", "\x00", "\a",
	"\u202e", "\u2066", "\u200f",
}

// hostileRun is a stranger's folder in which every text has what terminals obey.
func hostileRun(t *testing.T) run.Folder {
	t.Helper()
	f, err := run.Create("runs", run.Info{Preset: "evil"}, core.Default())
	if err != nil {
		t.Fatal(err)
	}
	text := "evil" + strings.Join(obeyed, "x") + "\r\n"
	scores := []any{map[string]any{"aspect": text, "base": 1, "reward": 2, "held_out": 1, "base_held_out": 1, "fixed": 0.5}}
	info, err := json.Marshal(map[string]any{
		"format": 1, "id": text, "preset": text, "version": text, "libtorch": text, "device": text, "model": text, "steps": 3,
		"state": "failed", "message": text, "created": time.Now(), "engine": map[string]any{"host": text, "socket": text, "folder": text},
	})
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	events := json.NewEncoder(&log)
	for _, e := range []map[string]any{
		{"kind": "step", "step": 1, "train": map[string]any{"loss": 1, "reward": 0.5, "aspects": scores}},
		{"kind": "pictures", "step": 1, "pictures": []any{map[string]any{"prompt": text, "path": text, "reference": text, "aspects": scores}}},
		{"kind": "alarm", "alarm": map[string]any{"name": text, "subject": text, "value": 1, "limit": 2, "action": text}},
		{"kind": "control", "control": map[string]any{"key": text, "from": text, "to": text}},
		{"kind": "checkpoint", "path": text},
		{"kind": text, "message": text},
		{"kind": "state", "state": text, "message": text},
		{"kind": "evaluation", "evaluation": map[string]any{"pictures": 1, "aspects": scores, "statistics": map[string]any{text: 9}}},
		{"kind": "prompt", "prompt": map[string]any{"path": text, "prompt": text, "negative": text, "aspects": scores, "unknown_words": text}},
		{"kind": "state", "state": "failed", "message": text},
	} {
		e["time"] = time.Now()
		if err := events.Encode(e); err != nil {
			t.Fatal(err)
		}
	}
	err = errors.Join(os.WriteFile(filepath.Join(f.Dir, "run.json"), info, 0o644),
		os.WriteFile(filepath.Join(f.Dir, "events.jsonl"), log.Bytes(), 0o644), os.WriteFile(filepath.Join(f.Dir, "log.txt"), []byte(text), 0o644))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// Nothing of a stranger's run that a terminal would obey comes to the screen, on any tab, or into its lines.
func TestNothingHostileIsShown(t *testing.T) {
	t.Chdir(t.TempDir())
	f := hostileRun(t)
	if err := os.Rename(hostileRun(t).Dir, "runs/evil\x1b]52;c;QQ==\x07\u202e"); err != nil {
		t.Fatal(err)
	}
	d := drive(t, Options{Runs: "runs"}, 160, 45)
	seen := 0
	look := func(what string) {
		t.Helper()
		view := d.View().Content
		for _, bad := range obeyed {
			if strings.Contains(view, bad) {
				t.Errorf("%s: %q is in\n%q", what, bad, view)
			}
		}
		seen += strings.Count(view, "evil")
	}
	d.shows("evil")
	look("runs")
	d.press("down")
	look("runs, the second")
	d.send(openMsg{f.Dir})
	d.until("the run is read", func() bool { return len(d.run.Store.Log) >= 5 })
	for _, tab := range []string{"2", "3", "4", "5"} {
		d.press(tab)
		look("tab " + tab)
		for _, key := range []string{"enter", "down", "w", "esc", "?", "esc", ":", "esc", "t", "esc"} {
			d.press(key)
			look("tab " + tab + " " + key)
		}
	}
	if seen < 20 {
		t.Errorf("only %d hostile texts were shown", seen)
	}
	var lines bytes.Buffer
	if err := Plain(context.Background(), &lines, f); err == nil {
		t.Error("a run that has failed ended well")
	}
	list, err := run.List("runs")
	if err = errors.Join(err, PlainList(&lines, "runs", list)); err != nil {
		t.Fatal(err)
	}
	for _, bad := range append(obeyed, "\x1b", "\r") {
		if strings.Contains(lines.String(), bad) {
			t.Errorf("%q is in %q", bad, lines.String())
		}
	}
}

// Events whose times go back, after a correction of the clock, are followed like others.
func TestPlainAfterTheClockWentBack(t *testing.T) {
	t.Chdir(t.TempDir())
	f, err := run.Create("runs", run.Info{Preset: "x", State: run.Done}, core.Default())
	if err != nil {
		t.Fatal(err)
	}
	log, err := f.OpenLog()
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	for step := range 100 {
		err := log.Append(core.Event{Kind: "step", Step: step, Time: now.Add(-time.Duration(step) * time.Hour), Train: &core.TrainStep{}})
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := Plain(context.Background(), &out, f); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(out.String(), " step "); n != plainTail+1 || !strings.Contains(out.String(), " step 80 of") || !strings.Contains(out.String(), " step 99 of") {
		t.Errorf("%d lines:\n%s", n, out.String())
	}
}
