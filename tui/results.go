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

// keptMsg is the results that lie in the run folder.
type keptMsg struct {
	run    *opened
	events []core.Event
	err    error
}

// keptResults reads the results of the run folder.
func (s *shared) keptResults() tea.Cmd {
	if s.run == nil {
		return nil
	}
	opened := s.run
	return func() tea.Msg {
		events, err := opened.folder.Prompts()
		return keptMsg{opened, events, err}
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

// aspectNames are those of the scores, or of the run's configuration.
func (s *shared) aspectNames(scores []core.AspectScore) []string {
	var names []string
	for _, a := range scores {
		names = append(names, a.Aspect)
	}
	if len(names) == 0 && s.run != nil && s.run.hasConfig {
		for _, r := range s.run.config.Reward {
			names = append(names, r.Aspect)
		}
	}
	return names
}

// oneOf is name if it is among names, or else their first.
func oneOf(name string, names []string) string {
	if len(names) == 0 || slices.Contains(names, name) {
		return name
	}
	return names[0]
}

// after is the name that follows name, going round.
func after(name string, names []string) string {
	if len(names) == 0 {
		return name
	}
	return names[(slices.Index(names, name)+1)%len(names)]
}
