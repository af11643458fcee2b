// Binding measures what the binding costs: the same operators on the same libtorch from Go and from
// Python, in turn within one run, on one thread, in CPU time. It prints a Markdown table of medians.
//
//	go run ./bench/binding [-python python3] [-rounds 9] [-cases train]
//
// The Python peer (bench/peers/binding.py) gets the malloc settings that our shim makes, so that the
// ratio is that of the bindings alone.
package main

import (
	"flag"
	"fmt"
	"log"
	"math"
	"strings"

	"focusnfix/bench/peer"
	"focusnfix/model/torch"
)

var (
	pythonPath = flag.String("python", "python3", "Python whose torch is the libtorch that the shim was built for")
	rounds     = flag.Int("rounds", 9, "measurements of each side")
	cases      = flag.String("cases", "", "only the cases whose name contains this")
)

// workload is one case: run does it once, and a measurement does it so many times.
type workload struct {
	name       string
	iterations int
	run        func()
}

func main() {
	flag.Parse()
	log.SetFlags(0)
	if err := torch.Load(); err != nil {
		log.Fatal(err)
	}
	torch.SetThreads(1)
	if err := torch.Run(compare); err != nil {
		log.Fatal(err)
	}
}

func compare() {
	python, err := peer.Start(*pythonPath, "bench/peers/binding.py", nil)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("libtorch %s, Python's torch %s, one thread, CPU time, %d rounds in turn\n\n", torch.Version(), python.Version, *rounds)
	fmt.Println("| case | Go, median | Python, median | Go / Python, median (min - max) |\n|---|---|---|---|")
	for _, w := range workloads() {
		if !strings.Contains(w.name, *cases) {
			continue
		}
		var ours, theirs []float64
		for round := range *rounds + 1 {
			a, b := w.measure(), w.ask(python)
			if round > 0 { // the first warms up
				ours, theirs = append(ours, a), append(theirs, b)
			}
		}
		fmt.Println(peer.Row(w.name, ours, theirs, w.format))
	}
	if err := python.Close(); err != nil {
		log.Fatal(err)
	}
}

// format writes the seconds of one iteration; those of an operator are for a thousand calls.
func (w workload) format(seconds float64) string {
	if w.iterations == operatorIterations {
		return fmt.Sprintf("%.0f ns", seconds*1e6)
	}
	return fmt.Sprintf("%.1f ms", seconds*1e3)
}

// measure is the CPU seconds of one iteration here.
func (w workload) measure() float64 {
	start, _ := peer.Usage()
	for range w.iterations {
		torch.Scope(func() torch.Tensor { w.run(); return torch.Tensor{} })
	}
	end, _ := peer.Usage()
	return (end - start) / float64(w.iterations)
}

// ask is the same in Python.
func (w workload) ask(python *peer.Process) (seconds float64) {
	answer, err := python.Ask(w.name, w.iterations)
	if err == nil {
		_, err = fmt.Sscan(strings.Join(answer, " "), &seconds)
	}
	if err != nil {
		log.Fatalf("the Python peer answered %q, want seconds: %v", answer, err)
	}
	return seconds
}

const operatorIterations = 200 // of 1,000 calls each

func workloads() []workload {
	g, err := torch.NewGenerator(torch.CPU, 0)
	if err != nil {
		log.Fatal(err)
	}
	a, b := torch.Zeros(torch.Float32, torch.CPU, 1), torch.Ones(torch.Float32, torch.CPU, 1)
	x, w := torch.Ones(torch.Float32, torch.CPU, 1, 1, 3, 3), torch.Ones(torch.Float32, torch.CPU, 1, 1, 3, 3)
	small, large := g.Randn(torch.Float32, 4, 64, 16, 16), g.Randn(torch.Float32, 2, 320, 64, 64)
	return []workload{
		{"add", operatorIterations, thousand(func() torch.Tensor { return a.Add(b) })},
		{"conv2d", operatorIterations, thousand(func() torch.Tensor { return x.Conv2d(w, torch.Tensor{}, torch.Conv{}) })},
		{"small-forward", 60, newBlock(g, 64, 4, false).forwardOnly(small)},
		{"small-train", 30, newBlock(g, 64, 4, true).train(small)},
		{"large-forward", 1, newBlock(g, 320, 8, false).forwardOnly(large)},
		{"large-train", 1, newBlock(g, 320, 8, true).train(large)},
	}
}

