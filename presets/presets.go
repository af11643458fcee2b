// Package presets holds the configurations and prompt lists that come with the program.
package presets

import (
	"embed"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
)

//go:embed *.toml aspects/*.toml models/*.toml tables/*.toml prompts/*.txt
var files embed.FS

// Default is the preset that a run without one takes.
const Default = "violence"

// Names lists the presets: those of the shipped model, which are a file each, then each real model's,
// which are composed, MODEL-ASPECT, and at last those of published tables.
func Names() []string {
	names := stems("*.toml")
	for _, model := range Models() {
		for _, aspect := range stems("aspects/*.toml") {
			names = append(names, model+"-"+aspect)
		}
	}
	return append(names, stems("tables/*.toml")...)
}

// Models names the real models that there are presets of.
func Models() []string { return stems("models/*.toml") }

// stems are the names of files without folder and ending.
func stems(pattern string) []string {
	found, err := fs.Glob(files, pattern)
	if err != nil {
		panic(err) // the pattern is ours
	}
	for i, name := range found {
		found[i] = strings.TrimSuffix(path.Base(name), path.Ext(name))
	}
	return found
}

// Read returns a preset's TOML text.
func Read(name string) ([]byte, error) {
	if slices.Contains(stems("*.toml"), name) {
		return files.ReadFile(name + ".toml")
	}
	if slices.Contains(stems("tables/*.toml"), name) {
		return files.ReadFile("tables/" + name + ".toml")
	}
	for _, model := range Models() {
		aspect, found := strings.CutPrefix(name, model+"-")
		if found && slices.Contains(stems("aspects/*.toml"), aspect) {
			return compose(name, model, aspect), nil
		}
	}
	return nil, fmt.Errorf("no preset %q, want one of %s", name, strings.Join(Names(), ", "))
}

// Summary is what a preset does, in one line: the first of its header.
func Summary(name string) string {
	text, err := Read(name)
	if err != nil {
		return ""
	}
	line, _, _ := strings.Cut(string(text), "\n")
	return strings.TrimSpace(strings.TrimPrefix(line, "#"))
}

// PromptLists names the lists that Prompts knows.
func PromptLists() []string { return stems("prompts/*.txt") }

// Prompts returns a list that comes with the program: what is trained on, and what is kept for
// evaluation.
func Prompts(name string) (training, heldOut []string, err error) {
	text, err := files.ReadFile("prompts/" + name + ".txt")
	if err != nil {
		return nil, nil, fmt.Errorf("no prompt list %q, want a text file or one of %s", name, strings.Join(PromptLists(), ", "))
	}
	return ParsePrompts(text)
}

const (
	heldOutLine = "[held out]"
	maxPrompts  = 1 << 20
	keepEvery   = 10 // for evaluation, of a list that does not say
)

// ParsePrompts reads one prompt a line; empty lines and those that begin with # do not count. What comes
// after a line "[held out]" is kept for evaluation; without such a line it is every tenth prompt, and of fewer
// than ten all of them.
func ParsePrompts(text []byte) (training, heldOut []string, err error) {
	list := &training
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		switch {
		case line == "" || strings.HasPrefix(line, "#"):
		case strings.EqualFold(line, heldOutLine):
			list = &heldOut
		case len(training)+len(heldOut) == maxPrompts:
			return nil, nil, fmt.Errorf("more than %d prompts", maxPrompts)
		default:
			*list = append(*list, line)
		}
	}
	if len(training) == 0 {
		return nil, nil, fmt.Errorf("no prompts to train on, want one a line before any %q", heldOutLine)
	}
	if list == &training {
		training, heldOut = split(training)
	}
	return training, heldOut, nil
}

// split keeps every tenth prompt out of training; a list that is too short for that is used for both.
func split(all []string) (training, heldOut []string) {
	if len(all) < keepEvery {
		return all, all
	}
	for i, prompt := range all {
		if i%keepEvery == keepEvery-1 {
			heldOut = append(heldOut, prompt)
		} else {
			training = append(training, prompt)
		}
	}
	return training, heldOut
}
