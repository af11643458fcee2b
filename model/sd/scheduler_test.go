package sd

import (
	"encoding/json"
	"math"
	"os"
	"strings"
	"testing"

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
	data, err := os.ReadFile("testdata/ref/schedulers.json")
	if err != nil {
		t.Fatal(err)
	}
	var golden schedulerGolden
	if err := json.Unmarshal(data, &golden); err != nil {
		t.Fatal(err)
	}
	return golden
}

func (c schedulerCase) scheduler(t *testing.T) *Scheduler {
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
			previous := make([]float64, len(c.Latents[0]))
			for i, timestep := range s.Timesteps {
				if math.Abs(timestep-c.Timesteps[i]) > 1e-3 { // Karras timesteps lie between whole ones
					t.Fatalf("step %d: timestep %.9g, want %.9g", i, timestep, c.Timesteps[i])
				}
				var noise []float64
				if len(c.Noise) > 0 {
					noise = c.Noise[i]
				}
				var latents []float64
				latents, previous = stepPlain(s, i, c.Latents[i], previous, noise)
				for k, want := range c.Latents[i+1] {
					before := math.Abs(c.Latents[i][k]) // float32 rounds in units of it; Euler starts at up to 4096 x noise
					if d := math.Abs(latents[k]-want) / max(1, before); d > 1e-5 {
						t.Fatalf("step %d: latents[%d] = %.9g, want %.9g", i, k, latents[k], want)
					}
				}
			}
		})
	}
}

// stepPlain is Scheduler.Step on slices.
func stepPlain(s *Scheduler, i int, latents, previous, noise []float64) (next, estimate []float64) {
	w := s.table[i]
	next, estimate = make([]float64, len(latents)), make([]float64, len(latents))
	for k, x := range latents {
		output := standIn(w.input*x, s.Timesteps[i])
		estimate[k] = w.estimateLatents*x + w.estimateOutput*output
		next[k] = w.latents*x + w.output*output + w.previous*previous[k]
		if noise != nil {
			next[k] += w.noise * noise[k]
		}
	}
	return next, estimate
}

// All the way through Step, from the first latents; differences of float32 and float64 add up.
func TestStepFollowsTrajectories(t *testing.T) {
	cases := readSchedulerGolden(t).Cases
	torchtest.Run(t, func() {
		for _, c := range cases {
			s := c.scheduler(t)
			latents := torch.From(c.Latents[0], 1, 2, 2, 2)
			var estimate torch.Tensor
			for i, timestep := range s.Timesteps {
				output := s.ScaleInput(i, latents).AddScalar(timestep / 100).Sin()
				var noise torch.Tensor
				if s.NeedsNoise(i) {
					noise = torch.From(c.Noise[i], 1, 2, 2, 2)
				}
				latents, estimate = s.Step(i, latents, output, estimate, noise)
			}
			last := c.Latents[len(c.Latents)-1]
			if d := torchtest.MaxDiff(latents, torch.From(last, 1, 2, 2, 2)); d > 5e-5 {
				t.Errorf("%s: last latents differ by %g", c.Name, d)
			}
		}
	})
}

// x̂0 of a network that knows the answer is the answer, at every step of every sampler, whatever it was
// trained to predict.
func TestEstimateOfAPerfectNetwork(t *testing.T) {
	const picture, noise = 0.7, -1.3
	for _, class := range []string{DDIM, Euler, EulerAncestral, DPMSolver} {
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
				if class != DDIM { // which interpolates
					sigma := round32(sigmaAt(timestep, levels.sigmas()))
					alphaBar = 1 / (1 + sigma*sigma)
				}
				alpha, sigma := math.Sqrt(alphaBar), math.Sqrt(1-alphaBar)
				latents := alpha*picture + sigma*noise
				output := map[string]float64{"epsilon": noise, "v_prediction": alpha*noise - sigma*picture, "sample": picture}[prediction]
				if class == Euler || class == EulerAncestral {
					latents /= alpha
				}
				w := s.table[i]
				if got := w.estimateLatents*latents + w.estimateOutput*output; math.Abs(got-picture) > 1e-9 {
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
		"unknown class":   {`{"_class_name":"LMSDiscreteScheduler"}`, "", `s.json: _class_name: "LMSDiscreteScheduler" is not supported, want one of DDIMScheduler, EulerDiscreteScheduler, EulerAncestralDiscreteScheduler, DPMSolverMultistepScheduler`},
		"unknown name":    {`{}`, "heun", `scheduler "heun" is unknown, want one of ddim, euler, euler_a, dpm++, dpm++_karras`},
		"not JSON":        {`{`, "", "s.json: not JSON"},
		"wrong type":      {`{"beta_start":"x"}`, "ddim", "s.json: json: cannot unmarshal string"},
		"other solver":    {`{"solver_type":"heun"}`, "dpm++", "solver_type: heun is not supported, want midpoint"},
		"thresholding":    {`{"thresholding":true}`, "ddim", "thresholding: true is not supported, want false"},
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
	data, err := os.ReadFile("testdata/ref/schedulers.json")
	if err != nil {
		f.Fatal(err)
	}
	var golden schedulerGolden
	if err := json.Unmarshal(data, &golden); err != nil {
		f.Fatal(err)
	}
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
		for i, w := range s.table {
			sum := w.input + w.estimateLatents + w.estimateOutput + w.latents + w.output + w.previous + w.noise + s.Timesteps[i]
			if math.IsNaN(sum) || math.IsInf(sum, 0) {
				t.Fatalf("step %d of %d: %+v, timestep %g of %+v", i, numSteps, w, s.Timesteps[i], cfg)
			}
		}
	})
}

// A name replaces the file's class as diffusers' from_config does: explicit keys stay, and SD 1.x's
// PNDM runs as DDIM.
func TestSchedulerNameReplacesClass(t *testing.T) {
	const sd15 = `{"_class_name":"PNDMScheduler","beta_end":0.012,"beta_schedule":"scaled_linear","beta_start":0.00085,
		"num_train_timesteps":1000,"set_alpha_to_one":false,"skip_prk_steps":true,"steps_offset":1,"trained_betas":null,"clip_sample":false}`
	cfg, err := ParseSchedulerConfig("s.json", []byte(sd15), "")
	if err != nil {
		t.Fatal(err)
	}
	want := SchedulerConfig{
		Class: DDIM, NumTrainTimesteps: 1000, BetaStart: 0.00085, BetaEnd: 0.012, BetaSchedule: "scaled_linear",
		PredictionType: "epsilon", TimestepSpacing: "leading", StepsOffset: 1, FinalSigmasType: "zero", LowerOrderFinal: true,
	}
	if cfg != want {
		t.Errorf("got %+v, want %+v", cfg, want)
	}
	cfg, err = ParseSchedulerConfig("s.json", []byte(sd15), "dpm++_karras")
	if err != nil {
		t.Fatal(err)
	}
	want.Class, want.TimestepSpacing, want.UseKarrasSigmas = DPMSolver, "linspace", true
	if cfg != want {
		t.Errorf("got %+v, want %+v", cfg, want)
	}
}
