// Call measures one call of a transformer against diffusers: both load the same folder's transformer, get the same
// latents and text, and compute in turn, each with the threads that it takes by default. Text encoders and VAE are not
// loaded. It prints a Markdown table of medians in wall and processor time, and how large the two outputs are and how far
// apart.
//
//	go run ./bench/fullsize -make DIR -kind sd35 -dtype bfloat16 -part transformer
//	go run ./bench/call -folder DIR [-python python3] [-side 32] [-rounds 3]
//
// The weights are read in the element type of their files, so that neither side copies them: both map the same pages.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"math"
	"os"
	"path/filepath"
	"strings"
	"time"

	"focusnfix/bench/peer"
	"focusnfix/model/mmdit"
	"focusnfix/model/nn"
	"focusnfix/model/torch"
	"focusnfix/model/weights"
	"focusnfix/model/zimage"
)

var (
	folder     = flag.String("folder", "", "diffusers folder of a Stable Diffusion 3.x or a Z-Image")
	pythonPath = flag.String("python", "python3", "Python with torch and diffusers; its torch is the libtorch that the shim was built for")
	side       = flag.Int64("side", 32, "side of the latents; an eighth of the image's")
	rounds     = flag.Int("rounds", 3, "measurements of each side, after one that reads the files")
)

func main() {
	flag.Parse()
	log.SetFlags(0)
	err := torch.Load()
	if err == nil {
		err = run()
	}
	if err != nil {
		log.Fatal(err)
	}
}

// call is a transformer that has been told text.
type call func(latents torch.Tensor) torch.Tensor

func run() error {
	network, dtype, params, err := open(filepath.Join(*folder, "transformer"))
	if err != nil {
		return err
	}
	defer params.Drop()
	python, err := peer.Start(*pythonPath, "bench/peers/call.py", map[string]any{"folder": *folder, "dtype": fmt.Sprint(dtype), "side": *side})
	if err != nil {
		return err
	}
	fmt.Printf("libtorch %s, Python's torch %s, default threads, %s, latents of %dx%d, %d rounds in turn\n\n", torch.Version(), python.Version, dtype, *side, *side, *rounds)
	var wall, cpu [2][]float64 // ours, theirs
	var out [2][]float64
	for round := range *rounds + 1 {
		started := time.Now()
		before, _ := peer.Usage()
		values, err := compute(network)
		if err != nil {
			return err
		}
		after, _ := peer.Usage()
		ours := [2]float64{time.Since(started).Seconds(), after - before}
		theirs, other, err := ask(python)
		if err != nil {
			return err
		}
		out = [2][]float64{values, other}
		if round > 0 { // the first reads the files
			for i, one := range [][2]float64{ours, theirs} {
				wall[i], cpu[i] = append(wall[i], one[0]), append(cpu[i], one[1])
			}
		}
	}
	seconds := func(s float64) string { return fmt.Sprintf("%.2f s", s) }
	fmt.Println("| one call | Go, median | diffusers, median | Go / diffusers, median (min - max) |\n|---|---|---|---|")
	fmt.Println(peer.Row("wall", wall[0], wall[1], seconds))
	fmt.Println(peer.Row("processor", cpu[0], cpu[1], seconds))
	far, largest := apart(out[0], out[1])
	fmt.Printf("\nthe first %d outputs are %.3g apart at most; the largest is %.3g\n", len(out[0]), far, largest)
	return python.Close()
}

// open builds the transformer of either family, in the type of its files.
func open(dir string) (network call, dtype torch.DType, params nn.Params, err error) {
	config, err := os.ReadFile(filepath.Join(dir, "config.json"))
	if err != nil {
		return nil, dtype, params, err
	}
	file, err := weights.OpenDir(dir, "")
	if err != nil {
		return nil, dtype, params, err
	}
	defer file.Close() //nolint:errcheck // read only
	dtype = torch.Float32
	if file.Tensors[0].DType == weights.BF16 {
		dtype = torch.BFloat16
	}
	build, err := networkOf(config, &network)
	if err == nil {
		params, err = nn.Build(dir, file.Tensors, dtype, torch.CPU, weights.Leftovers, build)
	}
	return network, dtype, params, err
}

// networkOf is what builds the network of a configuration, and sets its call.
func networkOf(config []byte, network *call) (func(nn.Params), error) {
	var class struct {
		Name string `json:"_class_name"`
	}
	if err := json.Unmarshal(config, &class); err != nil {
		return nil, err
	}
	switch class.Name {
	case "SD3Transformer2DModel":
		cfg, err := mmdit.ParseConfig("config.json", config)
		return func(p nn.Params) {
			t := mmdit.NewTransformer(cfg, p)
			*network = func(latents torch.Tensor) torch.Tensor {
				return t.Forward(latents, 500, wave(1, 333, cfg.JointAttentionDim), wave(1, cfg.PooledProjectionDim))
			}
		}, err
	case "ZImageTransformer2DModel":
		cfg, err := zimage.ParseConfig("config.json", config)
		return func(p nn.Params) {
			t := zimage.NewTransformer(cfg, p)
			*network = func(latents torch.Tensor) torch.Tensor {
				return t.Forward(latents, 0.5, []torch.Tensor{wave(64, cfg.CaptionDim)})
			}
		}, err
	}
	return nil, fmt.Errorf("%q: want an SD3Transformer2DModel or a ZImageTransformer2DModel", class.Name)
}

// wave are numbers that both sides can make: the cosine of 0, 1, 2, ...
func wave(shape ...int64) torch.Tensor {
	count := int64(1)
	for _, n := range shape {
		count *= n
	}
	return torch.Arange(0, float64(count), 1, torch.Float32, torch.CPU).Cos().Reshape(shape...)
}

// compute is one call; it returns the first outputs.
func compute(network call) (first []float64, err error) {
	err = torch.Run(func() {
		torch.NoGrad(func() {
			first = network(wave(1, 16, *side, *side)).To(torch.Float32).Flatten(0).Narrow(0, 0, *side**side).Doubles()
		})
	})
	return first, err
}

// ask is one call of Python: wall and processor seconds, and the first outputs.
func ask(python *peer.Process) (seconds [2]float64, first []float64, err error) {
	answer, err := python.Ask("call")
	if err != nil {
		return seconds, nil, err
	}
	var reply struct {
		Wall, CPU float64
		First     []float64
	}
	err = json.Unmarshal([]byte(strings.Join(answer, " ")), &reply)
	return [2]float64{reply.Wall, reply.CPU}, reply.First, err
}

// apart is the largest difference, and the largest value.
func apart(a, b []float64) (far, largest float64) {
	if len(a) != len(b) {
		return math.NaN(), math.NaN()
	}
	for i := range a {
		far, largest = max(far, math.Abs(a[i]-b[i])), max(largest, math.Abs(b[i]))
	}
	return far, largest
}
