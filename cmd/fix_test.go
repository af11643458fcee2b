package cmd

import (
	"image"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"focusnfix/core"
)

// What cannot be repaired is refused before a model is loaded.
func TestFixRefuses(t *testing.T) {
	dir := t.TempDir()
	plain := filepath.Join(dir, "plain.png")
	file, err := os.Create(plain)
	if err != nil {
		t.Fatal(err)
	}
	if err := core.WritePNG(file, image.NewGray(image.Rect(0, 0, 8, 8))); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		code int
		want string
		args []string
	}{
		{exitUsage, "no region", []string{"a chef"}},
		{exitUsage, "more than one region", []string{"a chef", "--heat", "--box", "0,0,1,1"}},
		{exitUsage, "leaves the image", []string{"a chef", "--box", "0.5,0,1,1"}},
		{exitUsage, "ends in .png", []string{"a chef", "--heat", "-o", "x.jpg"}},
		{exitUsage, "ends in .safetensors", []string{"a chef", "--heat", "--lora", "x.pt"}},
		{exitUsage, "1 or more", []string{"a chef", "--heat", "--steps", "0"}},
		{exitFailed, "no text in it says how it was drawn", []string{plain, "--heat"}},
		{exitFailed, "no such file", []string{filepath.Join(dir, "nowhere.png"), "--heat"}},
		{exitUsage, "words for what is to go", []string{"a chef", "--heat", "--fault", ".", "-o", filepath.Join(dir, "x.png")}},
		{exitFailed, "focusnfix pull openai/clip-vit-large-patch14", []string{"a chef", "--heat", "--fault", "the sword", "-o", filepath.Join(dir, "x.png")}},
		{exitUsage, "zebra", []string{"a chef", "--heat", "--aspect", "zebra", "-o", filepath.Join(dir, "x.png")}},
	} {
		code, _, stderr := runCommand(append([]string{"fix"}, c.args...)...)
		if code != c.code || !strings.Contains(stderr, c.want) {
			t.Errorf("%v: exit code %d, %q; want %d, %q", c.args, code, stderr, c.code, c.want)
		}
	}
}
