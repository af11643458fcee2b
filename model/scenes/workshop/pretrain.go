package workshop

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"focusnfix/model/torch"
)

// How the shipped model is made, from nothing but the scene generator:
//
//	sight      a small network that names and places what scenes show; its features are the
//	           perceptual term of the autoencoder's loss. It does not ship.
//	vae        the autoencoder (f8, 128 pixels).
//	unet       byte-level BPE from the captions; text encoder and UNet together, on encoded scenes.
//	judge      two networks that find violence, over-sexualization and glitches: one for rewards,
//	           one of another make, seed and data that is kept for evaluation.
//	alignment  two that find missing and wrong entities, in the same way.
//
// Every stage needs those before it and reads them as they ship, in float16. All chance hangs on the
// seed: without a GPU and a time limit the same command with as many threads gives the same weights.

// stages in their order.
var stages = []string{"sight", "vae", "unet", "judge", "alignment"}

// PretrainStages are the names that Pretrain takes, "all" among them.
func PretrainStages() []string { return append(slices.Clone(stages), "all") }

// PretrainOptions say how the shipped model is made.
type PretrainOptions struct {
	// Out is the folder that is written: model (a diffusers folder with judges), state (checkpoints),
	// sheets (images to look at), events.jsonl.
	Out    string
	Device torch.Device // "" is the first GPU, or the CPU
	DType  torch.DType  // that networks compute in; 0 is bfloat16 on a GPU, float32 on the CPU
	Seed   uint64
	// Threads are replicas on the CPU that share a batch, each of one thread; 0 is all processors. A
	// GPU has one.
	Threads int
	// Steps and Batch replace those of every network that is learned; 0 keeps its own.
	Steps, Batch int
	// Minutes, if more than 0, is the time of the whole call. Every network gets its share of it, and
	// its learning rate falls by the clock; then the weights depend on the machine's speed, too.
	Minutes float64
	Resume  bool
	// Report, if set, is told about once in 50 steps how far a network is.
	Report func(stage string, done, of int, numbers string)

	// Recipe is the number of the recipe; 0 is ShippedRecipe.
	Recipe int
}

// pretraining is one call of Pretrain.
type pretraining struct {
	out      string
	device   torch.Device
	dtype    torch.DType
	baseSeed uint64
	replicas int
	allSteps int // that replace every lesson's, or 0
	allBatch int
	limit    time.Duration // of the lesson under way; 0 is none
	resume   bool
	report   func(stage string, done, of int, numbers string)
	recipe   *recipe
	events   io.Writer
	eventErr error
}

// Pretrain makes one stage of the shipped model, or all.
func Pretrain(ctx context.Context, stage string, o PretrainOptions) error {
	if !slices.Contains(PretrainStages(), stage) {
		return fmt.Errorf("stage %q, want one of %s", stage, strings.Join(PretrainStages(), ", "))
	}
	p, err := o.start()
	if err != nil {
		return err
	}
	return p.make(ctx, stage, o.Minutes)
}

// make makes one stage, or all, in so many minutes if more than 0.
func (p *pretraining) make(ctx context.Context, stage string, minutes float64) error {
	if err := os.MkdirAll(p.out, 0o777); err != nil {
		return err
	}
	events, err := os.OpenFile(filepath.Join(p.out, "events.jsonl"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o666)
	if err != nil {
		return err
	}
	p.events = events
	todo := []string{stage}
	if stage == "all" {
		todo = stages
	}
	for _, name := range todo {
		p.limit = shareOf(minutes, name, todo)
		if err = p.run(ctx, name); err != nil {
			break
		}
	}
	return errors.Join(err, p.eventErr, events.Close())
}

func (o PretrainOptions) start() (*pretraining, error) {
	r, err := recipeOf(o.Recipe)
	if err != nil {
		return nil, err
	}
	return o.startWith(r)
}

// startWith is start with a recipe at hand.
func (o PretrainOptions) startWith(r *recipe) (*pretraining, error) {
	if err := torch.Load(); err != nil {
		return nil, err
	}
	p := &pretraining{
		out: o.Out, device: o.Device, dtype: o.DType, baseSeed: o.Seed, replicas: o.Threads, allSteps: o.Steps, allBatch: o.Batch,
		resume: o.Resume, report: o.Report, recipe: r,
	}
	if p.device == "" {
		p.device = torch.DefaultDevice()
	}
	if p.replicas <= 0 {
		p.replicas = runtime.NumCPU()
	}
	if p.device != torch.CPU {
		p.replicas = 1
		torch.Set(torch.TF32, true)
		torch.Set(torch.CuDNNBenchmark, true)
	} else {
		torch.SetThreads(1) // of an operator; replicas share the work
	}
	if p.dtype == 0 {
		p.dtype = torch.BFloat16
		if p.device == torch.CPU {
			p.dtype = torch.Float32
		}
	}
	if p.dtype != torch.Float32 && p.dtype != torch.BFloat16 {
		return nil, fmt.Errorf("networks learn in float32 or bfloat16, not in %v", p.dtype)
	}
	return p, nil
}

// shares are how a time limit is divided among stages, in parts of the whole.
var shares = map[string]float64{"sight": 0.05, "vae": 0.35, "unet": 0.34, "judge": 0.13, "alignment": 0.13}

// shareOf is the time of a stage out of those to do.
func shareOf(minutes float64, stage string, todo []string) time.Duration {
	all := 0.0
	for _, s := range todo {
		all += shares[s]
	}
	return time.Duration(minutes * shares[stage] / all * float64(time.Minute))
}

// run makes one stage.
func (p *pretraining) run(ctx context.Context, stage string) error {
	switch stage {
	case "sight":
		return p.learnSight(ctx)
	case "vae":
		return p.learnVAE(ctx)
	case "unet":
		return p.learnUNet(ctx)
	case "judge":
		return p.learnPair(ctx, stage, p.learnJudge)
	}
	return p.learnPair(ctx, stage, p.learnAlignment)
}

// learnPair makes the network that rewards are taken from and the one that evaluates.
func (p *pretraining) learnPair(ctx context.Context, name string, learn func(context.Context, judgeKind) error) error {
	p.limit /= 2
	for _, kind := range []judgeKind{trained(name), heldOut(name)} {
		if err := learn(ctx, kind); err != nil {
			return err
		}
	}
	return nil
}

// allThreads lets every operator use as many threads as there are replicas, which rest meanwhile, until
// the function that it returns is called.
func (p *pretraining) allThreads() (end func()) {
	if p.device != torch.CPU {
		return func() {}
	}
	torch.SetThreads(p.replicas)
	return func() { torch.SetThreads(1) }
}

// folder is a folder of the model that is made.
func (p *pretraining) folder(parts ...string) string {
	return filepath.Join(append([]string{p.out, "model"}, parts...)...)
}

// choose is the caller's number where there is one.
func choose(callers, own int) int {
	if callers > 0 {
		return callers
	}
	return own
}

// batchOf is a batch that the replicas can share.
func (p *pretraining) batchOf(own int) int {
	return max(1, choose(p.allBatch, own)/p.replicas) * p.replicas
}

// mixSeeds makes one seed of several numbers.
func mixSeeds(numbers ...uint64) uint64 {
	seed := uint64(0)
	for _, n := range numbers {
		seed = mix(seed ^ mix(n))
	}
	return seed
}
