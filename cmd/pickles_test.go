package cmd

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"focusnfix/model/torch/torchtest"
)

// A checkpoint that would run a command is refused by name, and nothing is converted unless asked for.
func TestPickles(t *testing.T) {
	torchtest.Need(t)
	dir := t.TempDir()
	t.Setenv("XDG_CACHE_HOME", filepath.Join(dir, "cache"))
	evil := filepath.Join(dir, "old.ckpt")
	if err := os.WriteFile(evil, []byte("\x80\x02cposix\nsystem\n(X\x02\x00\x00\x00lstR."), 0o600); err != nil {
		t.Fatal(err)
	}
	for line, want := range map[string]string{
		"generate x -m " + evil:                                          "--convert-pickles makes one of it in " + filepath.Join(dir, "cache"),
		"generate x --convert-pickles -m " + evil:                        "asks Python for posix.system",
		"generate x -m " + tinyModel + " --lora " + evil:                 "is a Python pickle, not a safetensors file",
		"convert " + evil + " -o " + filepath.Join(dir, "x.safetensors"): "asks Python for posix.system",
		"convert " + evil + " -o " + filepath.Join(dir, "x"):             "convert it to a name that ends in .safetensors first",
	} {
		code, _, stderr := runCommand(strings.Fields(line)...)
		if code == exitDone || !strings.Contains(stderr, want) {
			t.Errorf("%s: exit code %d, %s, want %s", line, code, stderr, want)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*.safetensors")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}
