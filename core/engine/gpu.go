package engine

import (
	"context"
	"fmt"
	"math"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"focusnfix/core"
)

// gpuColumns are what nvidia-smi is asked of each GPU, in the order in which parseGPUs reads it.
const gpuColumns = "index,uuid,name,utilization.gpu,memory.used,memory.total,temperature.gpu,power.draw,power.limit"

// smiTime is how long nvidia-smi may take: on a machine with a hung driver it never answers.
const smiTime = 10 * time.Second

// GPUs asks nvidia-smi about the GPUs that this process may use, all of them unless CUDA_VISIBLE_DEVICES names some, in
// the order of libtorch's indices. No such program, or no GPU, is an error.
func GPUs(ctx context.Context) ([]core.GPU, error) {
	text, err := smi(ctx, "--query-gpu="+gpuColumns)
	if err != nil {
		return nil, err
	}
	gpus, err := parseGPUs(text)
	if err != nil {
		return nil, err
	}
	if text, err = smi(ctx, "--query-compute-apps=gpu_uuid,pid,used_memory"); err == nil { // old drivers cannot tell
		addProcesses(gpus, text)
	}
	return visibleGPUs(gpus, os.Getenv("CUDA_VISIBLE_DEVICES")), nil
}

func smi(ctx context.Context, query string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, smiTime)
	defer cancel()
	out, err := exec.CommandContext(ctx, "nvidia-smi", query, "--format=csv,noheader,nounits").Output()
	if err != nil {
		return "", fmt.Errorf("nvidia-smi: %w", err)
	}
	return string(out), nil
}

// parseGPUs reads a line a GPU, of gpuColumns.
func parseGPUs(text string) (gpus []core.GPU, err error) {
	for line := range strings.Lines(text) {
		fields := splitFields(line)
		if want := strings.Count(gpuColumns, ",") + 1; len(fields) != want {
			return nil, fmt.Errorf("nvidia-smi: %q: %d fields, want %d", strings.TrimSpace(line), len(fields), want)
		}
		g := core.GPU{UUID: fields[1], Name: fields[2]}
		if g.Index, err = strconv.Atoi(fields[0]); err != nil {
			return nil, fmt.Errorf("nvidia-smi: index %q: want a number", fields[0])
		}
		g.Use = smiNumber(fields[3]) / 100
		for i, to := range []*float64{&g.MemoryMiB, &g.TotalMiB, &g.Celsius, &g.Watts, &g.MostWatts} {
			*to = smiNumber(fields[4+i])
		}
		gpus = append(gpus, g)
	}
	return gpus, nil
}

// addProcesses reads a line a process: the UUID of its GPU, its number, MiB. Others are left out.
func addProcesses(gpus []core.GPU, text string) {
	for line := range strings.Lines(text) {
		fields := splitFields(line)
		if len(fields) != 3 {
			continue
		}
		pid, err := strconv.Atoi(fields[1])
		if err != nil {
			continue
		}
		for i := range gpus {
			if gpus[i].UUID == fields[0] {
				gpus[i].Processes = append(gpus[i].Processes, core.GPUProcess{PID: pid, MemoryMiB: smiNumber(fields[2])})
			}
		}
	}
}

func splitFields(line string) []string {
	fields := strings.Split(strings.TrimSpace(line), ",")
	for i := range fields {
		fields[i] = strings.TrimSpace(fields[i])
	}
	return fields
}

// smiNumber is a number of nvidia-smi, NaN for "[N/A]" and its like.
func smiNumber(text string) float64 {
	n, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsInf(n, 0) {
		return unknown
	}
	return n
}

// visibleGPUs picks the GPUs that CUDA_VISIBLE_DEVICES names, by index or the beginning of a UUID, in its order. As CUDA
// does it ignores what follows an unknown name.
func visibleGPUs(gpus []core.GPU, names string) (visible []core.GPU) {
	if names == "" {
		return gpus
	}
	for _, name := range splitFields(names) {
		before := len(visible)
		for _, g := range gpus {
			if name == strconv.Itoa(g.Index) || strings.HasPrefix(name, "GPU-") && strings.HasPrefix(g.UUID, name) {
				visible = append(visible, g)
				break
			}
		}
		if len(visible) == before {
			break
		}
	}
	return visible
}
