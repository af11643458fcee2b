package core

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"
)

var (
	aspectName = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,39}$`)
	deviceName = regexp.MustCompile(`^(auto|cpu|cuda(:\d{1,3})?)$`)
)

// Validate reports every problem at once, each with its key, its value and what is allowed.
func (c *Config) Validate() error {
	var problems []error
	wrong := func(key, format string, args ...any) {
		problems = append(problems, fmt.Errorf("%s: %s", key, fmt.Sprintf(format, args...)))
	}
	for _, f := range c.fields() {
		if err := f.check(); err != nil {
			problems = append(problems, err)
		}
	}
	if c.Model.Path == "" {
		wrong("model.path", "empty, want a model; \"builtin:scenes\" is the shipped one")
	}
	if !deviceName.MatchString(c.Model.Device) {
		wrong("model.device", "%q, want auto, cpu, cuda or cuda:N", c.Model.Device)
	}
	if len(c.LoRA.Targets) == 0 {
		wrong("lora.targets", "empty, want one or more of attention, feedforward, convolution, time, text")
	}
	if k := c.Train.BackpropSteps; k > c.Sample.NumSteps {
		wrong("train.backprop_steps", "%d, want at most sample.num_steps, %d", k, c.Sample.NumSteps)
	}
	if n := c.Train.NoisedCopies; n > 0 && c.Train.BackpropSteps != 1 {
		wrong("train.noised_copies", "%d with train.backprop_steps %d, want 0, or 1 backprop step", n, c.Train.BackpropSteps)
	}
	if n := c.Train.NoisedCopies; n > 0 && c.Train.Gradient != "chained" {
		wrong("train.noised_copies", "%d with train.gradient %q, want 0, or chained", n, c.Train.Gradient)
	}
	if c.Train.Prompts == "" {
		wrong("train.prompts", "empty, want a list's name or a text file")
	}
	return errors.Join(append(problems, c.checkRewards()...)...)
}

// checkRewards looks at what no single key shows.
func (c *Config) checkRewards() (problems []error) {
	seen, trained := map[string]bool{}, false
	for _, r := range c.Reward {
		if !aspectName.MatchString(r.Aspect) {
			problems = append(problems, fmt.Errorf("reward.aspect: %q, want a name of a-z, 0-9, - and _", r.Aspect))
		}
		if seen[r.Aspect] {
			problems = append(problems, fmt.Errorf("reward.aspect: %q twice, want each aspect once", r.Aspect))
		}
		if r.Model == "" {
			problems = append(problems, fmt.Errorf("reward.%s.model: empty, want a judge by name or as name:path", r.Aspect))
		}
		if r.HeldOut != "" && r.HeldOut == r.Model {
			problems = append(problems, fmt.Errorf("reward.%s.held_out: %q is what is trained on, want another judge or none", r.Aspect, r.HeldOut))
		}
		seen[r.Aspect], trained = true, trained || r.Weight > 0
	}
	if !trained {
		problems = append(problems, errors.New("reward: none has a weight above 0, want at least one aspect to train on"))
	}
	return problems
}

// check holds a value against its own rule.
func (f field) check() error {
	var number float64
	switch v := f.value.Interface().(type) {
	case string:
		return f.checkWord(v)
	case []string:
		for i, word := range v {
			if err := f.checkWord(word); err != nil {
				return err
			}
			if slices.Contains(v[:i], word) {
				return fmt.Errorf("%s: %q twice", f.name, word)
			}
		}
		return nil
	case Size:
		if v != (Size{}) && (!sideFits(v.Width) || !sideFits(v.Height)) {
			return fmt.Errorf("%s: %v, want multiples of 8 up to 4096", f.name, v)
		}
		return nil
	case int:
		number = float64(v)
	case float64:
		number = v
	default:
		return nil
	}
	if math.IsNaN(number) || number < f.min || number > f.max {
		return fmt.Errorf("%s: %v, want %s to %s", f.name, f.value.Interface(), plainNumber(f.min), plainNumber(f.max))
	}
	return nil
}

func (f field) checkWord(word string) error {
	if Clean(word) != word {
		return fmt.Errorf("%s: %q has control characters, want plain text", f.name, word)
	}
	option := word
	if f.rule.name == "reward.heatmap" && strings.HasPrefix(word, "attention:") {
		option = "attention" // words follow
	}
	if f.options != nil && !slices.Contains(f.options, option) {
		return fmt.Errorf("%s: %q, want %s", f.name, word, strings.Join(f.options, ", "))
	}
	return nil
}
