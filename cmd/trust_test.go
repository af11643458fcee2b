package cmd

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"focusnfix/core"
	"focusnfix/core/engine"
	"focusnfix/core/run"
)

// sentRun is a run of somebody else's, whose configuration names files of this machine.
func sentRun(t *testing.T, runs string, change func(*core.Config)) run.Folder {
	t.Helper()
	c := core.Default()
	change(&c)
	f, err := run.Create(runs, run.Info{Preset: "sent", Model: c.Model.Path}, c)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// What a stranger's run names is not opened before the user has agreed: a prompts file, whose lines would go
// into the run's events, a model, and above all a TorchScript file, which is a program.
func TestAStrangersRunIsAskedAbout(t *testing.T) {
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	dir := t.TempDir()
	secret, script := filepath.Join(dir, "secret.txt"), filepath.Join(dir, "judge.pt")
	for _, path := range []string{secret, script} {
		if err := os.WriteFile(path, []byte("a secret\n[held out]\nanother"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for key, change := range map[string]func(*core.Config){
		"train.prompts = " + secret:    func(c *core.Config) { c.Train.Prompts = secret },
		"model.path = " + dir:          func(c *core.Config) { c.Model.Path = dir },
		"sample.preview = " + dir:      func(c *core.Config) { c.Sample.Preview = dir },
		"model.config = " + dir:        func(c *core.Config) { c.Model.Config = dir },
		".model = " + script + " (":    func(c *core.Config) { c.Reward[0].Model = "torchscript:" + script },
		".held_out = " + script:        func(c *core.Config) { c.Reward[0].HeldOut = "torchscript:" + script },
		".held_out = " + dir:           func(c *core.Config) { c.Reward[0].HeldOut = "clip:" + dir },
		".model = " + dir + "; reward": func(c *core.Config) { c.Reward[0].Model = "q16:" + dir + "?clip=" + secret },
	} {
		runs := t.TempDir()
		f := sentRun(t, runs, change)
		for _, args := range []string{"train --resume sent", "engine --run " + f.Dir, "eval sent", "train --resume sent --steps 5"} {
			if args == "eval sent" {
				if _, err := f.WriteCheckpoint(1, func(string) error { return nil }); err != nil {
					t.Fatal(err)
				}
			}
			code, _, stderr := inRuns(t, runs, args)
			if code != exitFailed || !strings.Contains(stderr, key) || !strings.Contains(stderr, "--trust once") {
				t.Errorf("%s: %s: %d %s", key, args, code, stderr)
			}
		}
		if events, err := f.Tail(10); err != nil || len(events) > 0 {
			t.Errorf("%s: something was done: %v, %v", key, events, err)
		}
		if err := trustFlag(false).before(wakeRun)(t.Context(), f); err == nil || !strings.Contains(err.Error(), key) {
			t.Errorf("%s: on the screen: %v", key, err)
		}
	}
}

// It is asked once: agreement holds for the file, for a TorchScript one as it is now.
func TestTrustIsRemembered(t *testing.T) {
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	dir := t.TempDir()
	script := filepath.Join(dir, "judge.pt")
	if err := os.WriteFile(script, []byte("one"), 0o600); err != nil {
		t.Fatal(err)
	}
	runs := t.TempDir()
	f := sentRun(t, runs, func(c *core.Config) { c.Reward[0].Model = "torchscript:" + script })
	asked := func(trust trustFlag) bool { return trust.opensRun(nil, f) != nil }
	if !asked(false) || asked(true) || asked(false) {
		t.Error("not asked, or asked again after an agreement")
	}
	if err := os.WriteFile(script, []byte("another program"), 0o600); err != nil {
		t.Fatal(err)
	}
	if !asked(false) {
		t.Error("another program was put in the place of the one agreed to, and is not asked about")
	}
	// What the command line itself names is not asked about, neither now nor when the run continues.
	prompts := filepath.Join(dir, "mine.txt")
	if err := os.WriteFile(prompts, []byte("a cat\n[held out]\na dog"), 0o600); err != nil {
		t.Fatal(err)
	}
	own := sentRun(t, runs, func(*core.Config) {})
	config, err := changedConfig(own, []string{"train.prompts=" + prompts})
	if err != nil {
		t.Fatal(err)
	}
	if err := trustFlag(false).opens(nil, own, config); err != nil {
		t.Errorf("the user's own file: %v", err)
	}
}

// Relative paths lead from where the run was started, and from where a setting is given.
func TestRelativePathsKeepTheirStart(t *testing.T) {
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	started, elsewhere, runs := t.TempDir(), t.TempDir(), t.TempDir()
	for dir, text := range map[string]string{started: "a cat\n[held out]\na dog", elsewhere: "a tree\n[held out]\na house"} {
		if err := os.WriteFile(filepath.Join(dir, "p.txt"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(started)
	f := sentRun(t, runs, func(c *core.Config) { c.Train.Prompts, c.Reward[0].HeldOut = "p.txt", "q16:h.safetensors?clip=a%20b" })
	t.Chdir(elsewhere)
	config, err := resolvedConfig(f)
	if err != nil || config.Train.Prompts != filepath.Join(started, "p.txt") || config.Reward[0].HeldOut != "q16:"+started+"/h.safetensors?clip="+strings.ReplaceAll(started, "/", "%2F")+"%2Fa+b" {
		t.Errorf("resumed elsewhere: %q %q, %v", config.Train.Prompts, config.Reward[0].HeldOut, err)
	}
	changed, err := changedConfig(f, []string{"train.prompts=./p.txt"})
	if err != nil || changed.Train.Prompts != filepath.Join(elsewhere, "p.txt") {
		t.Errorf("set elsewhere: %q, %v", changed.Train.Prompts, err)
	}
	if names := engine.Names(core.Default()); len(names) > 0 {
		t.Errorf("the default names %v", names)
	}
}
