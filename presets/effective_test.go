package presets

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"focusnfix/core"
)

var update = flag.Bool("update", false, "rewrite testdata/effective.golden")

// settings are the lines of a configuration, each after its section: "train steps = 200".
func settings(c core.Config) (lines []string) {
	section, rewards := "", 0
	for line := range strings.Lines(string(c.TOML())) {
		line, _, _ = strings.Cut(line, " # ")
		line = strings.Join(strings.Fields(line), " ")
		switch {
		case line == "" || strings.HasPrefix(line, "#"):
		case line == "[[reward]]":
			section = fmt.Sprintf("reward[%d]", rewards)
			rewards++
		case strings.HasPrefix(line, "["):
			section = strings.Trim(line, "[]")
		default:
			lines = append(lines, section+" "+line)
		}
	}
	return lines
}

var numbered = regexp.MustCompile(`^reward\[\d+\]`)

// TestEffective pins what each preset comes to: its aspects, and every setting that is not the default (of
// a reward, that is not the default reward's). `make golden` rewrites it.
func TestEffective(t *testing.T) {
	var got bytes.Buffer
	plain := settings(core.Default())
	for _, name := range Names() {
		c, _ := load(t, name)
		fmt.Fprintf(&got, "== %s\n", name)
		for _, line := range settings(c) {
			key := numbered.ReplaceAllString(line, "reward[0]")
			if strings.HasPrefix(key, "reward[0] aspect") || !slices.Contains(plain, key) {
				fmt.Fprintln(&got, line)
			}
		}
	}
	path := filepath.Join("testdata", "effective.golden")
	if *update {
		if err := os.WriteFile(path, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.Bytes(), want) {
		t.Errorf("presets come to other settings than %s has:\n%s", path, got.Bytes())
	}
}
