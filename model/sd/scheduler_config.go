package sd

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"focusnfix/model/config"
)

// SchedulerConfig is what a diffusers scheduler_config.json says, under the same names. The keys that a
// class does not have keep the zero value or a default.
type SchedulerConfig struct {
	Class              string  `json:"_class_name"`
	NumTrainTimesteps  int     `json:"num_train_timesteps"`
	BetaStart          float64 `json:"beta_start"`
	BetaEnd            float64 `json:"beta_end"`
	BetaSchedule       string  `json:"beta_schedule"`          // linear, scaled_linear, squaredcos_cap_v2
	PredictionType     string  `json:"prediction_type"`        // epsilon, v_prediction, sample
	TimestepSpacing    string  `json:"timestep_spacing"`       // leading, trailing, linspace
	StepsOffset        int     `json:"steps_offset"`           // added to timesteps spaced "leading"
	SetAlphaToOne      bool    `json:"set_alpha_to_one"`       // DDIM, PNDM: ᾱ behind the last step is 1, not ᾱ_0
	RescaleBetasToZero bool    `json:"rescale_betas_zero_snr"` // the last timestep is pure noise (arXiv 2305.08891)
	UseKarrasSigmas    bool    `json:"use_karras_sigmas"`      // arXiv 2206.00364, eq. 5
	FinalSigmasType    string  `json:"final_sigmas_type"`      // zero, sigma_min
	LowerOrderFinal    bool    `json:"lower_order_final"`      // multistep solvers: lower order at the end of few steps
	EulerAtFinal       bool    `json:"euler_at_final"`         // DPM-Solver: first order at the end

	TrainedBetas []float64 `json:"trained_betas,omitempty"` // in place of a schedule

	// The estimate x̂0 is cut at ±range, or at a quantile of its own values.
	ClipSample               bool    `json:"clip_sample,omitempty"`
	ClipSampleRange          float64 `json:"clip_sample_range,omitempty"`
	Thresholding             bool    `json:"thresholding,omitempty"`
	DynamicThresholdingRatio float64 `json:"dynamic_thresholding_ratio,omitempty"`
	SampleMaxValue           float64 `json:"sample_max_value,omitempty"`

	// How noise levels are spaced.
	UseExponentialSigmas bool     `json:"use_exponential_sigmas,omitempty"`
	UseBetaSigmas        bool     `json:"use_beta_sigmas,omitempty"`
	UseLuLambdas         bool     `json:"use_lu_lambdas,omitempty"`     // DPM-Solver: evenly in lambda
	InterpolationType    string   `json:"interpolation_type,omitempty"` // Euler: linear, log_linear
	TimestepType         string   `json:"timestep_type,omitempty"`      // Euler: discrete, continuous
	SigmaMin             *float64 `json:"sigma_min,omitempty"`
	SigmaMax             *float64 `json:"sigma_max,omitempty"`
	LambdaMinClipped     *float64 `json:"lambda_min_clipped,omitempty"` // DPM-Solver; nil is -Infinity

	SolverOrder      int     `json:"solver_order,omitempty"`   // DPM-Solver, UniPC, DEIS: 1 to 3
	AlgorithmType    string  `json:"algorithm_type,omitempty"` // DPM-Solver: [sde-]dpmsolver[++]
	SolverType       string  `json:"solver_type,omitempty"`    // DPM-Solver: midpoint, heun; UniPC: bh1, bh2
	PredictX0        bool    `json:"predict_x0,omitempty"`     // UniPC
	DisableCorrector []int64 `json:"disable_corrector,omitempty"`
	SkipPRKSteps     bool    `json:"skip_prk_steps,omitempty"` // PNDM
	VarianceType     string  `json:"variance_type,omitempty"`  // DDPM: fixed_small, fixed_large

	OriginalInferenceSteps int     `json:"original_inference_steps,omitempty"` // LCM, TCD: of the teacher
	TimestepScaling        float64 `json:"timestep_scaling,omitempty"`         // LCM

	SigmaData     float64 `json:"sigma_data,omitempty"`     // EDM
	SigmaSchedule string  `json:"sigma_schedule,omitempty"` // EDM: karras, exponential
	Rho           float64 `json:"rho,omitempty"`            // EDM
}

// Scheduler classes of diffusers.
const (
	DDIM           = "DDIMScheduler"
	DDPM           = "DDPMScheduler"
	PNDM           = "PNDMScheduler"
	LCM            = "LCMScheduler"
	TCD            = "TCDScheduler"
	Euler          = "EulerDiscreteScheduler"
	EulerAncestral = "EulerAncestralDiscreteScheduler"
	Heun           = "HeunDiscreteScheduler"
	DPMSolver      = "DPMSolverMultistepScheduler" // DPM-Solver++ 2M and its kin
	UniPC          = "UniPCMultistepScheduler"
	DEIS           = "DEISMultistepScheduler"
	EDMEuler       = "EDMEulerScheduler"
	EDMDPMSolver   = "EDMDPMSolverMultistepScheduler"
)

