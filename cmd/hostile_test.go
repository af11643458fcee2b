package cmd

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"focusnfix/core"
	"focusnfix/core/run"
)

// hostile has what terminals obey: OSC 52 and 8, CSI, DCS, APC, PM, RIS, C1 in UTF-8 and as bytes, DEL,
// bidirectional controls.
const hostile = "\x1b]52;c;QUFB\x07\x1b[2J\x1bPq#0\x1b\\\x1b_Ga=d\x1b\\\x1b^pm\x1b\\\x1b]8;;http:x\x1b\\y\x1bc" +
	"\u009b31m\u009d52;c;eA==\u009c\x9b3J\x7f\u202eevil\u202c\u2066x\u2069\u200f\r\n"

// strangersRun has hostile text wherever its folder can hold it.
func strangersRun(t *testing.T, runs string) run.Folder {
	t.Helper()
	f := newTestRun(t, runs, "stranger")
	info := map[string]any{
		"format": 1, "id": hostile, "created": "2026-11-27T10:00:00Z", "preset": hostile, "version": hostile, "libtorch": hostile,
		"device": hostile, "model": hostile, "model_hash": hostile, "steps": 3, "state": "failed" + hostile, "message": hostile,
		"engine": map[string]any{"pid": 1, "started": hostile, "host": hostile, "folder": hostile, "socket": hostile},
	}
	scores := []any{map[string]any{"aspect": hostile, "base": 1, "reward": 2}}
	var lines strings.Builder
	for _, e := range []map[string]any{
		{"kind": "step", "step": 1, "train": map[string]any{"loss": 1, "reward": 0.5, "aspects": scores}},
		{"kind": "pictures", "pictures": []any{map[string]any{"prompt": hostile, "path": hostile, "reference": hostile, "aspects": scores}}},
		{"kind": "alarm", "alarm": map[string]any{"name": hostile, "subject": hostile, "value": 1, "limit": 2, "action": hostile}},
		{"kind": "control", "control": map[string]any{"key": hostile, "from": hostile, "to": hostile}},
		{"kind": "checkpoint", "path": hostile},
		{"kind": "evaluation", "evaluation": map[string]any{"pictures": 1, "aspects": scores, "statistics": map[string]any{hostile: 1}}},
		{"kind": "prompt", "prompt": map[string]any{"path": hostile, "prompt": hostile, "negative": hostile, "aspects": scores, "unknown_words": hostile}},
		{"kind": hostile, "message": hostile},
		{"kind": "state", "state": hostile, "message": hostile},
	} {
		e["time"] = "2026-11-27T10:00:00Z"
		line, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&lines, "%s\n", strings.Replace(string(line), "evil", "evil\u202e\u009b\x9b\x7f", 1)) // raw, too
	}
	text, err := json.Marshal(info)
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{
		"run.json": text, "events.jsonl": []byte(lines.String()), "log.txt": []byte("error: " + hostile),
	} {
		if err := os.WriteFile(filepath.Join(f.Dir, name), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return f
}

// obeyed is what of an output a terminal would obey; colors and line clearing are our own.
func obeyed(out string) string {
	own := strings.NewReplacer("\x1b[m", "", "\x1b[0m", "", "\x1b[1m", "", "\x1b[2m", "", "\x1b[1;31m", "", "\x1b[K", "", "\r", "", "\n", "", "\t", "")
	for rest := own.Replace(out); len(rest) > 0; {
		r, n := utf8.DecodeRuneInString(rest)
		if core.Clean(rest[:n]) != rest[:n] {
			return fmt.Sprintf("%U in %q", r, rest[:min(len(rest), 60)])
		}
		rest = rest[n:]
	}
	return ""
}

// No command's output has anything of a stranger's folder, or of a name on the command line, that a
// terminal would obey.
func TestNothingHostileIsPrinted(t *testing.T) {
	runs := t.TempDir()
	f := strangersRun(t, runs)
	name := f.Name()
	bad := strings.NewReplacer("/", "", "\r\n", "").Replace(hostile)
	evilRuns := filepath.Join(t.TempDir(), bad)
	strangersRun(t, evilRuns)
	renamed := filepath.Join(evilRuns, bad)
	if err := os.Rename(strangersRun(t, evilRuns).Dir, renamed); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(runs, "evil.toml"), []byte("[train]\nprompts = \"\\u001b[2J\\u009b\\u202e\"\n\"\\u001b]52;c;QQ==\\u0007\" = 1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(runs, bad+".png"), []byte(hostile), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Setenv("FNF_RUNS", runs)
	seen := 0
	for _, args := range [][]string{
		{"ls"},
		{"ls", "--json"},
		{"--plain"},
		{"attach", "--plain", name},
		{"stop", name},
		{"export", name, "-o", filepath.Join(runs, "x.safetensors")},
		{"eval", name},
		{"generate", "x", "--run", name, "-o", filepath.Join(runs, "x.png")},
		{"train", "--resume", name},
		{"engine", "--run", f.Dir},
		{"ls", "--runs", evilRuns},
		{"ls", "--json", "--runs", evilRuns},
		{"--plain", "--runs", evilRuns},
		{"attach", "--plain", "--runs", evilRuns},
		{"attach", "--plain", renamed},
		{"train", "--resume", renamed},
		{"stop", renamed},
		{"eval", renamed},
		{"ls", "--runs", filepath.Join(runs, bad)},
		{"stop", bad},
		{"view", bad},
		{"view", filepath.Join(runs, bad+".png")},
		{"train", "-p", bad},
		{"train", "-p", bad + ".toml"},
		{"train", "-p", filepath.Join(runs, "evil.toml")},
		{"train", "--set", bad},
		{"train", "--set", bad + "=1"},
		{"train", "--set", "train.prompts=" + bad},
		{"train", "--set", "model.path=" + bad},
		{"presets", bad},
		{bad},
		{"--" + bad},
		{"convert", bad, "-o", "x.safetensors"},
		{"generate", "x", "--lora", bad},
		{"pull", bad},
		{"start", "-p", bad},
	} {
		_, stdout, stderr := runCommand(args...)
		for where, out := range map[string]string{"stdout": stdout, "stderr": stderr} {
			if found := obeyed(out); found != "" {
				t.Errorf("%q: %s has %s", args, where, found)
			}
			seen += strings.Count(out, "evil")
		}
	}
	if seen < 30 { // the text itself is shown
		t.Errorf("only %d hostile texts were shown", seen)
	}
}
