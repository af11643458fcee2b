package core

import "time"

// Event is one thing that happened in a run: one line of its events.jsonl. Of the pointers and lists,
// only those that belong to the kind are set.
//
//	state       State, Message        the run began, paused, went on, ended
//	step        Train                 one optimizer update
//	pictures    Pictures              pictures of the tuned model were kept
//	checkpoint  Path                  a checkpoint is complete
//	evaluation  Evaluation            held-out judges and statistics were looked at
//	alarm       Alarm                 something is not as it should be
//	control     Control               a person changed a setting or gave a command
//	prompt      Prompt                a quick prompt test, or a repair of one picture, is done
//
// After a resume or a rollback, steps come a second time: the later event counts. A reader ignores kinds
// and fields that it does not know. A number that is absent or null is not known; in Go it is NaN.
type Event struct {
	Time time.Time // kept to the microsecond
	Kind string
	Step int // updates done so far

	State      string // as run.Info has it
	Message    string // for people
	Path       string // from the run folder
	Train      *TrainStep
	Pictures   []Picture
	Evaluation *Evaluation
	Alarm      *Alarm
	Control    *Control
	Prompt     *PromptResult
}

// TrainStep is what one update measured, averaged over its pictures.
type TrainStep struct {
	Loss         float64 // −J
	Reward       float64 // Σ_a w_a · r_a
	Aspects      []AspectScore
	Region       float64 // the region term, before its weight
	Coverage     float64 // of the masks, share of the picture
	InsidePSNR   float64 // against the base picture within the mask, dB
	OutsidePSNR  float64 // the same outside it, dB
	GradNorm     float64 // before clipping
	LearningRate float64

	// Where the time went: denoising, latents to pictures, scores and region term, gradients, and the whole
	// step with all of these, its update and what is measured beside it.
	SampleSeconds, DecodeSeconds, RewardSeconds, BackwardSeconds, StepSeconds float64

	MemoryMiB float64 // most of the GPU's up to now; on the CPU, that of the process
	DeviceUse float64 // 0 to 1: the GPU's as nvidia-smi says, or of the cores that libtorch may use
	Skipped   bool    // loss or gradient was not a number, and the update left out
}

// AspectScore is what the judges of one aspect say.
type AspectScore struct {
	Aspect      string
	Base        float64 // mean reward of the base pictures
	Reward      float64 // mean reward of the tuned ones
	BaseHeldOut float64 // the same by the held-out judge
	HeldOut     float64
	Fixed       float64 // share of faulty base pictures that the held-out judge finds no fault in
}

// Picture is one kept picture of the tuned model.
type Picture struct {
	Index     int    // of the prompt in the run's list
	Prompt    string // its text
	Seed      uint64
	Path      string // from the run folder: images/step-000050/003-7.png
	Reference string // folder with base picture, heatmaps and mask, from the run folder
	Aspects   []AspectScore
}

// Evaluation is the state of the tuned model on prompts it is not trained on.
type Evaluation struct {
	Pictures    int
	Aspects     []AspectScore
	OutsidePSNR float64            // median, dB
	Statistics  map[string]float64 // how far from the base pictures', in standard deviations
}

// Alarm is something a person should look at.
type Alarm struct {
	Name    string  // "held-out", "coverage", "not a number", "statistics", ...
	Subject string  // aspect or statistic
	Value   float64 // what was found
	Limit   float64 // what it should not have passed
	Action  string  // what was done: "warn", "stop", "rollback", "skip"
}

// Control is a command or a changed setting; From and To are empty for a command.
type Control struct {
	Key, From, To string // "pause"; or "region.weight", "12", "20"
}

// PromptResult is a prompt drawn by base and tuned model, or a repair of one picture.
type PromptResult struct {
	Path          string // its folder, from the run folder: prompts/0007
	Prompt        string
	Negative      string
	Seed          uint64
	NumSteps      int
	GuidanceScale float64
	Aspects       []AspectScore
	OutsidePSNR   float64 // dB
	Seconds       float64
	Fix           bool // a repair of one picture, rather than two plain ones
}
