// Loop measures a step of training on the shipped model against the same method in Python, on the same
// libtorch: written as AlignProp writes it, and with our cache of references. All take turns, on one thread, in
// CPU time; or with -wall as a user has them, on all cores at each program's defaults, in wall time. With -scaling it
// measures no Python but our own step with 1, 2, 4 ... workers, in turn and in wall time. Before that it checks that the
// Python judge, and a whole step without augmentation, give our numbers. It prints a Markdown table, where our time
// goes, and how many operations a step has.
//
//	go run ./bench/loop [-wall | -scaling] [-python python3] [-rounds 5] [-model DIR] [-preset violence]
//
// The Python needs torch, diffusers and peft; its torch is the libtorch that the shim was built for.
package main

import (
	"flag"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"runtime"

	"focusnfix/bench/peer"
	"focusnfix/core"
	"focusnfix/core/engine"
	"focusnfix/core/train"
	"focusnfix/model/scenes"
	"focusnfix/model/torch"
	"focusnfix/presets"
)

var (
	pythonPath = flag.String("python", "python3", "Python with torch, diffusers and peft")
	rounds     = flag.Int("rounds", 5, "measurements of each side")
	model      = flag.String("model", "", "a scenes model folder (default: the shipped one)")
	preset     = flag.String("preset", "violence", "of one aspect that a picture shows by itself")
	steps      = flag.Int("steps", 4, "training steps of one measurement")
	wall       = flag.Bool("wall", false, "all cores and wall time")
	scaling    = flag.Bool("scaling", false, "our own step with different numbers of workers")
)

const pool = 8 // prompts and seeds that are trained on in turn

func main() {
	flag.Parse()
	log.SetFlags(0)
	if err := run(); err != nil {
		log.Fatal(err)
	}
}

// settings is what the Python loop is told.
type settings struct {
	Model         string  `json:"model"`
	Aspect        string  `json:"aspect"`
	Pool          [][]any `json:"pool"` // prompt, seed
	Batch         int     `json:"batch"`
	NumSteps      int     `json:"num_steps"`
	GuidanceScale float64 `json:"guidance_scale"`
	BackpropSteps int     `json:"backprop_steps"`
	Rank          int64   `json:"rank"`
	Alpha         float64 `json:"alpha"`
	LearningRate  float64 `json:"learning_rate"`
	GradClip      float64 `json:"grad_clip"`
	Weight        float64 `json:"weight"`
	RegionWeight  float64 `json:"region_weight"`
	Norm          string  `json:"norm"`
	Threshold     float64 `json:"threshold"`
	MinArea       float64 `json:"min_area"`
	Dilate        int     `json:"dilate"`
	Threads       int     `json:"threads"` // 0 is Python's default
	Wall          bool    `json:"wall"`    // what seconds are
}

func run() error {
	dir, err := os.MkdirTemp("", "focusnfix-loop-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // a leftover harms nobody
	if err := torch.Load(); err != nil {
		return err
	}
	if *scaling {
		return scale(filepath.Join(dir, "reference"))
	}
	workers, threads := 1, 1
	if *wall {
		workers, threads = 0, 0
	} else {
		torch.SetThreads(1)
	}
	ours, told, err := open(filepath.Join(dir, "reference"), workers)
	if err != nil {
		return err
	}
	defer ours.close()
	told.Threads, told.Wall = threads, *wall
	python, err := peer.Start(*pythonPath, "bench/peers/fnf_loop.py", told)
	if err != nil {
		return err
	}
	if err := ours.check(python, dir); err != nil {
		return err
	}
	how := "one thread, CPU time"
	if *wall {
		how = fmt.Sprintf("%d cores at each program's defaults, wall time", runtime.NumCPU())
	}
	fmt.Printf("libtorch %s, Python's torch %s, %s, %d rounds of %d steps in turn; batch %d, %d denoising steps, K = %d\n\n",
		torch.Version(), python.Version, how, *rounds, *steps, told.Batch, told.NumSteps, told.BackpropSteps)
	if err := ours.compare(python); err != nil {
		return err
	}
	return python.Close()
}

func (o *ours) close() {
	o.trainer.Close()
	o.session.Close()
}

// ours is our side.
type ours struct {
	session *engine.Session
	trainer *train.Trainer
	seconds train.Seconds // of all measured steps
	counted int
}

// open loads the model with the preset's settings, trained on a few pairs.
func open(references string, workers int) (*ours, settings, error) {
	text, err := presets.Read(*preset)
	if err != nil {
		return nil, settings{}, err
	}
	if *model == "" {
		if *model, err = scenes.Folder(); err != nil {
			return nil, settings{}, err
		}
	}
	c, err := core.Load([]core.Layer{{Name: *preset, Text: text}}, []string{
		"model.path=" + *model, "model.device=cpu", "model.dtype=float32", `lora.targets=["attention"]`, "reward." + *preset + ".held_out=",
		"train.gradient=chained", "train.ema=0", "train.faulty_share=0",
	}) // what the Python loops do
	if err != nil {
		return nil, settings{}, err
	}
	s, err := engine.Open(c, engine.Settings{References: references})
	if err != nil {
		return nil, settings{}, err
	}
	s.Options.Workers = workers
	s.Options.Prompts, s.Options.SeedsPerPrompt = s.Options.Prompts[:min(pool, len(s.Options.Prompts))], 1
	t, err := s.Trainer()
	if err != nil {
		s.Close()
		return nil, settings{}, err
	}
	o, a := s.Options, s.Options.Aspects[0]
	told := settings{
		Model: *model, Aspect: a.Name, Batch: o.Batch, NumSteps: o.Sampling.NumSteps, GuidanceScale: o.Sampling.GuidanceScale,
		BackpropSteps: o.BackpropSteps, Rank: o.Rank, Alpha: t.Alpha, LearningRate: o.LearningRate, GradClip: o.GradClip,
		Weight: a.Weight, RegionWeight: o.Region.Weight, Norm: string(o.Region.Norm),
		Threshold: a.Mask.Threshold, MinArea: a.Mask.MinArea, Dilate: a.Mask.Dilate,
	}
	if err := t.Plan(t.References.Prepare); err != nil {
		t.Close()
		s.Close()
		return nil, settings{}, err
	}
	pairs := t.Next() // the first step's pairs first
	for i := range t.PoolSize() {
		pairs = append(pairs, t.PoolAt(i))
	}
	for _, p := range pairs {
		told.Pool = append(told.Pool, []any{p.Prompt, p.Seed})
	}
	return &ours{session: s, trainer: t}, told, nil
}
