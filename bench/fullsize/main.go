// Fullsize measures loading and drawing with models of real size. It first writes one as a diffusers folder of random
// weights (no real ones are needed for time and memory), then loads that folder and draws one image;
// bench/peers/fullsize.py does the same with diffusers.
//
//	go run ./bench/fullsize -make /tmp/sd15 -kind sd15 [-dtype float32]     also sd21, sdxl, sd35, sd35-t5, zimage
//	go run ./bench/fullsize -make /tmp/z -kind zimage -part transformer      one network alone, for bench/call
//	go run ./bench/fullsize -make /tmp/sd15 -kind sd15 -hollow              sizes alone, for focusnfix plan
//	go run ./bench/fullsize -load /tmp/sd15 [-dtype float32] [-side 256] [-steps 2]
//
// It prints one line of JSON: for each part of the work seconds of processor time, which other programs on the machine do
// not stretch, and of wall time, and the peak of the process' memory in MB so far, mapped files included. load, which is
// measured last and so from the page cache, is all but the text encoders of a transformer; prompt is their loading, one
// prompt, and dropping them, and what reading files for the first time takes.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"log"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"focusnfix/bench/fullsize/replica"
	"focusnfix/model/backbone"
	"focusnfix/model/families"
	"focusnfix/model/torch"
)

var (
	makeDir = flag.String("make", "", "folder to write")
	loadDir = flag.String("load", "", "folder to load")
	side    = flag.Int64("side", 256, "side of the image in pixels")
	steps   = flag.Int("steps", 2, "denoising steps, without guidance")
	model   replica.Replica
)

func main() {
	model.Flags(flag.CommandLine)
	flag.Parse()
	log.SetFlags(0)
	var err error
	switch {
	case *makeDir != "":
		err = model.Write(*makeDir)
	case *loadDir != "":
		err = measure(*loadDir)
	default:
		err = errors.New("want -make or -load")
	}
	if err != nil {
		log.Fatal(err)
	}
}

// meter writes down how long the parts of the work take.
type meter struct {
	result    map[string]float64
	wall, cpu float64 // seconds, when the last part ended
}

func newMeter() *meter { return &meter{map[string]float64{}, wallSeconds(), cpuSeconds()} }

// lap ends a part; one of the same name takes the place of an earlier one.
func (m *meter) lap(part string) {
	wall, cpu := wallSeconds(), cpuSeconds()
	m.result[part+"_s"], m.result[part+"_cpu_s"], m.result[part+"_mb"] = wall-m.wall, cpu-m.cpu, peakMB()
	m.wall, m.cpu = wall, cpu
}

func measure(dir string) error {
	o := backbone.LoadOptions{Device: torch.CPU, DType: map[string]torch.DType{"float32": torch.Float32, "bfloat16": torch.BFloat16}[model.DType]}
	prompts := []string{"a chef"}
	if err := torch.Load(); err != nil { // as Python's imports, not counted
		return err
	}
	m := newMeter()
	p, err := load(dir, o, prompts)
	if err != nil {
		return err
	}
	m.lap("prompt")
	r := backbone.Request{Wording: backbone.Wording{Prompts: prompts, GuidanceScale: 1, Width: *side, Height: *side}, Seeds: []uint64{1}, NumSteps: *steps}
	r.Progress = func(int, int, torch.Tensor) { m.lap("step") } // the last one's: the first reads the file
	_, err = backbone.Generate(context.Background(), p, r)
	m.lap("decode")
	p.Close()
	if err != nil {
		return err
	}
	if p, err = load(dir, o, nil); err != nil {
		return err
	}
	defer p.Close()
	m.lap("load")
	for _, unit := range []string{"_s", "_cpu_s"} {
		m.result["prompt"+unit] -= m.result["load"+unit]
	}
	return json.NewEncoder(os.Stdout).Encode(m.result)
}

// load opens a model and encodes prompts.
func load(dir string, o backbone.LoadOptions, prompts []string) (backbone.Model, error) {
	p, err := families.Open(dir, o)
	if err != nil {
		return nil, err
	}
	if err := p.Prepare(prompts, nil); err != nil {
		p.Close()
		return nil, err
	}
	return p, nil
}

func wallSeconds() float64 { return float64(time.Now().UnixNano()) / 1e9 }

// cpuSeconds is the processor time that all threads of the process have used.
func cpuSeconds() float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
}

// peakMB is the most memory that the process has had, in MB.
func peakMB() float64 {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kb, _ := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			return kb / 1000
		}
	}
	return 0
}
