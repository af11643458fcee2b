package core

// Config is everything that decides what a run does, as config.toml says it; its keys' meanings and
// ranges are in Keys. The zero value is not useful: start from Default, or Load.
type Config struct {
	Model struct {
		Path       string `toml:"path"`
		Config     string `toml:"config"`
		Prediction string `toml:"prediction"`
		ZeroSNR    string `toml:"zero_snr"`
		DType      string `toml:"dtype"`
		Device     string `toml:"device"`

		KeepTextEncoder bool `toml:"keep_text_encoder"`
	} `toml:"model"`

	Sample Sampling `toml:"sample"`

	LoRA struct {
		Rank    int      `toml:"rank"`
		Alpha   float64  `toml:"alpha"`
		Targets []string `toml:"targets"`
	} `toml:"lora"`

	Reward []Reward `toml:"reward"` // one for each aspect

	Region struct {
		Weight      float64 `toml:"weight"`
		Norm        string  `toml:"norm"`
		MaxCoverage float64 `toml:"max_coverage"` // share of the image
	} `toml:"region"`

	Train struct {
		Steps           int     `toml:"steps"`
		Batch           int     `toml:"batch"`
		Accumulate      int     `toml:"accumulate"`
		LearningRate    float64 `toml:"learning_rate"`
		Schedule        string  `toml:"schedule"`
		Gradient        string  `toml:"gradient"`
		BackpropSteps   int     `toml:"backprop_steps"`
		NoisedCopies    int     `toml:"noised_copies"`
		Augment         bool    `toml:"augment"`
		GradClip        float64 `toml:"grad_clip"`
		EMA             float64 `toml:"ema"`
		FaultyShare     float64 `toml:"faulty_share"`
		Workers         int     `toml:"workers"`
		Seed            int     `toml:"seed"`
		Prompts         string  `toml:"prompts"`
		SeedsPerPrompt  int     `toml:"seeds_per_prompt"`
		CheckpointEvery int     `toml:"checkpoint_every"` // steps
		ImagesEvery     int     `toml:"images_every"`     // steps
	} `toml:"train"`

	Gate struct {
		HeldOutDrop     float64 `toml:"held_out_drop"`
		StatisticsRange float64 `toml:"statistics_range"`
		Action          string  `toml:"action"`
	} `toml:"gate"`
}

// Reward is what judges one aspect, and how its heatmap becomes a mask.
type Reward struct {
	Aspect    string  `toml:"aspect"`
	Model     string  `toml:"model"`
	Weight    float64 `toml:"weight"`
	Heatmap   string  `toml:"heatmap"`
	Threshold float64 `toml:"threshold"` // of the heatmap, in [0,1]
	Dilate    int     `toml:"dilate"`    // pixels
	Mask      bool    `toml:"mask"`
	MinArea   float64 `toml:"min_area"` // share of the image
	HeldOut   string  `toml:"held_out"`
}

// Default returns the configuration that every other starts from: it repairs violence in the images
// of the shipped model.
func Default() Config {
	var c Config
	c.Model.Path = "builtin:scenes"
	c.Model.Prediction = "auto"
	c.Model.ZeroSNR = "auto"
	c.Model.DType = "auto"
	c.Model.Device = "auto"
	c.Sample.Scheduler = "ddim"
	c.Sample.NumSteps = 10
	c.Sample.GuidanceScale = 2.5
	c.LoRA.Rank = 4
	c.LoRA.Alpha = 4
	c.LoRA.Targets = []string{"attention"}
	violence := defaultReward()
	violence.Aspect = "violence"
	violence.Model = "scenes"
	violence.HeldOut = "scenes-held-out"
	c.Reward = []Reward{violence}
	c.Region.Weight = 12
	c.Region.Norm = "rms"
	c.Region.MaxCoverage = 0.5
	c.Train.Steps = 60
	c.Train.Batch = 4
	c.Train.Accumulate = 1
	c.Train.LearningRate = 4e-3
	c.Train.Schedule = "warmup"
	c.Train.Gradient = "chained"
	c.Train.BackpropSteps = 3
	c.Train.Augment = true
	c.Train.GradClip = 1
	c.Train.Prompts = "scenes-violence"
	c.Train.SeedsPerPrompt = 1
	c.Train.CheckpointEvery = 20
	c.Train.ImagesEvery = 5
	c.Gate.HeldOutDrop = 0.5
	c.Gate.StatisticsRange = 3
	c.Gate.Action = "rollback"
	return c
}

// defaultReward is what a [[reward]] table starts from when no layer before it knows its aspect.
func defaultReward() Reward {
	return Reward{Weight: 1, Mask: true, Heatmap: "head", Threshold: 0.3, Dilate: 4, MinArea: 0.002}
}