// schedulerName is a name in config.toml and on the command line.
type schedulerName struct {
	name, class string
	change      func(c *SchedulerConfig) // nil changes nothing else
}

func karrasSpaced(c *SchedulerConfig)      { c.UseKarrasSigmas = true }
func exponentialSpaced(c *SchedulerConfig) { c.UseExponentialSigmas = true }
func betaSpaced(c *SchedulerConfig)        { c.UseBetaSigmas = true }
func trailing(c *SchedulerConfig)          { c.TimestepSpacing = "trailing" }

func order(n int) func(c *SchedulerConfig) { return func(c *SchedulerConfig) { c.SolverOrder = n } }

func stochastic(c *SchedulerConfig) { c.AlgorithmType = "sde-dpmsolver++" }

// both makes two changes.
func both(a, b func(c *SchedulerConfig)) func(c *SchedulerConfig) {
	return func(c *SchedulerConfig) { a(c); b(c) }
}

var schedulerNames = []schedulerName{
	{"ddim", DDIM, nil},
	{"ddim_trailing", DDIM, trailing},
	{"ddpm", DDPM, nil},
	{"pndm", PNDM, func(c *SchedulerConfig) { c.SkipPRKSteps = true }},
	{"euler", Euler, nil},
	{"euler_karras", Euler, karrasSpaced},
	{"euler_exponential", Euler, exponentialSpaced},
	{"euler_beta", Euler, betaSpaced},
	{"euler_trailing", Euler, trailing},
	{"euler_a", EulerAncestral, nil},
	{"euler_a_trailing", EulerAncestral, trailing},
	{"heun", Heun, nil},
	{"heun_karras", Heun, karrasSpaced},
	{"lcm", LCM, nil},
	{"tcd", TCD, nil},
	{"dpm++", DPMSolver, nil},
	{"dpm++_karras", DPMSolver, karrasSpaced},
	{"dpm++_exponential", DPMSolver, exponentialSpaced},
	{"dpm++_beta", DPMSolver, betaSpaced},
	{"dpm++_1", DPMSolver, order(1)},
	{"dpm++_3", DPMSolver, order(3)},
	{"dpm++_3_karras", DPMSolver, both(order(3), karrasSpaced)},
	{"dpm++_sde", DPMSolver, stochastic},
	{"dpm++_sde_karras", DPMSolver, both(stochastic, karrasSpaced)},
	{"unipc", UniPC, nil},
	{"unipc_karras", UniPC, karrasSpaced},
	{"deis", DEIS, nil},
}

// SchedulerNames lists the names that ParseSchedulerConfig knows.
func SchedulerNames() []string {
	names := make([]string, len(schedulerNames))
	for i, n := range schedulerNames {
		names[i] = n.name
	}
	return names
}

// schedulerDefaults are those of the classes' constructors in diffusers.
func schedulerDefaults(class string) SchedulerConfig {
	cfg := SchedulerConfig{
		Class: class, NumTrainTimesteps: 1000, BetaStart: 0.0001, BetaEnd: 0.02, BetaSchedule: "linear",
		PredictionType: "epsilon", TimestepSpacing: "linspace", FinalSigmasType: "zero", LowerOrderFinal: true,
		ClipSampleRange: 1, DynamicThresholdingRatio: 0.995, SampleMaxValue: 1, SolverOrder: 2,
	}
	switch class {
	case DDIM:
		cfg.TimestepSpacing, cfg.SetAlphaToOne, cfg.ClipSample = "leading", true, true
	case DDPM:
		cfg.TimestepSpacing, cfg.ClipSample, cfg.VarianceType = "leading", true, "fixed_small"
	case PNDM:
		cfg.TimestepSpacing = "leading"
	case LCM, TCD:
		cfg.TimestepSpacing, cfg.SetAlphaToOne = "leading", true
		cfg.BetaStart, cfg.BetaEnd, cfg.BetaSchedule = 0.00085, 0.012, "scaled_linear"
		cfg.OriginalInferenceSteps, cfg.TimestepScaling = 50, 10
	case Heun:
		cfg.BetaStart, cfg.BetaEnd = 0.00085, 0.012
	case DPMSolver:
		cfg.AlgorithmType, cfg.SolverType = "dpmsolver++", "midpoint"
	case UniPC:
		cfg.SolverType, cfg.PredictX0 = "bh2", true
	case DEIS:
		cfg.AlgorithmType, cfg.SolverType = "deis", "logrho"
	case EDMEuler, EDMDPMSolver:
		low, high := 0.002, 80.0
		cfg.SigmaMin, cfg.SigmaMax, cfg.SigmaData, cfg.SigmaSchedule, cfg.Rho = &low, &high, 0.5, "karras", 7
		cfg.AlgorithmType, cfg.SolverType = "dpmsolver++", "midpoint"
	}
	return cfg
}

