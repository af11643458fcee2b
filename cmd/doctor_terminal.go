package cmd

import (
	"context"
	"os"

	"focusnfix/tui"
)

// terminalFacts is what doctor says about pictures in this terminal. A wrong FNF_IMAGES is a fact too.
func terminalFacts() []tui.Fact {
	facts, err := tui.Facts(context.Background(), os.Stdout, os.Getenv)
	if err != nil {
		return []tui.Fact{{Name: "pictures", Value: "unknown", Hint: err.Error()}}
	}
	return facts
}

func terminalLines(facts []tui.Fact) []line {
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
