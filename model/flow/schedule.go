package flow

import (
	"fmt"
	"math"

	"focusnfix/model/backbone"
	"focusnfix/model/config"
)

// Schedule is the scheduler_config.json of a FlowMatchEulerDiscreteScheduler: noise levels from 1, which is
// noise alone, to 0, the image. A step follows the velocity down to the next level, x += (next - level)·v
// (Liu et al., arXiv 2209.03003; Esser et al., arXiv 2403.03206).
type Schedule struct {
	NumTrainTimesteps int     `json:"num_train_timesteps"`
	Shift             float64 `json:"shift"` // above 1 spends more steps on noise
	Dynamic           bool    `json:"use_dynamic_shifting"`
	BaseShift         float64 `json:"base_shift"` // log of the shift at BaseTokens, if dynamic
	MaxShift          float64 `json:"max_shift"`  // and at MaxTokens
	BaseTokens        int64   `json:"base_image_seq_len"`
	MaxTokens         int64   `json:"max_image_seq_len"`
	TimeShiftType     string  `json:"time_shift_type"` // how a dynamic shift bends the levels: exponential or linear
}

func defaultSchedule() Schedule {
	return Schedule{
		NumTrainTimesteps: 1000, Shift: 1, BaseShift: 0.5, MaxShift: 1.15, BaseTokens: 256, MaxTokens: 4096, TimeShiftType: "exponential",
	}
}

// scheduleKeys are keys that change the levels, with the values that leave them as they are here.
var scheduleKeys = config.Keys{Plain: map[string][]any{
	"_class_name": {"FlowMatchEulerDiscreteScheduler"}, "invert_sigmas": {false}, "shift_terminal": {},
	"use_karras_sigmas": {false}, "use_exponential_sigmas": {false}, "use_beta_sigmas": {false}, "stochastic_sampling": {false},
}}

// ParseSchedule reads the text of a scheduler_config.json; file is what errors call it.
func ParseSchedule(file string, text []byte) (Schedule, error) {
	s := defaultSchedule()
	if err := config.Parse(file, text, &s, scheduleKeys); err != nil {
		return Schedule{}, err
	}
	if s.NumTrainTimesteps < 1 || !(s.Shift > 0 && s.Shift < 1e6) || s.BaseTokens >= s.MaxTokens || s.TimeShiftType != "exponential" && s.TimeShiftType != "linear" {
		return s, fmt.Errorf("%s: num_train_timesteps %d, shift %g, image_seq_len %d to %d, time_shift_type %q: want 1 or more, more than 0, rising, exponential or linear",
			file, s.NumTrainTimesteps, s.Shift, s.BaseTokens, s.MaxTokens, s.TimeShiftType)
	}
	return s, nil
}

// table is the sampler's: the network is told a level times 1000, and a step follows its velocity.
func (s Schedule) table(numSteps int, tokens int64, fromOne bool) (*backbone.Scheduler, error) {
	levels, err := s.Levels(numSteps, tokens, fromOne)
	if err != nil {
		return nil, err
	}
	table := &backbone.Scheduler{InitNoiseSigma: 1}
	for i, level := range levels[:numSteps] {
		at := func(what backbone.Quantity, weight float64) backbone.Term {
			return backbone.Term{Symbol: backbone.Symbol{At: i, What: what}, Weight: weight}
		}
		table.Timesteps = append(table.Timesteps, float64(float32(level)*1000))
		table.Rows = append(table.Rows, backbone.Row{
			Input:    1,
			Estimate: []backbone.Term{at(backbone.OfLatents, 1), at(backbone.OfOutput, -level)},
			Next:     []backbone.Term{at(backbone.OfLatents, 1), at(backbone.OfOutput, levels[i+1]-level)},
			Signal:   1 - level, Sigma: level,
		})
	}
	return table, nil
}

// Levels are those of numSteps steps, the last being 0. tokens is the number of the image's, which a dynamic shift
// depends on. They are rounded to float32, as in diffusers. fromOne starts at 1 and ends at 1/numSteps, as Z-Image's
// pipeline asks; otherwise the levels end at the lowest that was trained.
func (s Schedule) Levels(numSteps int, tokens int64, fromOne bool) ([]float64, error) {
	if numSteps < 1 || numSteps > s.NumTrainTimesteps {
		return nil, fmt.Errorf("%d steps, want 1 to %d", numSteps, s.NumTrainTimesteps)
	}
	highest, lowest := 1.0, 1/float64(s.NumTrainTimesteps)
	if !s.Dynamic {
		highest, lowest = float64(float32(s.bend(highest, s.Shift))), float64(float32(s.bend(float64(float32(lowest)), s.Shift)))
	}
	if fromOne {
		highest, lowest = 1, 1/float64(numSteps)
	}
	levels := make([]float64, numSteps+1)
	for i := range numSteps {
		level := highest
		if numSteps > 1 {
			level += (lowest - highest) * float64(i) / float64(numSteps-1)
		}
		levels[i] = float64(float32(s.shifted(level, tokens)))
	}
	return levels, nil
}

// shifted bends a level towards noise.
func (s Schedule) shifted(level float64, tokens int64) float64 {
	if !s.Dynamic {
		return s.bend(level, s.Shift)
	}
	slope := (s.MaxShift - s.BaseShift) / float64(s.MaxTokens-s.BaseTokens)
	mu := float64(tokens)*slope + s.BaseShift - slope*float64(s.BaseTokens)
	if s.TimeShiftType == "exponential" {
		mu = math.Exp(mu)
	}
	return mu / (mu + 1/level - 1)
}

// bend is shift·level / (1 + (shift-1)·level).
func (s Schedule) bend(level, shift float64) float64 { return shift * level / (1 + (shift-1)*level) }
