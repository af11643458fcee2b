package sd

import (
	"encoding/json"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	"focusnfix/model/backbone"
	"focusnfix/model/nn/nntest"
	"focusnfix/model/torch"
	"focusnfix/model/torch/torchtest"
)

// schedulerGolden is testdata/ref/schedulers.json, made by the script beside it.
type schedulerGolden struct {
	Cases         []schedulerCase
	AlphasCumprod map[string][]float64 `json:"alphas_cumprod"` // every 37th
}

type schedulerCase struct {
	Name           string
	Config         json.RawMessage
	NumSteps       int `json:"num_steps"`
	Eta            float64
	Timesteps      []float64
	InitNoiseSigma float64     `json:"init_noise_sigma"`
	Noise          [][]float64 // of every step, where it adds any
	Latents        [][]float64 // at the start and after every step
}

func readSchedulerGolden(t *testing.T) schedulerGolden {
	t.Helper()
	return nntest.ReadJSON[schedulerGolden](t, "testdata/ref/schedulers.json")
}

func (c schedulerCase) config() SchedulerConfig {
	cfg, err := ParseSchedulerConfig("schedulers.json", c.Config, "")
	if err != nil {
		panic(err)
	}
	return cfg
}

func (c schedulerCase) scheduler(t *testing.T) *backbone.Scheduler {
	t.Helper()
	cfg, err := ParseSchedulerConfig("schedulers.json", c.Config, "")
	if err != nil {
		t.Fatal(err)
	}
	s, err := NewScheduler(cfg, c.NumSteps, c.Eta)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// standIn stands in for the network, as in schedulers.py.
func standIn(x, timestep float64) float64 { return math.Sin(x + timestep/100) }

func TestAlphasCumprodMatchDiffusers(t *testing.T) {
	golden := readSchedulerGolden(t)
	for name, want := range golden.AlphasCumprod {
		cfg := schedulerDefaults(DDIM)
		cfg.BetaStart, cfg.BetaEnd, cfg.BetaSchedule = 0.00085, 0.012, name
		if name == "zero_snr" {
			cfg.BetaSchedule, cfg.RescaleBetasToZero = "scaled_linear", true
		}
		got := NewNoiseSchedule(cfg).AlphasCumprod
		if len(got) != 1000 {
			t.Fatalf("%s: %d timesteps, want 1000", name, len(got))
		}
		for i, w := range want {
			if d := math.Abs(got[37*i] - w); d > 1e-6 { // PyTorch's float32 sqrt is off by a unit at times, and zero_snr multiplies such units up
				t.Errorf("%s: alphasCumprod[%d] = %.9g, want %.9g", name, 37*i, got[37*i], w)
			}
		}
		for i := 1; i < len(got); i++ {
			if !(got[i] < got[i-1]) {
				t.Errorf("%s: alphasCumprod does not fall at %d", name, i)
			}
		}
	}
}

// Full trajectories of diffusers, in plain Go: same timesteps, and from every point of the trajectory
// the same next one. Tolerance: float32 there, float64 here. TestStepFollowsTrajectories goes all the
// way from the first latents.
func TestTrajectoriesMatchDiffusers(t *testing.T) {
	for _, c := range readSchedulerGolden(t).Cases {
		t.Run(c.Name, func(t *testing.T) {
			s := c.scheduler(t)
			if s.Len() != len(c.Timesteps) {
				t.Fatalf("%d steps, want %d", s.Len(), len(c.Timesteps))
			}
			if d := math.Abs(s.InitNoiseSigma/c.InitNoiseSigma - 1); d > 1e-6 {
				t.Errorf("initial noise %.9g, want %.9g", s.InitNoiseSigma, c.InitNoiseSigma)
			}
			for i, timestep := range s.Timesteps {
				if math.Abs(timestep-c.Timesteps[i]) > 1e-3 { // Karras timesteps lie between whole ones
					t.Fatalf("step %d: timestep %.9g, want %.9g", i, timestep, c.Timesteps[i])
				}
				for k, want := range c.Latents[i+1] {
					got, size := stepPlain(s, c, i, k)
					if d := math.Abs(got-want) / max(1, size); d > tolerance(c.Name) {
						t.Fatalf("step %d: latents[%d] = %.9g, want %.9g", i, k, got, want)
					}
				}
			}
		})
	}
}

// tolerance is what diffusers loses by computing in float32: in units of the latents, and for solvers of third
// order the differences of nearly equal numbers that their weights are, times the differences.
func tolerance(name string) float64 {
	if strings.Contains(name, "_3") || strings.HasPrefix(name, "unipc") || strings.HasPrefix(name, "deis") || strings.Contains(name, "heun") {
		return 2e-3
	}
	return 1e-5
}

// stepPlain is element k of Scheduler.Step in plain Go, from the points of the reference, and the largest of
// its summands.
func stepPlain(s *backbone.Scheduler, c schedulerCase, i, k int) (next, size float64) {
	value := func(sym backbone.Symbol) float64 {
		x := c.Latents[sym.At][k]
		switch sym.What {
		case backbone.OfLatents:
			return x
		case backbone.OfOutput:
			return standIn(s.Rows[sym.At].Input*x, s.Timesteps[sym.At])
		}
		return bounded(s, c, sym.At, k)
	}
	for _, t := range s.Rows[i].Next {
		part := t.Weight * value(t.Symbol)
		next, size = next+part, max(size, math.Abs(part), math.Abs(c.Latents[i][k])) // Euler starts at up to 4096 x noise
	}
	if s.NeedsNoise(i) {
		next += s.Rows[i].Noise * c.Noise[i][k]
	}
	return next, size
}

// bounded is an estimate of a case that clips or thresholds, in plain Go.
func bounded(s *backbone.Scheduler, c schedulerCase, i, k int) float64 {
	cfg := c.config()
	estimates := make([]float64, len(c.Latents[i]))
	for e := range estimates {
		x := c.Latents[i][e]
		for _, t := range s.Rows[i].Estimate {
			part := x
			if t.What == backbone.OfOutput {
				part = standIn(s.Rows[i].Input*x, s.Timesteps[i])
			}
			estimates[e] += t.Weight * part
		}
	}
	if !cfg.Thresholding {
		return min(max(estimates[k], -cfg.ClipSampleRange), cfg.ClipSampleRange)
	}
	sizes := make([]float64, len(estimates))
	for e, x := range estimates {
		sizes[e] = math.Abs(x)
	}
	slices.Sort(sizes)
	place := cfg.DynamicThresholdingRatio * float64(len(sizes)-1)
	low := int(place)
	edge := sizes[low] + (place-float64(low))*(sizes[min(low+1, len(sizes)-1)]-sizes[low])
	edge = min(max(edge, 1), max(1, cfg.SampleMaxValue))
	return min(max(estimates[k], -edge), edge) / edge
}

// All the way through Step, from the first latents; differences of float32 and float64 add up.
func TestStepFollowsTrajectories(t *testing.T) {
	cases := readSchedulerGolden(t).Cases
	torchtest.Run(t, func() {
		for _, c := range cases {
			s := c.scheduler(t)
			latents := torch.From(c.Latents[0], 1, 2, 2, 2)
			var past []backbone.Point
			for i, timestep := range s.Timesteps {
				output := s.ScaleInput(i, latents).AddScalar(timestep / 100).Sin()
				var noise torch.Tensor
				if s.NeedsNoise(i) {
					noise = torch.From(c.Noise[i], 1, 2, 2, 2)
				}
				next, now := s.Step(i, latents, output, past, noise)
				latents, past = next, append(past, now)
			}
			last := c.Latents[len(c.Latents)-1]
			if d := torchtest.MaxDiff(latents, torch.From(last, 1, 2, 2, 2)); d > max(2e-4, 2*tolerance(c.Name)) {
				t.Errorf("%s: last latents differ by %g", c.Name, d)
			}
		}
	})
}

// x̂0 of a network that knows the answer is the answer, at every step of every sampler, whatever it was
// trained to predict.
func TestEstimateOfAPerfectNetwork(t *testing.T) {
	const picture, noise = 0.7, -1.3
	for _, class := range []string{DDIM, DDPM, Euler, EulerAncestral, DPMSolver, UniPC, DEIS} {
		for _, prediction := range []string{"epsilon", "v_prediction", "sample"} {
			cfg := schedulerDefaults(class)
			cfg.BetaStart, cfg.BetaEnd, cfg.BetaSchedule, cfg.PredictionType = 0.00085, 0.012, "scaled_linear", prediction
			s, err := NewScheduler(cfg, 20, 0)
			if err != nil {
				t.Fatal(err)
			}
			levels := NewNoiseSchedule(cfg)
			for i, timestep := range s.Timesteps {
				alphaBar := levels.AlphasCumprod[int(timestep)]
				if class != DDIM && class != DDPM { // which interpolates
					sigma := round32(sigmaAt(timestep, levels.sigmas()))
					alphaBar = 1 / (1 + sigma*sigma)
				}
				alpha, sigma := math.Sqrt(alphaBar), math.Sqrt(1-alphaBar)
				latents := alpha*picture + sigma*noise
				output := map[string]float64{"epsilon": noise, "v_prediction": alpha*noise - sigma*picture, "sample": picture}[prediction]
				if class == Euler || class == EulerAncestral {
					latents /= alpha
				}
				got := 0.0
				for _, t := range s.Rows[i].Estimate {
					got += t.Weight * map[backbone.Quantity]float64{backbone.OfLatents: latents, backbone.OfOutput: output}[t.What]
				}
				if math.Abs(got-picture) > 1e-9 {
					t.Errorf("%s, %s, step %d: estimate %.12g, want %g", class, prediction, i, got, picture)
				}
			}
		}
	}
}

// With diffusers' formula 62 of the step counts up to 1000 give a last timestep of -1; here none does.
func TestTimestepsStayInRange(t *testing.T) {
	for _, class := range []string{DDIM, Euler, DPMSolver} {
		for _, spacing := range []string{"leading", "trailing", "linspace"} {
			cfg := schedulerDefaults(class)
			cfg.TimestepSpacing = spacing
			for numSteps := 1; numSteps <= 500; numSteps++ {
				s, err := NewScheduler(cfg, numSteps, 0)
				if err != nil {
					t.Fatal(err)
				}
				for i, timestep := range s.Timesteps {
					if timestep < 0 || timestep > 999 || i > 0 && timestep > s.Timesteps[i-1] {
						t.Fatalf("%s, %s, %d steps: timestep %d is %g", class, spacing, numSteps, i, timestep)
					}
				}
			}
		}
	}
}

func TestAddNoise(t *testing.T) {
	levels := NewNoiseSchedule(schedulerDefaults(DDIM))
	torchtest.Run(t, func() {
		latents, noise := torch.From([]float32{1, 2, 3, 4}, 2, 2), torch.From([]float32{10, 20, 30, 40}, 2, 2)
		got := levels.AddNoise(latents, noise, []int{0, 999}).Doubles()
		a, b := levels.AlphasCumprod[0], levels.AlphasCumprod[999]
		want := []float64{
			math.Sqrt(a) + 10*math.Sqrt(1-a), 2*math.Sqrt(a) + 20*math.Sqrt(1-a),
			3*math.Sqrt(b) + 30*math.Sqrt(1-b), 4*math.Sqrt(b) + 40*math.Sqrt(1-b),
		}
		for i := range want {
			if math.Abs(got[i]-want[i]) > 1e-5 {
				t.Errorf("element %d: %g, want %g", i, got[i], want[i])
			}
		}
	})
}

func TestSchedulerConfigErrors(t *testing.T) {
	for name, c := range map[string]struct{ data, name, want string }{
		"unknown class":   {`{"_class_name":"LMSDiscreteScheduler"}`, "", `s.json: _class_name: "LMSDiscreteScheduler" is not supported; choose a scheduler`},
		"unknown name":    {`{}`, "lms", `scheduler "lms" is unknown, want one of ddim, ddim_trailing, ddpm, pndm, euler`},
		"not JSON":        {`{`, "", "s.json: not JSON: the file is cut off"},
		"wrong type":      {`{"beta_start":"x"}`, "ddim", `s.json: beta_start: "x", want a number`},
		"NaN":             {`{"beta_start":NaN}`, "ddim", `s.json: beta_start: NaN, want a number`},
		"other solver":    {`{"solver_type":"rk4"}`, "dpm++", `solver_type: "rk4" is not supported, want one of midpoint, heun`},
		"learned":         {`{"variance_type":"learned"}`, "ddpm", `variance_type: "learned" is not supported, want one of fixed_small`},
		"flow":            {`{"use_flow_sigmas":true}`, "unipc", "use_flow_sigmas: true is not supported, want false"},
		"of tomorrow":     {`{"use_quantum_sigmas":true}`, "unipc", "use_quantum_sigmas: unknown key"},
		"order":           {`{"solver_order":9}`, "deis", "solver_order: 9, want 1 to 3"},
		"two spacings":    {`{"use_karras_sigmas":true,"use_beta_sigmas":true,"_class_name":"EulerDiscreteScheduler"}`, "", "2 are true, want one at most"},
		"short betas":     {`{"trained_betas":[0.1,0.2]}`, "ddim", "trained_betas: 2 numbers, want num_train_timesteps, 1000"},
		"quantile":        {`{"thresholding":true,"dynamic_thresholding_ratio":2}`, "ddim", "dynamic_thresholding_ratio, sample_max_value: 2, 1"},
		"prediction":      {`{"prediction_type":"flow"}`, "euler", `prediction_type: "flow" is not supported`},
		"betas":           {`{"beta_start":0.5,"beta_end":0.1}`, "ddim", "beta_start, beta_end: 0.5, 0.1, want 0 < start < end < 1"},
		"pure noise":      {`{"rescale_betas_zero_snr":true}`, "ddim", "rescale_betas_zero_snr"},
		"few timesteps":   {`{"num_train_timesteps":1}`, "ddim", "num_train_timesteps: 1, want 2 to 1000000"},
		"negative offset": {`{"steps_offset":-1}`, "ddim", "steps_offset: -1, want 0 to 999"},
	} {
		_, err := ParseSchedulerConfig("s.json", []byte(c.data), c.name)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %s", name, err, c.want)
		}
	}
	for _, numSteps := range []int{0, -1, 1000} {
		if _, err := NewScheduler(schedulerDefaults(DDIM), numSteps, 0); err == nil {
			t.Errorf("%d steps were taken", numSteps)
		}
	}
	cfg := schedulerDefaults(DDIM)
	cfg.StepsOffset = 300
	_, err := NewScheduler(cfg, 10, 0)
	if want := "scheduler: steps_offset 300 makes the first of 10 timesteps 1200, want at most 999"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	for _, eta := range []float64{-0.1, 1.1, math.NaN()} {
		if _, err := NewScheduler(schedulerDefaults(DDIM), 10, eta); err == nil {
			t.Errorf("eta %g was taken", eta)
		}
	}
}

