// Fullsize measures loading and drawing with models of real size. It first writes SD 1.5, SD 2.1 or
// SDXL as a diffusers folder of random weights (no real ones are needed for time and memory), then
// loads that folder and draws one image; bench/peers/fullsize.py does the same with diffusers.
//
//	go run ./bench/fullsize -make /tmp/sd15 -kind sd15 [-dtype float32]
//	go run ./bench/fullsize -make /tmp/sd15 -kind sd15 -hollow      sizes alone, for focusnfix plan
//	go run ./bench/fullsize -load /tmp/sd15 [-dtype float32] [-side 256] [-steps 2]
//
// It prints one line of JSON: seconds of processor time, which other programs on the machine do not
// stretch, of wall time for loading, and the peak of the process' memory in MB, mapped files included.
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
	"focusnfix/model/sd"
	"focusnfix/model/torch"
)

var (
	makeDir = flag.String("make", "", "folder to write")
	loadDir = flag.String("load", "", "folder to load")
	side    = flag.Int64("side", 256, "side of the picture in pixels")
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

func measure(dir string) error {
	o := backbone.LoadOptions{Device: torch.CPU, DType: map[string]torch.DType{"float32": torch.Float32, "bfloat16": torch.BFloat16}[model.DType]}
	start, cpu := time.Now(), cpuSeconds()
	p, err := sd.Load(dir, o)
	if err != nil {
		return err
	}
	defer p.Close()
	result := map[string]float64{"load_s": time.Since(start).Seconds(), "load_cpu_s": cpuSeconds() - cpu, "load_mb": peakMB()}
	last := cpuSeconds()
	r := backbone.Request{Wording: backbone.Wording{Prompts: []string{"a chef"}, GuidanceScale: 1, Width: *side, Height: *side}, Seeds: []uint64{1}, NumSteps: *steps}
	r.Progress = func(int, int, torch.Tensor) {
		now := cpuSeconds()
		result["step_cpu_s"], last = now-last, now // the last one's: the first reads the file
	}
	if _, err := backbone.Generate(context.Background(), p, r); err != nil {
		return err
	}
	result["decode_cpu_s"], result["all_mb"] = cpuSeconds()-last, peakMB()
	return json.NewEncoder(os.Stdout).Encode(result)
}

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