// ParseSchedulerConfig reads a scheduler_config.json. A name out of SchedulerNames replaces the file's
// class, as diffusers' from_config does: what the file sets stays, the rest are the new class's
// defaults. An empty name keeps the class. Keys that only other classes have are left out, as diffusers
// does. file is what errors call the file.
func ParseSchedulerConfig(file string, data []byte, name string) (SchedulerConfig, error) {
	return parseScheduler(file, data, "", name)
}

// parseScheduler is ParseSchedulerConfig; a class that is not empty takes the place of the file's.
func parseScheduler(file string, data []byte, class, name string) (SchedulerConfig, error) {
	values, err := config.Object(file, data)
	if err != nil {
		return SchedulerConfig{}, err
	}
	if class == "" {
		class, _ = values["_class_name"].(string)
	}
	var change func(*SchedulerConfig)
	if name != "" {
		i := slices.IndexFunc(schedulerNames, func(n schedulerName) bool { return n.name == name })
		if i < 0 {
			return SchedulerConfig{}, fmt.Errorf("scheduler %q is unknown, want one of %s", name, strings.Join(SchedulerNames(), ", "))
		}
		class, change = schedulerNames[i].class, schedulerNames[i].change
	}
	if schedulerKeys[class] == nil {
		return SchedulerConfig{}, fmt.Errorf("%s: %w", file, unknownScheduler(class))
	}
	cfg := schedulerDefaults(class)
	if name != "" { // who chooses DDIM does not choose its default of cutting latents off at ±1, which no model was trained for
		cfg.ClipSample = false
	}
	if err := config.Fill(file, keysOf(class, values), &cfg, plainSchedulerKeys); err != nil {
		return SchedulerConfig{}, err
	}
	cfg.Class = class
	if change != nil {
		if cfg.respaced() { // of a file that spaces noise levels otherwise than the name says
			cfg.UseKarrasSigmas, cfg.UseExponentialSigmas, cfg.UseBetaSigmas, cfg.UseLuLambdas = false, false, false, false
		}
		change(&cfg)
	}
	cfg.adopt()
	if err := cfg.Validate(); err != nil {
		return SchedulerConfig{}, fmt.Errorf("%s: %w", file, err)
	}
	return cfg, nil
}

// unknownScheduler refuses a class; --scheduler chooses another one with the same noise levels.
func unknownScheduler(class string) error {
	return fmt.Errorf("_class_name: %q is not supported; choose a scheduler, such as euler or dpm++", class)
}

// keysOf leaves out keys that the class does not have but another one does.
func keysOf(class string, values map[string]any) map[string]any {
	own := make(map[string]any, len(values))
	for key, value := range values {
		if slices.Contains(schedulerKeys[class], key) || !foreignSchedulerKeys[key] {
			own[key] = value
		}
	}
	return own
}

// adopt turns values that another class's file has into this class's own, as diffusers does.
func (c *SchedulerConfig) adopt() {
	if l := c.LambdaMinClipped; l != nil && math.IsInf(*l, -1) {
		c.LambdaMinClipped = nil
	}
	foreign := func(value string, of ...string) bool { return slices.Contains(of, value) }
	switch c.Class {
	case DPMSolver, EDMDPMSolver:
		if c.AlgorithmType == "deis" {
			c.AlgorithmType = "dpmsolver++"
		}
		if foreign(c.SolverType, "logrho", "bh1", "bh2") {
			c.SolverType = "midpoint"
		}
	case UniPC:
		if foreign(c.SolverType, "midpoint", "heun", "logrho") {
			c.SolverType = "bh2"
		}
	case DEIS:
		if foreign(c.SolverType, "midpoint", "heun", "bh1", "bh2") {
			c.SolverType = "logrho"
		}
		if foreign(c.AlgorithmType, "dpmsolver", "dpmsolver++") {
			c.AlgorithmType = "deis"
		}
	}
	c.clear()
}

