package reward

import (
	"os"
	"strings"
	"testing"
)

// docs/rewards.md has every kind with its options.
func TestRewardsPage(t *testing.T) {
	text, err := os.ReadFile("../../docs/rewards.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range kinds {
		row := ""
		for line := range strings.Lines(string(text)) {
			if strings.HasPrefix(line, "| `"+k.Name+":") {
				row = line
			}
		}
		if row == "" {
			t.Errorf("no row for %s", k.Use)
		}
		for _, o := range k.Options {
			if !strings.Contains(row, "`"+o+"`") {
				t.Errorf("%s: no option %s in %q", k.Name, o, row)
			}
		}
	}
}
