package cmd

import (
	"bytes"
	"strings"
	"testing"

	"focusnfix/core"
	"focusnfix/core/run"
)

// Without a terminal the screen's commands print lines.
func TestScreenWithoutTerminal(t *testing.T) {
	dir := t.TempDir()
	call := func(args ...string) (string, string, int) {
		var stdout, stderr bytes.Buffer
		code := execute(t.Context(), newRoot(), args, &stdout, &stderr)
		return stdout.String(), stderr.String(), code
	}
	if out, _, code := call("--runs", dir); code != exitDone || !strings.Contains(out, "focusnfix start -p violence") {
		t.Errorf("no runs: %q, %d", out, code)
	}
	f, err := run.Create(dir, run.Info{Preset: "violence", Model: "builtin:scenes"}, core.Default())
	if err != nil {
		t.Fatal(err)
	}
	info, err := f.Info()
	if err != nil {
		t.Fatal(err)
	}
	info.State, info.Message = run.Failed, "no model"
	if err := f.SetInfo(info); err != nil {
		t.Fatal(err)
	}
	if out, _, code := call("--runs", dir); code != exitDone || !strings.Contains(out, f.Name()+": failed") {
		t.Errorf("the list: %q, %d", out, code)
	}
	if out, text, code := call("attach", "--runs", dir, "violence"); code != exitFailed || !strings.Contains(text, "no model") || !strings.Contains(out, "failed, violence") {
		t.Errorf("attach to a run that failed: %q, %q, %d", out, text, code)
	}
	if _, text, code := call("attach", "--runs", dir, "nothing"); code != exitFailed || !strings.Contains(text, "no run \"nothing\"") {
		t.Errorf("attach to nothing: %q, %d", text, code)
	}
	if _, text, code := call("nonsense"); code != exitUsage || !strings.Contains(text, "no command") {
		t.Errorf("an unknown command: %q, %d", text, code)
	}
}