// clear takes out what is not read, so that configurations that draw the same are the same.
func (c *SchedulerConfig) clear() {
	has := func(key string) bool { return slices.Contains(schedulerKeys[c.Class], key) }
	if !has("solver_order") {
		c.SolverOrder = 0
	}
	if !c.ClipSample || c.Thresholding || !has("clip_sample") {
		c.ClipSample, c.ClipSampleRange = false, 0
	}
	if !c.Thresholding || !has("thresholding") {
		c.Thresholding, c.DynamicThresholdingRatio, c.SampleMaxValue = false, 0, 0
	}
	if c.InterpolationType == "linear" {
		c.InterpolationType = ""
	}
	if c.TimestepType == "discrete" {
		c.TimestepType = ""
	}
}

// Validate reports every value that no scheduler here computes, in one line.
func (c SchedulerConfig) Validate() error {
	if schedulerKeys[c.Class] == nil {
		return unknownScheduler(c.Class)
	}
	var errs []error
	wrong := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	oneOf := func(key, got string, want ...string) {
		if slices.Contains(schedulerKeys[c.Class], key) && !slices.Contains(want, got) {
			wrong("%s: %.40q is not supported, want one of %s", key, got, strings.Join(want, ", "))
		}
	}
	oneOf("beta_schedule", c.BetaSchedule, "linear", "scaled_linear", "squaredcos_cap_v2")
	oneOf("timestep_spacing", c.TimestepSpacing, "leading", "trailing", "linspace")
	oneOf("final_sigmas_type", c.FinalSigmasType, "zero", "sigma_min")
	oneOf("interpolation_type", c.InterpolationType, "", "linear", "log_linear")
	oneOf("timestep_type", c.TimestepType, "", "discrete", "continuous")
	oneOf("sigma_schedule", c.SigmaSchedule, "karras", "exponential")
	switch c.Class {
	case PNDM, EDMEuler, EDMDPMSolver:
		oneOf("prediction_type", c.PredictionType, "epsilon", "v_prediction")
	default:
		oneOf("prediction_type", c.PredictionType, "epsilon", "v_prediction", "sample")
	}
	errs = append(errs, c.validateSolver()...)
	if c.NumTrainTimesteps < 2 || c.NumTrainTimesteps > 1_000_000 {
		wrong("num_train_timesteps: %d, want 2 to 1000000", c.NumTrainTimesteps)
	}
	if c.StepsOffset < 0 || c.StepsOffset >= c.NumTrainTimesteps {
		wrong("steps_offset: %d, want 0 to %d", c.StepsOffset, c.NumTrainTimesteps-1)
	}
	return config.Join(append(errs, c.validateNoise()...)...)
}

// solverWords are the words that a class takes for the three keys of its solver; nil is any.
var solverWords = map[string]struct{ algorithm, solver, variance []string }{
	DPMSolver:    {[]string{"dpmsolver++", "sde-dpmsolver++", "dpmsolver", "sde-dpmsolver"}, []string{"midpoint", "heun"}, []string{""}},
	EDMDPMSolver: {[]string{"dpmsolver++", "sde-dpmsolver++"}, []string{"midpoint", "heun"}, nil},
	UniPC:        {nil, []string{"bh1", "bh2"}, nil},
	DEIS:         {[]string{"deis"}, []string{"logrho"}, nil},
	DDPM:         {nil, nil, []string{"fixed_small", "fixed_small_log", "fixed_large"}},
}

// check is one rule of a configuration and what to say where it is broken.
type check struct {
	ok     bool
	format string
	args   []any
}

// broken lists what the checks say that fail.
func broken(checks ...check) (errs []error) {
	for _, c := range checks {
		if !c.ok {
			errs = append(errs, fmt.Errorf(c.format, c.args...))
		}
	}
	return errs
}

