package cmd

import (
	"fmt"
	"io"
	"strings"

	"focusnfix/model/scenes"
)

// builtinSteps and builtinGuidance are how the shipped model draws best; Stable Diffusion wants more of
// both.
const (
	builtinSteps    = 10
	builtinGuidance = 2.5
)

// modelPath is the folder or file of a model; of the shipped one, the folder that it is unpacked to.
func modelPath(model string) (string, error) {
	if model == scenes.BuiltinName {
		return scenes.Folder()
	}
	return model, nil
}

// warnOfUnknownWords says which words the shipped model never saw, and those that it did.
func warnOfUnknownWords(w io.Writer, model, prompt string) {
	unknown := scenes.UnknownWords(prompt)
	if model != scenes.BuiltinName || len(unknown) == 0 {
		return
	}
	fmt.Fprintf(w, "warning: %s never saw: %s\n", scenes.BuiltinName, strings.Join(unknown, ", "))
	fmt.Fprintf(w, "hint:    it knows \"a NAME [and|left of|right of a NAME] PLACE\" with the words: %s\n", strings.Join(scenes.Words(), " "))
}
