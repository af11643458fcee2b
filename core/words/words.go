// Package words writes numbers, states and events as people read them: the same words in every command and on
// the screen.
package words

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"focusnfix/core"
	"focusnfix/core/run"
)

// Plural is "1 run", "2 runs".
func Plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// Number writes a measured value with the given decimals, or "–" where it is not known.
func Number(v float64, decimals int) string {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return "–"
	}
	s := strconv.FormatFloat(v, 'f', decimals, 64)
	if s == "-"+strconv.FormatFloat(0, 'f', decimals, 64) {
		return s[1:]
	}
	return s
}

// Clock is a duration as 0:05, 12:34 or 3:05:10.
func Clock(d time.Duration) string {
	s := int(max(d, 0).Seconds())
	if s < 3600 {
		return fmt.Sprintf("%d:%02d", s/60, s%60)
	}
	return fmt.Sprintf("%d:%02d:%02d", s/3600, s/60%60, s%60)
}

// Decibels is a PSNR.
func Decibels(v float64) string {
	switch {
	case math.IsNaN(v):
		return "–"
	case math.IsInf(v, 1):
		return "equal"
	}
	return fmt.Sprintf("%.1f dB", v)
}

// Memory is an amount of MiB.
func Memory(mib float64) string {
	if mib >= 10240 {
		return fmt.Sprintf("%.1f GiB", mib/1024)
	}
	return fmt.Sprintf("%.0f MiB", mib)
}

// State is a state for people; a run whose engine has not begun has none yet.
func State(state string) string {
	if state == "" {
		return "new"
	}
	return state
}

// aspectNames are the aspects whose name is not the word for it.
var aspectNames = map[string]string{"oversexualization": "over-sexualization", "over-sexualisation": "over-sexualization"}

// Aspect is an aspect's name.
func Aspect(aspect string) string {
	if name, ok := aspectNames[aspect]; ok {
		return name
	}
	return aspect
}

func control(c *core.Control) string {
	switch {
	case c.To != "" && c.From != "":
		return fmt.Sprintf("%s: %s → %s", c.Key, c.From, c.To)
	case c.To != "":
		return fmt.Sprintf("%s: %s", c.Key, c.To)
	}
	return "told to " + c.Key
}

// Alarm is what was found, what the limit is, and what was done about it.
func Alarm(e *core.Event) string {
	a := e.Alarm
	text := e.Message
	if text == "" {
		text = strings.TrimSpace(a.Name + " " + Aspect(a.Subject))
		if a.Value == a.Value {
			text += " " + Number(a.Value, 3)
		}
		if a.Limit == a.Limit {
			text += ", limit " + Number(a.Limit, 3)
		}
	}
	switch a.Action {
	case run.Stopped, "stop":
		text += "; the run was stopped"
	case "rollback":
		text += "; it went back to the last good checkpoint"
	case "skip":
		text += "; the step was left out"
	}
	return text
}

// Evaluation is what held-out rewards say of the tuned model.
func Evaluation(v *core.Evaluation) string {
	text := fmt.Sprintf("held out, %s: ", Plural(v.Pictures, "image"))
	var parts []string
	for _, a := range v.Aspects {
		value := a.HeldOut
		if value != value {
			value = a.Reward
		}
		part := Aspect(a.Aspect) + " " + Number(value, 3)
		if a.Fixed == a.Fixed {
			part += fmt.Sprintf(" (%.0f %%%s fixed)", 100*a.Fixed, Of(a.Faulty))
		}
		parts = append(parts, part)
	}
	return text + strings.Join(parts, ", ")
}

// Of says of how many something is a share: " of 20", nothing where that is not known.
func Of(n float64) string {
	if n >= 1 {
		return fmt.Sprintf(" of %.0f", n)
	}
	return ""
}

// scores are each aspect's reward before and after.
func scores(aspects []core.AspectScore) string {
	var parts []string
	for _, a := range aspects {
		parts = append(parts, fmt.Sprintf("%s %s → %s", Aspect(a.Aspect), Number(a.Base, 2), Number(a.Reward, 2)))
	}
	return strings.Join(parts, ", ")
}

// Event is what an event says, in one line.
func Event(e *core.Event) string {
	switch {
	case e.Kind == "state" && e.Message != "" && e.State == run.Running:
		return e.Message
	case e.Kind == "state" && e.Message != "":
		return State(e.State) + ": " + e.Message
	case e.Kind == "state":
		return State(e.State)
	case e.Alarm != nil:
		return Alarm(e)
	case e.Control != nil:
		return control(e.Control)
	case e.Kind == "checkpoint":
		return "saved " + e.Path
	case e.Evaluation != nil:
		return Evaluation(e.Evaluation)
	case e.Fix != nil:
		return fmt.Sprintf("%s in %q, seed %d: %s, %.1f s", Verdict(*e.Fix), e.Fix.Prompt, e.Fix.Seed, FixJudges(*e.Fix), e.Fix.Seconds)
	case e.Prompt != nil && e.Prompt.Fix:
		return fmt.Sprintf("repaired %q, seed %d: %s", e.Prompt.Prompt, e.Prompt.Seed, scores(e.Prompt.Aspects))
	case e.Prompt != nil:
		return fmt.Sprintf("drew %q, seed %d: %s", e.Prompt.Prompt, e.Prompt.Seed, scores(e.Prompt.Aspects))
	}
	return strings.TrimSpace(e.Kind + " " + e.Message)
}
