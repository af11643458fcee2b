package cmd

import (
	"context"
	"os"

	"focusnfix/tui/picture"
)

// terminalFacts is what doctor says about images in this terminal. A wrong FNF_IMAGES is a fact too.
func terminalFacts() []picture.Fact {
	facts, err := picture.Facts(context.Background(), os.Stdout, os.Getenv)
	if err != nil {
		return []picture.Fact{{Name: "pictures", Value: "unknown", Hint: err.Error()}}
	}
	return facts
}

func terminalLines(facts []picture.Fact) []line {
	var lines []line
	for _, f := range facts {
		mark := markGood
		if f.Hint != "" {
			mark = markWarn
		}
		lines = append(lines, line{mark, f.Name, f.Value, f.Hint})
	}
	return lines
}
