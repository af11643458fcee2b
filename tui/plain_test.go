package tui

import (
	"bytes"
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"focusnfix/core/run"
)

func TestPlain(t *testing.T) {
	sampleRuns(t)
	for _, c := range []struct {
		part, fails string
		want        []string
	}{
		{"artifacts", "", []string{
			"2026-11-24-artifacts-k3f9: done, artifacts, builtin:scenes\n",
			" step 60 of 60: reward 0.", "artifacts 0.", " was 0.350, outside 3", "\n10:02:00 step 60 of 60: done\n", "held out, 16 images: artifacts 0.",
			"2026-11-24-artifacts-k3f9: done at step 60\n",
		}},
		{"violence", "2026-11-24-violence-k3f9 failed: the device is out of memory; lower train.batch", []string{"step 12 of 60: reward"}},
		{"misalignment", "", []string{"crashed at step 34"}},
	} {
		dirs, err := filepath.Glob("runs/*" + c.part + "*")
		if err != nil || len(dirs) != 1 {
			t.Fatal(dirs, err)
		}
		var out bytes.Buffer
		err = Plain(context.Background(), &out, run.Folder{Dir: dirs[0]})
		if c.fails == "" && err != nil || c.fails != "" && (err == nil || err.Error() != c.fails) {
			t.Errorf("%s: error %v, want %q", c.part, err, c.fails)
		}
		for _, want := range c.want {
			if !strings.Contains(out.String(), want) {
				t.Errorf("%s: no %q in:\n%s", c.part, want, out.String())
			}
		}
		if n := strings.Count(out.String(), "\n"); n > plainTail+3 {
			t.Errorf("%s: %d lines, want the last events only", c.part, n)
		}
		if strings.ContainsAny(out.String(), "\x1b━▲") {
			t.Errorf("%s: escapes or drawing in:\n%s", c.part, out.String())
		}
	}
}

// A run that goes on is followed until the user ends it.
func TestPlainFollows(t *testing.T) {
	t.Chdir(t.TempDir())
	f, err := run.Create("runs", run.Info{Preset: "violence", Model: "builtin:scenes"}, mustConfig(t))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if err := Plain(ctx, &bytes.Buffer{}, f); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v, want the context's end", err)
	}
}

func TestPlainList(t *testing.T) {
	sampleRuns(t)
	list, err := run.List("runs")
	if err != nil {
		t.Fatal(err)
	}
	list = append(list, run.Run{Folder: run.Folder{Dir: "runs/odd"}, Err: errors.New("no format")})
	var out bytes.Buffer
	if err := PlainList(&out, "runs", list); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"2026-11-24-all-aspects-k3f9: stopped, step 83 of 150, reward 0.782, begun ", "odd: unreadable: no format", "focusnfix attach --plain RUN"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in:\n%s", want, out.String())
		}
	}
	out.Reset()
	if err := PlainList(&out, "here", nil); err != nil || out.String() != "no runs in here; focusnfix start -p violence starts one\n" {
		t.Errorf("without runs: %q, %v", out.String(), err)
	}
}
