package sd

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// SchedulerConfig is what a diffusers scheduler_config.json says, under the same names.
type SchedulerConfig struct {
	Class              string  `json:"_class_name"`
	NumTrainTimesteps  int     `json:"num_train_timesteps"`
	BetaStart          float64 `json:"beta_start"`
	BetaEnd            float64 `json:"beta_end"`
	BetaSchedule       string  `json:"beta_schedule"`          // linear, scaled_linear, squaredcos_cap_v2
	PredictionType     string  `json:"prediction_type"`        // epsilon, v_prediction, sample
	TimestepSpacing    string  `json:"timestep_spacing"`       // leading, trailing, linspace
	StepsOffset        int     `json:"steps_offset"`           // added to timesteps spaced "leading"
	SetAlphaToOne      bool    `json:"set_alpha_to_one"`       // DDIM: ᾱ behind the last step is 1, not ᾱ_0
	RescaleBetasToZero bool    `json:"rescale_betas_zero_snr"` // the last timestep is pure noise (arXiv 2305.08891)
	UseKarrasSigmas    bool    `json:"use_karras_sigmas"`      // Euler, DPM-Solver++ (arXiv 2206.00364, eq. 5)
	FinalSigmasType    string  `json:"final_sigmas_type"`      // zero, sigma_min: Euler, DPM-Solver++
	LowerOrderFinal    bool    `json:"lower_order_final"`      // DPM-Solver++: first order at the end of few steps
	EulerAtFinal       bool    `json:"euler_at_final"`         // DPM-Solver++: first order at the end
}

// Scheduler classes of diffusers.
const (
	DDIM           = "DDIMScheduler"
	Euler          = "EulerDiscreteScheduler"
	EulerAncestral = "EulerAncestralDiscreteScheduler"
	DPMSolver      = "DPMSolverMultistepScheduler" // DPM-Solver++ 2M
	pndm           = "PNDMScheduler"               // of SD 1.x folders; run as DDIM: same noise levels
)

// schedulerNames are the names in config.toml and on the command line.
var schedulerNames = map[string]string{
	"ddim": DDIM, "euler": Euler, "euler_a": EulerAncestral, "dpm++": DPMSolver, "dpm++_karras": DPMSolver,
}

// SchedulerNames lists the names that ParseSchedulerConfig knows.
func SchedulerNames() []string { return []string{"ddim", "euler", "euler_a", "dpm++", "dpm++_karras"} }

// schedulerDefaults are those of the classes' constructors in diffusers.
func schedulerDefaults(class string) SchedulerConfig {
	cfg := SchedulerConfig{
		Class: class, NumTrainTimesteps: 1000, BetaStart: 0.0001, BetaEnd: 0.02, BetaSchedule: "linear",
		PredictionType: "epsilon", TimestepSpacing: "linspace", FinalSigmasType: "zero", LowerOrderFinal: true,
	}
	if class == DDIM {
		cfg.TimestepSpacing, cfg.SetAlphaToOne = "leading", true
	}
	return cfg
}

// ParseSchedulerConfig reads a scheduler_config.json. A name out of SchedulerNames replaces the file's
// class, as diffusers' from_config does: what the file sets stays, the rest are the new class's
// defaults. An empty name keeps the class; PNDMScheduler becomes DDIM. clip_sample is read as false,
// which diffusers' pipelines force. file is what errors call the file.
func ParseSchedulerConfig(file string, data []byte, name string) (SchedulerConfig, error) {
	keys := map[string]any{}
	if err := json.Unmarshal(data, &keys); err != nil {
		return SchedulerConfig{}, fmt.Errorf("%s: not JSON: %w", file, err)
	}
	class, _ := keys["_class_name"].(string)
	if name != "" {
		known, ok := schedulerNames[name]
		if !ok {
			return SchedulerConfig{}, fmt.Errorf("scheduler %q is unknown, want one of %s", name, strings.Join(SchedulerNames(), ", "))
		}
		class = known
	}
	cfg := schedulerDefaults(class)
	if class == pndm {
		class = DDIM
		cfg = schedulerDefaults(DDIM)
		cfg.SetAlphaToOne = false
	}
	if err := json.Unmarshal(data, &cfg); err != nil {
		return SchedulerConfig{}, fmt.Errorf("%s: %w", file, err)
	}
	cfg.Class = class
	if name == "dpm++_karras" {
		cfg.UseKarrasSigmas = true
	}
	if err := errors.Join(refuseKeys(keys, plainSchedulerKeys), cfg.Validate()); err != nil {
		return SchedulerConfig{}, fmt.Errorf("%s: %w", file, err)
	}
	return cfg, nil
}

// plainSchedulerKeys are keys that change the mathematics, with the one value that is computed here.
var plainSchedulerKeys = map[string]any{
	"trained_betas": nil, "thresholding": false, "use_exponential_sigmas": false, "use_beta_sigmas": false,
	"use_lu_lambdas": false, "use_flow_sigmas": false, "interpolation_type": "linear", "timestep_type": "discrete",
	"sigma_min": nil, "sigma_max": nil, "solver_order": 2.0, "algorithm_type": "dpmsolver++",
	"solver_type": "midpoint", "variance_type": nil,
}

// Validate reports every value that no scheduler here computes.
func (c SchedulerConfig) Validate() error {
	var errs []error
	oneOf := func(key, got string, want ...string) {
		if !slices.Contains(want, got) {
			errs = append(errs, fmt.Errorf("%s: %q is not supported, want one of %s", key, got, strings.Join(want, ", ")))
		}
	}
	oneOf("_class_name", c.Class, DDIM, Euler, EulerAncestral, DPMSolver)
	oneOf("beta_schedule", c.BetaSchedule, "linear", "scaled_linear", "squaredcos_cap_v2")
	oneOf("prediction_type", c.PredictionType, "epsilon", "v_prediction", "sample")
	oneOf("timestep_spacing", c.TimestepSpacing, "leading", "trailing", "linspace")
	oneOf("final_sigmas_type", c.FinalSigmasType, "zero", "sigma_min")
	if c.NumTrainTimesteps < 2 || c.NumTrainTimesteps > 1_000_000 {
		errs = append(errs, fmt.Errorf("num_train_timesteps: %d, want 2 to 1000000", c.NumTrainTimesteps))
	}
	if !(c.BetaStart > 0 && c.BetaStart < c.BetaEnd && c.BetaEnd < 1) {
		errs = append(errs, fmt.Errorf("beta_start, beta_end: %g, %g, want 0 < start < end < 1", c.BetaStart, c.BetaEnd))
	}
	if c.StepsOffset < 0 || c.StepsOffset >= c.NumTrainTimesteps {
		errs = append(errs, fmt.Errorf("steps_offset: %d, want 0 to %d", c.StepsOffset, c.NumTrainTimesteps-1))
	}
	if c.RescaleBetasToZero && c.PredictionType == "epsilon" {
		errs = append(errs, errors.New("rescale_betas_zero_snr: pure noise says nothing about the picture to an epsilon model, want v_prediction"))
	}
	return errors.Join(errs...)
}
