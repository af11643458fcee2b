package core

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
)

// TestGPU: what a driver does not tell stays unknown through a log and through encoding/json.
func TestGPU(t *testing.T) {
	gpu := GPU{
		Index: 1, UUID: "GPU-1", Name: "NVIDIA L4", Use: .42, MemoryMiB: 3072, TotalMiB: 23034, Celsius: 41, Watts: math.NaN(),
		MostWatts: 72, Processes: []GPUProcess{{PID: 7, MemoryMiB: math.NaN()}},
	}
	const want = "42 % busy, 3.0 of 22.5 GiB in use, 41 °C"
	if got := gpu.String(); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	line := (&Event{Kind: "device", GPUs: []GPU{gpu}}).AppendJSON(nil)
	var event Event
	if err := event.ParseJSON(line); err != nil || len(event.GPUs) != 1 {
		t.Fatalf("%s: %v", line, err)
	}
	text, err := json.Marshal([]GPU{gpu})
	if err != nil || strings.Contains(string(text), "watts\":null") {
		t.Fatalf("%s: %v", text, err)
	}
	var again []GPU
	if err := json.Unmarshal(text, &again); err != nil || len(again) != 1 {
		t.Fatalf("%s: %v", text, err)
	}
	for _, got := range []GPU{event.GPUs[0], again[0]} {
		if got.String() != want || got.UUID != gpu.UUID || !math.IsNaN(got.Watts) || got.MostWatts != 72 ||
			len(got.Processes) != 1 || got.Processes[0].PID != 7 || !math.IsNaN(got.Processes[0].MemoryMiB) {
			t.Errorf("read %+v, want %+v", got, gpu)
		}
	}
}