// validateSolver looks at what single classes have.
func (c SchedulerConfig) validateSolver() []error {
	oneOf := func(key, got string, want []string) check {
		return check{want == nil || slices.Contains(want, got), "%s: %.40q is not supported, want one of %s", []any{key, got, strings.Join(want, ", ")}}
	}
	words := solverWords[c.Class]
	order := !slices.Contains(schedulerKeys[c.Class], "solver_order")
	noise := c.Class != DPMSolver || strings.HasSuffix(c.AlgorithmType, "++") // integrates the estimate
	distilled := c.Class != LCM && c.Class != TCD
	return broken(
		oneOf("algorithm_type", c.AlgorithmType, words.algorithm),
		oneOf("solver_type", c.SolverType, words.solver),
		oneOf("variance_type", c.VarianceType, words.variance),
		check{noise || c.FinalSigmasType != "zero", "final_sigmas_type: zero does not go with algorithm_type %.40s, want sigma_min", []any{c.AlgorithmType}},
		check{c.AlgorithmType != "sde-dpmsolver" || c.SolverOrder < 3, "solver_order: %d with algorithm_type sde-dpmsolver, want 1 or 2", []any{c.SolverOrder}},
		check{order || within(c.SolverOrder, 1, 3), "solver_order: %d, want 1 to 3", []any{c.SolverOrder}},
		check{
			distilled || within(c.OriginalInferenceSteps, 1, c.NumTrainTimesteps), "original_inference_steps: %d, want 1 to num_train_timesteps",
			[]any{c.OriginalInferenceSteps},
		},
		check{distilled || positive(c.TimestepScaling), "timestep_scaling: %g, want more than 0", []any{c.TimestepScaling}},
		check{!c.ClipSample || c.ClipSampleRange > 0, "clip_sample_range: %g, want more than 0", []any{c.ClipSampleRange}},
		check{
			!c.Thresholding || within(c.DynamicThresholdingRatio, 0, 1) && c.SampleMaxValue >= 0,
			"dynamic_thresholding_ratio, sample_max_value: %g, %g, want 0 to 1, and 0 or more",
			[]any{c.DynamicThresholdingRatio, c.SampleMaxValue},
		},
	)
}

func within[T int | float64](x, low, high T) bool { return x >= low && x <= high }

// positive reports whether x is more than 0 and of a size that can be computed with.
func positive(x float64) bool { return x > 0 && x < 1e6 }

// spacings counts the ways in which noise levels are spaced by themselves.
func (c SchedulerConfig) spacings() (n int) {
	for _, on := range []bool{c.UseKarrasSigmas, c.UseExponentialSigmas, c.UseBetaSigmas, c.UseLuLambdas} {
		if on {
			n++
		}
	}
	return n
}

// validateNoise looks at the noise levels.
func (c SchedulerConfig) validateNoise() []error {
	low, high := 1.0, 2.0 // where the file has none
	if c.SigmaMin != nil {
		low = *c.SigmaMin
	}
	if c.SigmaMax != nil {
		high = *c.SigmaMax
	}
	sigmas := check{positive(low) && positive(high), "sigma_min, sigma_max: %g, %g, want more than 0", []any{low, high}}
	if c.Class == EDMEuler || c.Class == EDMDPMSolver {
		return broken(sigmas, check{
			positive(c.SigmaData) && positive(c.Rho) && low < high, "sigma_min, sigma_max, sigma_data, rho: want positive numbers, sigma_min below sigma_max", nil,
		})
	}
	spacings := c.spacings()
	outside := func(b float64) bool { return !(b > 0 && b < 1) }
	n := len(c.TrainedBetas)
	return broken(
		sigmas,
		check{spacings <= 1, "use_karras_sigmas, use_exponential_sigmas, use_beta_sigmas, use_lu_lambdas: %d are true, want one at most", []any{spacings}},
		check{n == 0 || n == c.NumTrainTimesteps, "trained_betas: %d numbers, want num_train_timesteps, %d", []any{n, c.NumTrainTimesteps}},
		check{!slices.ContainsFunc(c.TrainedBetas, outside), "trained_betas: want numbers between 0 and 1", nil},
		check{
			n > 0 || !outside(c.BetaStart) && !outside(c.BetaEnd) && c.BetaStart < c.BetaEnd,
			"beta_start, beta_end: %g, %g, want 0 < start < end < 1",
			[]any{c.BetaStart, c.BetaEnd},
		},
		check{
			!c.RescaleBetasToZero || c.PredictionType != "epsilon",
			"rescale_betas_zero_snr: pure noise says nothing about the image to an epsilon model, want v_prediction", nil,
		},
	)
}

// title is what AUTOMATIC1111's web UI calls the scheduler.
func (c SchedulerConfig) title() string {
	name := map[string]string{
		DDIM: "DDIM", DDPM: "DDPM", PNDM: "PLMS", LCM: "LCM", TCD: "TCD", Euler: "Euler", EulerAncestral: "Euler a",
		Heun: "Heun", UniPC: "UniPC", DEIS: "DEIS", EDMEuler: "Euler EDM", EDMDPMSolver: "DPM++ 2M EDM",
	}[c.Class]
	if c.Class == DPMSolver {
		name = fmt.Sprintf("DPM++ %dM", c.SolverOrder)
		if strings.HasPrefix(c.AlgorithmType, "sde-") {
			name += " SDE"
		}
	}
	switch {
	case c.UseKarrasSigmas:
		name += " Karras"
	case c.UseExponentialSigmas:
		name += " Exponential"
	case c.UseBetaSigmas:
		name += " Beta"
	}
	return name
}
