package cmd

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// testRoot is a root with commands that end in each way there is.
func testRoot() *cobra.Command {
	root := newRoot()
	ends := func(name string, err error) {
		root.AddCommand(&cobra.Command{
			Use: name, Short: name, Args: cobra.NoArgs,
			RunE: func(*cobra.Command, []string) error { return err },
		})
	}
	reason := errors.New("conv_in.weight: shape [320,9,3,3], want [320,4,3,3]")
	ends("succeed", nil)
	ends("fail", reason)
	ends("fail-with-hint", fmt.Errorf("load unet: %w", hintedError{reason, "this is an inpainting model"}))
	ends("misuse", usageError{errors.New("--steps -1: want 1 or more")})
	return root
}

func TestExitCodes(t *testing.T) {
	const usageHint = "hint:  focusnfix"
	for _, c := range []struct {
		args   string
		code   int
		stderr string // its lines' beginnings
	}{
		{"--help", exitDone, ""},
		{"--version", exitDone, ""},
		{"succeed", exitDone, ""},
		{"fail", exitFailed, "error: conv_in.weight: shape"},
		{"fail-with-hint", exitFailed, "error: load unet: conv_in.weight|hint:  this is an inpainting model"},
		{"misuse", exitUsage, "error: --steps -1: want 1 or more|" + usageHint},
		{"unheard-of", exitUsage, `error: no command "unheard-of"|` + usageHint},
		{"statr", exitUsage, `error: no command "statr"; did you mean start?|` + usageHint + " --help explains its use"},
		{"stop", exitUsage, "error: RUN is missing|hint:  focusnfix stop --help explains its use"},
		{"compare a", exitUsage, "error: RUN is missing|" + usageHint},
		{"generate a b", exitUsage, `error: unexpected argument "b" after PROMPT|` + usageHint},
		{"succeed --loud", exitUsage, "error: unknown flag: --loud|" + usageHint},
		{"succeed surplus", exitUsage, `error: unknown command "surplus" for "focusnfix succeed"|` + usageHint},
		{"--loud", exitUsage, "error: unknown flag: --loud|" + usageHint},
	} {
		t.Run(c.args, func(t *testing.T) {
			var stdout, stderr strings.Builder
			code := execute(context.Background(), testRoot(), strings.Fields(c.args), &stdout, &stderr)
			if code != c.code {
				t.Errorf("exit code %d, want %d; stderr: %s", code, c.code, stderr.String())
			}
			var lines []string
			if text := strings.TrimSuffix(stderr.String(), "\n"); text != "" {
				lines = strings.Split(text, "\n")
			}
			var want []string
			if c.stderr != "" {
				want = strings.Split(c.stderr, "|")
			}
			if len(lines) != len(want) {
				t.Fatalf("stderr has %d lines, want %d: %q", len(lines), len(want), lines)
			}
			for i := range want {
				if !strings.HasPrefix(lines[i], want[i]) {
					t.Errorf("stderr line %d: %q, want %q...", i+1, lines[i], want[i])
				}
			}
		})
	}
}
