package core

import (
	"errors"
	"reflect"
	"time"
)

// Event is one thing that happened in a run: one line of its events.jsonl. Of the pointers and lists,
// only those that belong to the kind are set.
//
//	state       State, Message        the run started, paused, resumed or ended
//	step        Train                 one optimizer update
//	pictures    Pictures              images of the tuned model were saved
//	checkpoint  Path                  a checkpoint is complete
//	evaluation  Evaluation            held-out prompts were drawn and scored
//	alarm       Alarm                 something needs attention
//	control     Control               a person changed a setting or gave a command
//	prompt      Prompt                a prompt test, or the repair of one image, is done
//	device      GPUs                  how busy, full and warm the GPUs are; every half minute of training on one
//
// After a resume or a rollback, steps come a second time: the later event counts. A reader ignores kinds
// and fields that it does not know. A number that is absent or null was not measured; in Go it is NaN.
// The json tags are the names in the file, whose rules are those of [structCodec].
type Event struct {
	Time time.Time `json:"time"` // UTC, to the microsecond
	Kind string    `json:"kind"` // state, step, pictures, checkpoint, evaluation, alarm, control, prompt, fix or device
	Step int       `json:"step"` // updates done so far

	State      string        `json:"state"`   // running, paused, done, stopped or failed
	Message    string        `json:"message"` // for people
	Path       string        `json:"path"`    // relative to the run folder
	Train      *TrainStep    `json:"train"`
	Pictures   []Picture     `json:"pictures"`
	Evaluation *Evaluation   `json:"evaluation"`
	Alarm      *Alarm        `json:"alarm"`
	Control    *Control      `json:"control"`
	Prompt     *PromptResult `json:"prompt"`
	Fix        *FixResult    `json:"fix"`
	GPUs       []GPU         `json:"gpus"` // all that this process may use
}

// TrainStep is what one update measured, averaged over its images. A number and its tags are one metric:
// see [StepMetrics], from which everything that shows, plots or exports it takes name, unit and format.
type TrainStep struct {
	Loss         float64       `json:"loss" title:"loss" digits:"3" chart:"loss" better:"lower" group:"train"`                            // −J
	Reward       float64       `json:"reward" title:"total reward" digits:"3" chart:"reward" better:"higher" group:"train"`               // Σ_a w_a · r_a
	Aspects      []AspectScore `json:"aspects"`                                                                                           // one for each aspect of the configuration
	Region       float64       `json:"region" title:"region term" digits:"4" chart:"region term" better:"lower" group:"train"`            // before its weight
	Coverage     float64       `json:"coverage" title:"mask coverage" unit:"%" digits:"1" chart:"mask coverage" group:"train"`            // share of the image that the mask covers
	InsidePSNR   float64       `json:"inside_psnr" title:"inside PSNR" unit:"dB" digits:"1" chart:"PSNR" group:"train"`                   // against the base image, within the mask
	OutsidePSNR  float64       `json:"outside_psnr" title:"outside PSNR" unit:"dB" digits:"1" chart:"PSNR" better:"higher" group:"train"` // against the base image, outside the mask
	GradNorm     float64       `json:"grad_norm" title:"gradient norm" digits:"2" chart:"gradient norm" group:"train"`                    // before clipping
	LearningRate float64       `json:"learning_rate" title:"learning rate" digits:"6" chart:"learning rate" group:"train"`
	LossScale    float64       `json:"loss_scale" title:"loss scale" digits:"0" chart:"loss scale" group:"train"` // of float16 gradients; unknown where they are not scaled

	SampleSeconds   float64 `json:"sample_seconds" title:"sampling" unit:"s" digits:"2" better:"lower" group:"seconds"`                  // denoising
	DecodeSeconds   float64 `json:"decode_seconds" title:"decoding" unit:"s" digits:"2" better:"lower" group:"seconds"`                  // latents to images
	RewardSeconds   float64 `json:"reward_seconds" title:"rewards" unit:"s" digits:"2" better:"lower" group:"seconds"`                   // scores and region term
	BackwardSeconds float64 `json:"backward_seconds" title:"gradients" unit:"s" digits:"2" better:"lower" group:"seconds"`               // back-propagation
	StepSeconds     float64 `json:"step_seconds" title:"step time" unit:"s" digits:"2" chart:"step time" better:"lower" group:"seconds"` // all of these, the update, and what is measured beside it
	MemoryMiB       float64 `json:"memory_mib" title:"memory" unit:"MiB" digits:"0" chart:"memory" better:"lower" group:"device"`        // peak of the GPU so far; on the CPU, of the process
	DeviceUse       float64 `json:"device_use" title:"device utilization" unit:"%" digits:"0" chart:"device utilization" group:"device"` // of the GPU, by its driver; on the CPU, of the cores libtorch may use

	Skipped bool `json:"skipped"` // loss or gradient was not a number: no update was made
}

