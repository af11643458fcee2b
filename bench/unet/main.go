// Unet measures UNets against diffusers and peft on the same libtorch: a forward pass, and a forward and
// backward pass that reaches LoRA weights. Both sides run in turn, on one thread, in CPU time. It
// prints a Markdown table of medians, and the peak memory of both processes.
//
//	go run ./bench/unet [-python python3] [-rounds 5] [-cases small]
//
// Weights are constant, which no kernel minds, in the shapes of model/sd/testdata/ref/unet.json.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"os"
	"strings"

	"focusnfix/bench/peer"
	"focusnfix/model/nn"
	"focusnfix/model/sd"
	"focusnfix/model/torch"
)

var (
	pythonPath = flag.String("python", "python3", "Python with torch, diffusers and peft; its torch is the libtorch that the shim was built for")
	rounds     = flag.Int("rounds", 5, "measurements of each side")
	cases      = flag.String("cases", "small", "only the cases whose name contains this; the sd15 cases need 8 GB of memory")
)

// workload is one case: a configuration, the latents it gets, and whether gradients are wanted.
type workload struct {
	name        string
	arch        string // of unet.json, or "small"
	batch, side int64
	train       bool
	iterations  int
}

var workloads = []workload{
	{"small-forward", "small", 8, 16, false, 4},
	{"small-train", "small", 8, 16, true, 2},
	{"sd15-forward-256px", "sd15", 1, 32, false, 1},
	{"sd15-forward-512px", "sd15", 1, 64, false, 1},
	{"sd15-train-256px", "sd15", 1, 32, true, 1},
}

// small is the shape of the shipped default.
const small = `{"block_out_channels":[48,96,192],"layers_per_block":1,"norm_num_groups":16,"attention_head_dim":4,"cross_attention_dim":128,
	"down_block_types":["CrossAttnDownBlock2D","CrossAttnDownBlock2D","CrossAttnDownBlock2D"],
	"up_block_types":["CrossAttnUpBlock2D","CrossAttnUpBlock2D","CrossAttnUpBlock2D"]}`

func main() {
	flag.Parse()
	log.SetFlags(0)
	if err := torch.Load(); err != nil {
		log.Fatal(err)
	}
	torch.SetThreads(1)
	if err := run(); err != nil {
		log.Fatal(err)
	}
}

func run() error {
	configs, err := readConfigs("model/sd/testdata/ref/unet.json")
	if err != nil {
		return err
	}
	python, err := peer.Start(*pythonPath, "bench/peers/unet.py", configs)
	if err != nil {
		return err
	}
	fmt.Printf("libtorch %s, Python's torch %s, one thread, CPU time, %d rounds in turn\n\n", torch.Version(), python.Version, *rounds)
	fmt.Println("| case | Go, median | diffusers, median | Go / diffusers, median (min - max) |\n|---|---|---|---|")
	var theirPeak int64
	for _, w := range workloads {
		if !strings.Contains(w.name, *cases) {
			continue
		}
		if theirPeak, err = compare(w, configs[w.arch], python); err != nil {
			return err
		}
	}
	_, ourPeak := peer.Usage()
	fmt.Printf("\npeak memory: Go %d MiB, Python %d MiB\n", ourPeak, theirPeak)
	return python.Close()
}

func readConfigs(path string) (map[string]json.RawMessage, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var golden struct {
		Lists map[string]struct{ Config json.RawMessage }
	}
	if err := json.Unmarshal(data, &golden); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	configs := map[string]json.RawMessage{"small": json.RawMessage(small)}
	for name, list := range golden.Lists {
		configs[name] = list.Config
	}
	return configs, nil
}

func compare(w workload, config json.RawMessage, python *peer.Process) (theirPeak int64, err error) {
	step, drop, err := w.prepare(config)
	if err != nil {
		return 0, err
	}
	defer drop()
	var ours, theirs []float64
	for round := range *rounds + 1 {
		start, _ := peer.Usage()
		for range w.iterations {
			if err := torch.Run(step); err != nil {
				return 0, err
			}
		}
		end, _ := peer.Usage()
		other, peak, err := w.ask(python)
		if err != nil {
			return 0, err
		}
		theirPeak = peak
		if round > 0 { // the first warms up
			ours, theirs = append(ours, (end-start)/float64(w.iterations)), append(theirs, other)
		}
	}
	fmt.Println(peer.Row(w.name, ours, theirs, func(seconds float64) string { return fmt.Sprintf("%.3f s", seconds) }))
	return theirPeak, nil
}

// ask is the CPU seconds of one iteration in Python, and its process's peak memory in MiB.
func (w workload) ask(python *peer.Process) (seconds float64, peakMiB int64, err error) {
	answer, err := python.Ask(w.arch, w.batch, w.side, w.train, w.iterations)
	if err != nil {
		return 0, 0, err
	}
	if _, err := fmt.Sscan(strings.Join(answer, " "), &seconds, &peakMiB); err != nil {
		return 0, 0, fmt.Errorf("the Python peer answered %q, want seconds and MiB", answer)
	}
	return seconds, peakMiB, nil
}

// prepare builds the network; step runs it once, drop frees it.
func (w workload) prepare(config json.RawMessage) (step, drop func(), err error) {
	cfg, err := sd.ParseUNetConfig(w.arch, config)
	if err != nil {
		return nil, nil, err
	}
	params := nn.NewParams(constant{})
	unet := sd.NewUNet(cfg, params)
	var latents, text torch.Tensor
	err = torch.Run(func() {
		latents = torch.Own(torch.Full(0.5, torch.Float32, torch.CPU, w.batch, 4, w.side, w.side))
		text = torch.Own(torch.Full(0.5, torch.Float32, torch.CPU, w.batch, 77, cfg.CrossAttentionDim))
	})
	if err != nil {
		return nil, nil, err
	}
	free := func() { torch.Drop(latents, text); params.Drop() }
	forward := func() torch.Tensor { return unet.Forward(latents, 500, text, torch.Tensor{}, torch.Tensor{}) }
	if !w.train {
		return func() { torch.NoGrad(func() { forward() }) }, free, nil
	}
	targets, err := sd.LoRATargets([]string{"attention"})
	if err != nil {
		return nil, nil, err
	}
	adapter, err := nn.NewAdapter(params, 4, 4, 0, targets)
	if err != nil {
		return nil, nil, err
	}
	adapter.SetTrainable(true)
	_, tensors := adapter.Tensors()
	return func() { torch.Grad([]torch.Tensor{forward().Mean()}, tensors, nil) }, func() { adapter.Remove(); free() }, nil
}

// constant gives parameters filled with one small number.
type constant struct{}

func (constant) Has(string) bool { return false }

func (constant) Param(_ string, _ nn.Init, shape []int64) torch.Tensor {
	return torch.Own(torch.Scope(func() torch.Tensor { return torch.Full(0.01, torch.Float32, torch.CPU, shape...) }))
}