// Whatever a valid configuration says, a schedule has finite numbers.
func FuzzParseSchedulerConfig(f *testing.F) {
	golden := nntest.ReadJSON[schedulerGolden](f, "testdata/ref/schedulers.json")
	for _, c := range golden.Cases {
		f.Add([]byte(c.Config), uint8(c.NumSteps))
	}
	f.Add([]byte(`{"_class_name":"DDIMScheduler","steps_offset":999}`), uint8(10))
	f.Fuzz(func(t *testing.T, data []byte, numSteps uint8) {
		cfg, err := ParseSchedulerConfig("scheduler_config.json", data, "")
		if err != nil || cfg.NumTrainTimesteps > 5000 {
			return
		}
		s, err := NewScheduler(cfg, int(numSteps), 0.5)
		if err != nil {
			return
		}
		for i, w := range s.Rows {
			if !finite(w.Estimate) || !finite(w.Next) || !finite([]backbone.Term{{Weight: w.Input}, {Weight: w.Noise}, {Weight: s.Timesteps[i]}}) {
				t.Fatalf("step %d of %d: %+v, timestep %g of %+v", i, numSteps, w, s.Timesteps[i], cfg)
			}
		}
	})
}

// A name replaces the file's class as diffusers' from_config does: explicit keys stay.
func TestSchedulerNameReplacesClass(t *testing.T) {
	const sd15 = `{"_class_name":"PNDMScheduler","beta_end":0.012,"beta_schedule":"scaled_linear","beta_start":0.00085,
		"num_train_timesteps":1000,"set_alpha_to_one":false,"skip_prk_steps":true,"steps_offset":1,"trained_betas":null,"clip_sample":false}`
	cfg, err := ParseSchedulerConfig("s.json", []byte(sd15), "")
	if err != nil {
		t.Fatal(err)
	}
	want := SchedulerConfig{
		Class: PNDM, NumTrainTimesteps: 1000, BetaStart: 0.00085, BetaEnd: 0.012, BetaSchedule: "scaled_linear",
		PredictionType: "epsilon", TimestepSpacing: "leading", StepsOffset: 1, FinalSigmasType: "zero", LowerOrderFinal: true,
		SkipPRKSteps: true,
	}
	if !reflect.DeepEqual(cfg, want) {
		t.Errorf("got %+v, want %+v", cfg, want)
	}
	cfg, err = ParseSchedulerConfig("s.json", []byte(sd15), "dpm++_karras")
	if err != nil {
		t.Fatal(err)
	}
	want.Class, want.TimestepSpacing, want.UseKarrasSigmas, want.SkipPRKSteps = DPMSolver, "linspace", true, false
	want.SolverOrder, want.AlgorithmType, want.SolverType = 2, "dpmsolver++", "midpoint"
	if !reflect.DeepEqual(cfg, want) {
		t.Errorf("got %+v, want %+v", cfg, want)
	}
}

// Every scheduler has a name in the PNG's text.
func TestTitles(t *testing.T) {
	titles := map[string]string{}
	for _, name := range SchedulerNames() {
		cfg, err := ParseSchedulerConfig("s.json", []byte("{}"), name)
		if err != nil || cfg.title() == "" {
			t.Errorf("%s: %q, %v", name, cfg.title(), err)
		}
		titles[name] = cfg.title()
	}
	for name, want := range map[string]string{"ddim": "DDIM", "dpm++_karras": "DPM++ 2M Karras", "euler_a": "Euler a", "dpm++_sde": "DPM++ 2M SDE"} {
		if titles[name] != want {
			t.Errorf("%s: %q, want %q", name, titles[name], want)
		}
	}
}
