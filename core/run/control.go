package run

import (
	"context"

	"focusnfix/core"
)

// Engine is what can be asked of a running engine. core/engine does it; a Client passes it on over the
// run's socket. An error's text is shown to the user as it is. When a context ends, a request that is
// under way is given up.
type Engine interface {
	Status(ctx context.Context) (Status, error)
	// Pause lets the step under way finish; Resume goes on.
	Pause(ctx context.Context) error
	Resume(ctx context.Context) error
	// Stop ends training with a checkpoint.
	Stop(ctx context.Context) error
	// Checkpoint writes one now and returns its path from the run folder.
	Checkpoint(ctx context.Context) (string, error)
	// Set changes a setting while training goes on, by core.Config's names: train.learning_rate,
	// region.weight, reward.ASPECT.weight, and reward.ASPECT.threshold and dilate, which make new masks.
	Set(ctx context.Context, key, value string) error
	// Generate draws a prompt with base and tuned model, between steps. The result is kept in the run.
	Generate(ctx context.Context, r GenerateRequest) (core.PromptResult, error)
	// Fix trains a small LoRA on one image and one region, until the judge that it follows finds no fault there. The
	// result is kept in the run, unless its verdict is core.NoFault: then nothing was done.
	Fix(ctx context.Context, r FixRequest) (core.FixResult, error)
	// Redraw draws images with kept fixes and returns the paths of their files from the run folder. The files of the
	// next Redraw take their place.
	Redraw(ctx context.Context, r RedrawRequest) ([]string, error)
	// ReloadMasks takes the masks that people have changed, from the next step on.
	ReloadMasks(ctx context.Context) error
	// Evaluate looks at prompts that are not trained on.
	Evaluate(ctx context.Context, r EvaluateRequest) (core.Evaluation, error)
}

// Where the images of a prompt test are kept while they are drawn, each replaced after every step; see Status.Preview.
const (
	PreviewBase = "prompts/.preview-base.png" // of the base model
	Preview     = "prompts/.preview.png"
)

// Status is what an engine is doing.
type Status struct {
	Run     string `json:"run,omitempty"` // id of the engine's run
	State   string `json:"state"`
	Step    int    `json:"step"`
	Steps   int    `json:"steps"`
	Message string `json:"message,omitempty"` // why it is in this state, or how far it is
	Busy    string `json:"busy,omitempty"`    // "step", "generate", "fix", "evaluate", "reference", "images", "load", "checkpoint", "redraw"
	Done    int    `json:"done,omitempty"`    // of what it is busy with: steps of a fix, images
	Of      int    `json:"of,omitempty"`
	Preview string `json:"preview,omitempty"` // the image that is drawn or repaired, as it is now, from the run folder
	Frame   *Frame `json:"frame,omitempty"`   // what was measured of it
	Device  string `json:"device,omitempty"`
	Version string `json:"version,omitempty"`

	GPUs []core.GPU `json:"gpus,omitempty"` // that the engine may use, as of the last seconds; none on a CPU
}

// Frame is an image of a fix under way: core.FixStep, in which a number may be missing.
type Frame struct {
	Trained float64  `json:"trained"`
	HeldOut *float64 `json:"held_out,omitempty"`
	Outside float64  `json:"outside_psnr"`
	Seconds float64  `json:"seconds"`
}

// GenerateRequest is a prompt to draw. Zero values of the sampling are the run's own; a prompt is required.
type GenerateRequest struct {
	core.Drawing
	Checkpoint string `json:"checkpoint,omitempty"` // relative to the run folder; empty is the current weights
}

// FixRequest is one image to repair, in a region of it. Zero values of the sampling are the run's own.
type FixRequest struct {
	core.Drawing
	Checkpoint string        `json:"checkpoint,omitempty"` // whose weights are the run's; relative to the run folder, empty is the current ones
	Aspect     string        `json:"aspect"`
	Fault      string        `json:"fault,omitempty"` // in words, such as "remove the sword", in place of the aspect; a CLIP judges it
	Region     string        `json:"region"`          // as core.ParseRegion reads it; files are relative to the run folder
	Start      string        `json:"start,omitempty"` // base, which is the default, or run
	Stack      []core.FixUse `json:"stack,omitempty"` // kept fixes that it builds on
	Steps      int           `json:"steps,omitempty"` // updates at most
}

// RedrawRequest is images to draw with the weights and kept fixes that it names.
type RedrawRequest struct {
	Drawings   []core.Drawing `json:"drawings"` // zero values of the sampling are the run's own
	Checkpoint string         `json:"checkpoint,omitempty"`
	Start      string         `json:"start,omitempty"`
	Stack      []core.FixUse  `json:"stack,omitempty"`
}

// EvaluateRequest says how much to look at.
type EvaluateRequest struct {
	Pictures int `json:"pictures,omitempty"` // 0 is every held-out prompt once
}

// setRequest is the body of a set command.
type setRequest struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

// reply is the body of an answer that is no event.
type reply struct {
	Error string `json:"error,omitempty"`
	Path  string `json:"path,omitempty"`

	Paths []string `json:"paths,omitempty"`
}
