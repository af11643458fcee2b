package feed

import (
	"math"
	"strings"

	tea "charm.land/bubbletea/v2"

	"focusnfix/core"
	"focusnfix/core/run"
)

// Results are the prompts that were tried in a run, the oldest first.
type Results struct{ History[core.PromptResult] }

// ResultsRead is the results that lie in the run folder.
type ResultsRead struct {
	Run    *Run
	Events []core.Event
	err    error
}

// ReadResults reads the results that lie in the run folder.
func (o *Run) ReadResults() tea.Cmd {
	return func() tea.Msg {
		events, err := o.Folder.Prompts()
		return ResultsRead{o, events, err}
	}
}

// Add takes the results among events in.
func (r *Results) Add(events []core.Event) {
	for _, e := range events {
		if e.Prompt != nil && !e.Prompt.Fix {
			r.add(*e.Prompt)
		}
	}
}

// Find goes to the nearest earlier result whose prompt matches, and from the first on to the newest. It returns how many
// match.
func (r *Results) Find(match func(prompt string) bool) (matches int) {
	from := r.At
	for i := range r.List {
		at := (from - 1 - i + 2*len(r.List)) % len(r.List)
		if !match(r.List[at].Prompt) {
			continue
		}
		if matches++; matches == 1 {
			r.At = at
		}
	}
	return matches
}

// ResultFiles are a result's files, with the heatmaps that a judge makes of both images.
func ResultFiles(r core.PromptResult, judge string) Files {
	f := Files{Base: r.Path + "/base.png", tuned: r.Path + "/tuned.png", Mask: r.Path + "/mask.png"}.WithHeat(judge)
	if name, isPNG := strings.CutSuffix(f.Heat, ".png"); isPNG {
		f.TunedHeat = name + "-tuned.png"
	}
	return f
}

// Judges are the names that a result's heatmaps are kept under.
func Judges(scores []core.AspectScore) []string {
	var names []string
	for _, a := range scores {
		names = append(names, a.Aspect)
		if !math.IsNaN(a.HeldOut) {
			names = append(names, heldOutPrefix+a.Aspect)
		}
	}
	return names
}

// RequestOf asks for a prompt with the run's own settings.
func RequestOf(prompt string, seed uint64) run.GenerateRequest {
	return run.GenerateRequest{Drawing: core.Drawing{Prompt: prompt, Seed: seed}}
}

// RequestAgain asks for a result once more.
func RequestAgain(r core.PromptResult) run.GenerateRequest {
	q := run.GenerateRequest{Drawing: r.Drawing}
	q.Sampling = r.Or(core.Sampling{}) // without numbers that are not known
	return q
}
