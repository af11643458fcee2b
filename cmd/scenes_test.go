package cmd

import (
	"bytes"
	"context"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestScenesWritesASheet(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sheet.png")
	var out, problems bytes.Buffer
	args := []string{
		"scenes", "--sheet", path, "--rows", "2", "--cols", "3", "--masks", "--faults", "decorrelated",
		"--prompt", "a chef in the park", "--always", "violence",
	}
	if code := execute(context.Background(), newRoot(), args, &out, &problems); code != exitDone {
		t.Fatalf("exit code %d: %s", code, problems.String())
	}
	if want := path + ": 6 scenes\n"; out.String() != want {
		t.Errorf("printed %q, want %q", out.String(), want)
	}
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	picture, err := png.Decode(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	if size := picture.Bounds().Size(); size.X < 3*256 || size.Y < 2*256 {
		t.Errorf("the sheet is %v, want room for 3x2 tiles of 256 pixels", size)
	}
}

func TestScenesRefusesBadFlags(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sheet.png")
	cases := map[string]struct {
		args []string
		want string
	}{
		"no file":    {nil, "sheet"},
		"no rows":    {[]string{"--sheet", path, "--rows", "0"}, "0 rows"},
		"too many":   {[]string{"--sheet", path, "--rows", "900", "--cols", "900"}, "1 to 1000"},
		"fault mode": {[]string{"--sheet", path, "--faults", "some"}, "spurious, decorrelated, clean"},
		"aspect":     {[]string{"--sheet", path, "--always", "blur"}, "violence"},
		"prompt":     {[]string{"--sheet", path, "--prompt", "a horse at night"}, `"horse"`},
	}
	for name, c := range cases {
		var out, problems bytes.Buffer
		code := execute(context.Background(), newRoot(), append([]string{"scenes"}, c.args...), &out, &problems)
		if code != exitUsage || !strings.Contains(problems.String(), c.want) {
			t.Errorf("%s: exit code %d, error %q; want %d and %q", name, code, problems.String(), exitUsage, c.want)
		}
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("a refused command wrote a file")
	}
	missing := filepath.Join(t.TempDir(), "no", "sheet.png")
	var out, problems bytes.Buffer
	if code := execute(context.Background(), newRoot(), []string{"scenes", "--sheet", missing}, &out, &problems); code != exitFailed {
		t.Errorf("a folder that does not exist: exit code %d, want %d", code, exitFailed)
	}
}
