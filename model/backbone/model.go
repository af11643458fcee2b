// Package backbone is all that training, evaluation and drawing know of a model: what every family that draws images
// from prompts has in common (Model), and what is the same for all of them: a sampler as a table of numbers, the
// noise of a seed, drawing, and LoRA files. model/sd, the UNets, and model/flow, the rectified-flow transformers,
// are the families; model/families opens whichever a path holds.
package backbone

import (
	"focusnfix/model/nn"
	"focusnfix/model/torch"
)

// Model draws images from prompts. Latents are scaled as the network sees them, [B,C,h,w], float32 whatever it
// computes in. Methods that draw may be called by several goroutines at once; tensors go to the open scope.
type Model interface {
	About() About
	Device() torch.Device
	DType() torch.DType      // of the network
	ImageDType() torch.DType // of the decoder

	// NaturalSize is the size of the images that the model was trained on, in pixels.
	NaturalSize() (width, height int64)
	// LatentShape is the shape [C,h,w] of an image's latents, or why the model draws no image of that size.
	LatentShape(width, height int64) ([]int64, error)

	// Prepare encodes prompts that are going to be asked for, so that large text encoders are loaded once for all.
	// Models that keep their text encoders do nothing.
	Prepare(prompts []string, lost func(prompt, words string)) error
	// Condition encodes prompts.
	Condition(w Wording) (Conditioning, error)
	// Schedule is the sampler's table for images of numSteps steps and latents of a shape [C,h,w].
	Schedule(numSteps int, eta float64, latents []int64) (*Scheduler, error)

	// Decode maps latents to images [B,3,H,W] in [0,1], float32, one at a time to save memory.
	Decode(latents torch.Tensor) torch.Tensor
	// DecodeStages is Decode of one image in stages, for torch.BackwardStages.
	DecodeStages(latents torch.Tensor) []torch.Stage
	// WidestActivation is the size in bytes of the widest activation that a call of the network has many of.
	WidestActivation(latents []int64) int64

	// Params is the inventory of a part, About.Network say, for low-rank updates; the zero value if there is none.
	Params(part string) nn.Params
	// LoRATargets makes the choice of layers for nn.NewAdapter out of the names of groups.
	LoRATargets(groups []string) (func(layer string) bool, error)
	// AttachLoRA reads a LoRA file of any dialect and adds its updates, one adapter for every part that it updates.
	AttachLoRA(path string, strength float64) ([]*nn.Adapter, error)

	Close()
}

// About is what a model is called, and what its images depend on beside its weights.
type About struct {
	Name      string // of the folder or file that it was loaded from
	Family    string // "SDXL"
	Network   string // the part that makes the images, as LoRA files call it: unet or transformer
	Sampler   string // as web user interfaces call it
	Scheduler any    // its configuration
}

// Conditioning is a network that has been told prompts. Guidance is part of its calls.
type Conditioning interface {
	// Predict is the network's output for latents [B,C,h,w] at one of the sampler's timesteps.
	Predict(latents torch.Tensor, timestep float64) torch.Tensor
	// Stages is Predict in stages, for torch.BackwardStages. They live in the open scope.
	Stages(timestep float64) []torch.Stage
	// Tensors lists all that it holds, so that it may outlive a scope.
	Tensors() []torch.Tensor
}

// Guided is a conditioning whose two passes of guidance can be computed apart.
type Guided interface {
	Conditioning
	// Passes is the conditioning of the negative prompts and that of the prompts, each without guidance, which share
	// its tensors; nil where there is no guidance.
	Passes() []Conditioning
	// Guide combines their outputs, [B,C,h,w] each, to that of the conditioning.
	Guide(negative, positive torch.Tensor) torch.Tensor
}

// Wording is how prompts are put to the model.
type Wording struct {
	Prompts       []string // one per image
	Negative      string   // of all images; "" is none
	GuidanceScale float64  // 1 or less is no guidance
	// GuidanceRescale is how far guided outputs are brought back to the spread of unguided ones, from 0,
	// not at all, to 1 (Lin et al., arXiv 2305.08891, section 3.4).
	GuidanceRescale float64
	ClipSkip        int   // layers of the text encoder to leave out before its end
	Width, Height   int64 // pixels; only SDXL is told

	// Lost, if set, is called for a prompt that does not fit into the model's context, with the words
	// that are cut off.
	Lost func(prompt, words string)
}

// Request asks for images.
type Request struct {
	Wording
	Seeds    []uint64 // one per image: the same seed gives the same image in any batch
	NumSteps int
	Eta      float64 // of DDIM and TCD

	// Estimate, if set, is called after every step, before Progress, with the finished latents [B,C,h,w] as that step
	// estimates them, which it must not keep.
	Estimate func(step, of int, latents torch.Tensor)
	// Progress, if set, is called after every step with the latents so far, which it must not keep.
	Progress func(step, of int, latents torch.Tensor)
}