// AspectScore is what the judges of one aspect say; see [AspectMetrics].
type AspectScore struct {
	Aspect           string  `json:"aspect"`
	Base             float64 `json:"base" title:"base" digits:"3" group:"base"`                                      // mean reward of the base images
	Reward           float64 `json:"reward" title:"reward" digits:"3" chart:"reward" better:"higher" group:"reward"` // mean reward of the tuned images
	BaseHeldOut      float64 `json:"base_held_out" title:"base, held-out judge" digits:"3" group:"base_held_out"`    // the same two by the held-out judge
	HeldOut          float64 `json:"held_out" title:"held-out judge" digits:"3" chart:"reward" better:"higher" group:"held_out"`
	BaseFault        float64 `json:"base_fault" title:"base fault probability" unit:"%" digits:"1" group:"base_fault"`                                   // mean over the base images of how probable the judge finds a fault; unknown where its score is no probability
	Fault            float64 `json:"fault" title:"fault probability" unit:"%" digits:"1" chart:"fault probability" better:"lower" group:"fault"`         // the same of the tuned images
	BaseHeldOutFault float64 `json:"base_held_out_fault" title:"base fault probability, held-out judge" unit:"%" digits:"1" group:"base_held_out_fault"` // the same two by the held-out judge
	HeldOutFault     float64 `json:"held_out_fault" title:"fault probability, held-out judge" unit:"%" digits:"1" chart:"fault probability" better:"lower" group:"held_out_fault"`
	Fixed            float64 `json:"fixed" title:"fixed" unit:"%" digits:"0" better:"higher" group:"fixed"` // share of faulty base images in which the held-out judge finds no fault any more
	Faulty           float64 `json:"faulty" title:"faulty base images" digits:"0" group:"faulty"`           // number of base images that fixed is a share of
}

// Picture is one saved image of the tuned model.
type Picture struct {
	Index     int           `json:"index"`  // of the prompt in the run's list
	Prompt    string        `json:"prompt"` // its text
	Seed      uint64        `json:"seed"`
	Path      string        `json:"path"`      // relative to the run folder: images/step-000050/003-7.png
	Reference string        `json:"reference"` // folder with base image, heatmaps and mask, relative to the run folder
	Aspects   []AspectScore `json:"aspects"`
}

// Evaluation is how the tuned model does on prompts it is not trained on.
type Evaluation struct {
	Pictures    int                `json:"pictures"` // images drawn
	Aspects     []AspectScore      `json:"aspects"`
	OutsidePSNR float64            `json:"outside_psnr"` // median, dB
	Statistics  map[string]float64 `json:"statistics"`   // how far from the base images', in standard deviations
}

// Alarm is something that needs attention.
type Alarm struct {
	Name    string  `json:"name"`    // held-out, coverage, not a number, statistics, ...
	Subject string  `json:"subject"` // aspect or statistic
	Value   float64 `json:"value"`   // what was found
	Limit   float64 `json:"limit"`   // what it should not have passed
	Action  string  `json:"action"`  // what was done: warn, stop, rollback or skip
}

// Control is a command or a changed setting; From and To are empty for a command.
type Control struct {
	Key  string `json:"key"` // pause, resume, stop, checkpoint; or a setting: region.weight
	From string `json:"from"`
	To   string `json:"to"`
}

// PromptResult is a prompt drawn by base and tuned model.
type PromptResult struct {
	Path string `json:"path"` // its folder, relative to the run folder: prompts/0007
	Drawing
	Aspects     []AspectScore `json:"aspects"`
	OutsidePSNR float64       `json:"outside_psnr"` // dB
	Seconds     float64       `json:"seconds"`
	Fix         bool          `json:"fix"`           // the repair of one image, as earlier versions kept it; see FixResult
	Unknown     string        `json:"unknown_words"` // words of the prompt that the model never saw: dragon, nebula
}

// Folder is where the result lies, relative to the run folder.
func (r PromptResult) Folder() string { return r.Path }

var eventCodec = newStructCodec(reflect.TypeFor[Event]())

// AppendJSON appends the event as one JSON object, without a newline.
func (e *Event) AppendJSON(line []byte) []byte {
	return eventCodec.append(line, reflect.ValueOf(e).Elem())
}

// ParseJSON reads one line of a log into e, whatever e held. Unknown fields are skipped; a value of the
// wrong type, and a line without a kind, is an error.
func (e *Event) ParseJSON(line []byte) error {
	s := &scanner{text: line}
	if err := eventCodec.read(s, reflect.ValueOf(e).Elem()); err != nil {
		return err
	}
	if s.peek() != 0 || s.at < len(line) {
		return s.wrong("the end of the line")
	}
	if e.Kind == "" {
		return errors.New("an event without a kind")
	}
	return nil
}