// thousand calls an operator 1,000 times, freeing each result as Python does.
func thousand(op func() torch.Tensor) func() {
	return func() {
		torch.NoGrad(func() {
			for range 1000 {
				torch.Drop(op())
			}
		})
	}
}

// block is two convolutions and self-attention with residuals, as in a UNet; as in the Python peer.
type block struct {
	heads      int64
	norms      [3][2]torch.Tensor
	convs      [2][2]torch.Tensor
	qkv        [3]torch.Tensor
	out        [2]torch.Tensor
	parameters []torch.Tensor
}

func newBlock(g *torch.Generator, C, heads int64, grad bool) *block {
	b := &block{heads: heads}
	keep := func(t torch.Tensor) torch.Tensor {
		t.SetRequiresGrad(grad)
		b.parameters = append(b.parameters, t)
		return t
	}
	weight := func(shape ...int64) torch.Tensor {
		fan := 1.0
		for _, s := range shape[1:] {
			fan *= float64(s)
		}
		return keep(g.Randn(torch.Float32, shape...).MulScalar(1 / math.Sqrt(fan)))
	}
	zeros := func() torch.Tensor { return keep(torch.Zeros(torch.Float32, torch.CPU, C)) }
	for i := range b.norms {
		b.norms[i] = [2]torch.Tensor{keep(torch.Ones(torch.Float32, torch.CPU, C)), zeros()}
	}
	for i := range b.convs {
		b.convs[i] = [2]torch.Tensor{weight(C, C, 3, 3), zeros()}
	}
	for i := range b.qkv {
		b.qkv[i] = weight(C, C)
	}
	b.out = [2]torch.Tensor{weight(C, C), zeros()}
	return b
}

func (b *block) train(x torch.Tensor) func() {
	return func() { torch.Grad([]torch.Tensor{b.forward(x).Mean()}, b.parameters, nil) }
}

func (b *block) forwardOnly(x torch.Tensor) func() {
	return func() { torch.NoGrad(func() { b.forward(x) }) }
}

func (b *block) forward(x torch.Tensor) torch.Tensor {
	return torch.Scope(func() torch.Tensor {
		h := x
		for i, conv := range b.convs {
			h = torch.Scope(func() torch.Tensor {
				return h.GroupNorm(32, b.norms[i][0], b.norms[i][1], 1e-5).SiLU().Conv2d(conv[0], conv[1], torch.Conv{Padding: 1})
			})
		}
		x := x.Add(h)
		return x.Add(torch.Scope(func() torch.Tensor { return b.attend(x) }))
	})
}

func (b *block) attend(x torch.Tensor) torch.Tensor {
	B, C, H, W := x.Size(0), x.Size(1), x.Size(2), x.Size(3)
	tokens := x.GroupNorm(32, b.norms[2][0], b.norms[2][1], 1e-5).Reshape(B, C, H*W).Transpose(1, 2)
	var qkv [3]torch.Tensor // [B,heads,HW,D]
	for i, w := range b.qkv {
		qkv[i] = tokens.Linear(w, torch.Tensor{}).Reshape(B, H*W, b.heads, C/b.heads).Transpose(1, 2)
	}
	scores := torch.Scope(func() torch.Tensor {
		scaled := qkv[0].MulScalar(1 / math.Sqrt(float64(C/b.heads)))
		return torch.Scope(func() torch.Tensor { return scaled.MatMul(qkv[1].Transpose(2, 3)) }).Softmax(-1)
	})
	o := scores.MatMul(qkv[2]).Transpose(1, 2).Reshape(B, H*W, C).Linear(b.out[0], b.out[1])
	return o.Transpose(1, 2).Reshape(B, C, H, W)
}
