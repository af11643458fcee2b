package cmd

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/charmbracelet/x/ansi"
	"github.com/spf13/cobra"
)

// allCommands are the root and those below it, hidden ones too.
func allCommands(c *cobra.Command) []*cobra.Command {
	all := []*cobra.Command{c}
	for _, sub := range c.Commands() {
		all = append(all, allCommands(sub)...)
	}
	return all
}

// Help fits 80 columns, cuts nothing off and splits no word; a description begins with a verb's capital letter
// on the first page and says what a flag's value is.
func TestHelpAtEightyColumns(t *testing.T) {
	t.Setenv("COLUMNS", "80")
	for _, c := range allCommands(newRoot()) {
		args := strings.Fields(c.CommandPath() + " --help")[1:]
		code, out, stderr := runCommand(args...)
		if code != exitDone || stderr != "" {
			t.Errorf("%v: %d %s", args, code, stderr)
		}
		for line := range strings.Lines(out) {
			if w := ansi.StringWidth(strings.TrimRight(line, "\n")); w > 80 {
				t.Errorf("%v: %d columns: %s", args, w, line)
			}
		}
		if strings.Contains(out, "…") {
			t.Errorf("%v: something is cut off:\n%s", args, out)
		}
		words := map[string]bool{}
		for _, w := range strings.Fields(ansi.Strip(out)) {
			words[w] = true
		}
		for _, w := range strings.Fields(c.Long) {
			if !words[w] && !words[w+"."] && !c.HasParent() {
				t.Errorf("%v: %q is split or missing", args, w)
			}
		}
		if c.Short == "" || c.Short[0] < 'A' || c.Short[0] > 'Z' || len(c.Short) > 64 {
			t.Errorf("%v: short help %q, want a sentence of at most 64 letters", args, c.Short)
		}
	}
}

// The first page of help has what users do, and not how the shipped model was made.
func TestFirstPage(t *testing.T) {
	_, out, _ := runCommand("--help")
	for _, want := range []string{"Train and watch", "start", "compare", "metrics", "completion"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	for _, hidden := range []string{"pretrain", "scenes ", "engine", "no-help"} {
		if strings.Contains(out, "\n  "+hidden) {
			t.Errorf("%q is on the first page:\n%s", hidden, out)
		}
	}
}

func TestManuals(t *testing.T) {
	dir := t.TempDir()
	if code, _, stderr := runCommand("man", dir); code != exitDone {
		t.Fatal(stderr)
	}
	pages, _ := filepath.Glob(filepath.Join(dir, "*.1"))
	if len(pages) < 15 {
		t.Errorf("%d pages: %v", len(pages), pages)
	}
	text, err := os.ReadFile(filepath.Join(dir, "focusnfix-train.1"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{".TH FOCUSNFIX\\-TRAIN 1", ".SH NAME\nfocusnfix\\-train \\- Train in the foreground", ".B \\-\\-steps N", ".SH EXIT STATUS"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
}

// The tab key offers presets, runs, keys, their words and checkpoints.
func TestCompletion(t *testing.T) {
	runs := t.TempDir()
	f := newTestRun(t, runs, "violence")
	for _, c := range []struct{ line, want string }{
		{"start viol", "violence\t"},
		{"train -p sd1-", "sd1-violence\t"},
		{"stop ", f.Name() + "\t"},
		{"compare a ", f.Name() + "\t"},
		{"train --set region.wei", "region.weight=\t"},
		{"train misalignment --set reward.misal", "reward.misalignment.weight=\t"},
		{"train --set region.norm=", "region.norm=frobenius\n"},
		{"generate x -m builtin", "builtin:scenes\t"},
		{"generate x --images ki", "kitty\n"},
		{"export x --format ", "kohya\n"},
		{"exp", "export\t"},
	} {
		t.Setenv("FNF_RUNS", runs)
		code, out, stderr := runCommand(append([]string{"__complete"}, strings.Split(c.line, " ")...)...)
		if code != exitDone || !strings.Contains(out, c.want) {
			t.Errorf("%q: %d, %q, want %q; %s", c.line, code, out, c.want, stderr)
		}
	}
}

// printColumns never writes a line wider than the terminal; where there is none, it cuts nothing.
func TestColumnsInAPipe(t *testing.T) {
	var b strings.Builder
	long := strings.Repeat("x", 200)
	printColumns(&b, [][]string{{"A", "B"}, {"1", long}}, 1)
	if want := "A  B\n1  " + long + "\n"; b.String() != want {
		t.Errorf("%q, want %q", b.String(), want)
	}
}
