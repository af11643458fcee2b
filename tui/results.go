package tui

import (
	"math"
	"slices"
	"strings"

	tea "charm.land/bubbletea/v2"

	"focusnfix/core"
	"focusnfix/core/run"
)

// results are the prompts that were tried in a run, or its repairs, the oldest first.
type results struct {
	fixes bool // repairs, rather than prompts
	list  []core.PromptResult
	at    int // the one that is shown
}

// resultsMsg is the results that lie in the run folder.
type resultsMsg struct {
	run    *opened
	events []core.Event
	err    error
}

// readResults reads the results that lie in the run folder.
func (o *opened) readResults() tea.Cmd {
	return func() tea.Msg {
		events, err := o.folder.Prompts()
		return resultsMsg{o, events, err}
	}
}

// add takes results in. Who looked at the newest one looks at the newest one still.
func (r *results) add(events []core.Event) {
	follow := r.at == len(r.list)-1 || len(r.list) == 0
	for _, e := range events {
		if e.Prompt == nil || e.Prompt.Fix != r.fixes || e.Prompt.Path == "" {
			continue
		}
		i, known := slices.BinarySearchFunc(r.list, *e.Prompt, comparePaths)
		if known {
			continue
		}
		r.list = slices.Insert(r.list, i, *e.Prompt)
		if i <= r.at && len(r.list) > 1 {
			r.at++
		}
	}
	if follow {
		r.at = max(len(r.list)-1, 0)
	}
}

// comparePaths orders results by their folders' numbers, which may have more than four digits.
func comparePaths(a, b core.PromptResult) int {
	if len(a.Path) != len(b.Path) {
		return len(a.Path) - len(b.Path)
	}
	return strings.Compare(a.Path, b.Path)
}

// show goes to the result with that path.
func (r *results) show(path string) {
	for i := range r.list {
		if r.list[i].Path == path {
			r.at = i
		}
	}
}

func (r *results) move(n int) { r.at = min(max(r.at+n, 0), max(len(r.list)-1, 0)) }

// current is the result that is shown.
func (r *results) current() (core.PromptResult, bool) {
	if r.at >= len(r.list) {
		return core.PromptResult{}, false
	}
	return r.list[r.at], true
}

// resultFiles are a result's files, with the heatmap that a judge makes of the base picture.
func resultFiles(r core.PromptResult, judge string) pictureFiles {
	f := pictureFiles{base: r.Path + "/base.png", tuned: r.Path + "/tuned.png", mask: r.Path + "/mask.png"}
	return f.withHeat(judge)
}

// tunedHeat is the heatmap that the judge makes of the tuned picture.
func (f pictureFiles) tunedHeat() string {
	name, isPNG := strings.CutSuffix(f.heat, ".png")
	if !isPNG {
		return ""
	}
	return name + "-tuned.png"
}

// judges are the names that a result's heatmaps are kept under.
func judges(scores []core.AspectScore) []string {
	var names []string
	for _, a := range scores {
		names = append(names, a.Aspect)
		if !math.IsNaN(a.HeldOut) {
			names = append(names, "held-out-"+a.Aspect)
		}
	}
	return names
}

// requestOf asks for a prompt with the run's own settings.
func requestOf(prompt string, seed uint64) run.GenerateRequest {
	return run.GenerateRequest{Prompt: prompt, Seed: seed}
}

// requestAgain asks for a result once more.
func requestAgain(r core.PromptResult) run.GenerateRequest {
	q := run.GenerateRequest{Prompt: r.Prompt, Negative: r.Negative, Seed: r.Seed, NumSteps: r.NumSteps}
	if r.GuidanceScale > 0 {
		q.GuidanceScale = r.GuidanceScale
	}
	return q
}
