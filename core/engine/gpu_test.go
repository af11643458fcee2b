package engine

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"focusnfix/core"
	"focusnfix/model/torch"
	"focusnfix/model/torch/torchtest"
)

// fakeDriver puts an nvidia-smi on PATH that tells of two GPUs.
func fakeDriver(t *testing.T) {
	t.Helper()
	dir := t.TempDir()
	script := `#!/bin/sh
case $1 in
--query-gpu=` + gpuColumns + `)
	echo "0, GPU-aaaa-1, NVIDIA H100 80GB HBM3, 97, 20480, 81559, 61, 512.25, 700.00"
	echo "1, GPU-bbbb-2, NVIDIA H100 80GB HBM3, [N/A], 4, 81559, 33, [Not Supported], 700.00" ;;
--query-compute-apps=gpu_uuid,pid,used_memory)
	echo "GPU-aaaa-1, 4242, 20000"
	echo "GPU-aaaa-1, 4343, [N/A]" ;;
*) exit 1 ;;
esac
`
	if err := os.WriteFile(filepath.Join(dir, "nvidia-smi"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	t.Setenv("CUDA_VISIBLE_DEVICES", "")
}

func TestGPUs(t *testing.T) {
	fakeDriver(t)
	gpus, err := GPUs(t.Context())
	if err != nil || len(gpus) != 2 {
		t.Fatalf("%v, %v", gpus, err)
	}
	for i, want := range []string{
		"97 % busy, 20.0 of 79.6 GiB in use, 61 °C, 512 of 700 W",
		"0.0 of 79.6 GiB in use, 33 °C",
	} {
		if got := gpus[i].String(); got != want || gpus[i].Name != "NVIDIA H100 80GB HBM3" {
			t.Errorf("%s: %s, want %s", gpus[i].Name, got, want)
		}
	}
	if p := gpus[0].Processes; len(p) != 2 || p[0] != (core.GPUProcess{PID: 4242, MemoryMiB: 20000}) || p[1].PID != 4343 {
		t.Errorf("processes %+v", p)
	}
}

// TestVisibleGPUs: as CUDA reads CUDA_VISIBLE_DEVICES.
func TestVisibleGPUs(t *testing.T) {
	fakeDriver(t)
	for visible, want := range map[string][]int{
		"": {0, 1}, "1": {1}, "1,0": {1, 0}, "GPU-bb": {1}, "1 , GPU-aaaa-1": {1, 0}, "7": nil, "0,7,1": {0}, "-1": nil,
	} {
		t.Setenv("CUDA_VISIBLE_DEVICES", visible)
		gpus, err := GPUs(t.Context())
		var got []int
		for _, g := range gpus {
			got = append(got, g.Index)
		}
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%q: %v, %v, want %v", visible, got, err, want)
		}
	}
}

func TestGPUsWithoutDriver(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	if gpus, err := GPUs(t.Context()); err == nil {
		t.Errorf("%v without nvidia-smi", gpus)
	}
	for text, want := range map[string]string{"0, GPU-1\n": "2 fields, want 9", "x, GPU-1, L4, 1, 2, 3, 4, 5, 6\n": `index "x"`} {
		if _, err := parseGPUs(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

// TestMeter: of a GPU the driver is asked, and events say it again after half a minute only.
func TestMeter(t *testing.T) {
	fakeDriver(t)
	m := newMeter(torch.CUDA(0))
	defer m.close()
	answered(t, m)
	if _, use := m.read(); use != 0.97 {
		t.Errorf("use %g, want 0.97", use)
	}
	if first, second := m.reading(), m.reading(); len(first) != 2 || second != nil {
		t.Errorf("told %d GPUs, then %d, want 2, then none", len(first), len(second))
	}
}

// TestDeviceEvents: a run on a GPU has in its events what the driver says; one on the CPU does not ask.
func TestDeviceEvents(t *testing.T) {
	fakeDriver(t)
	f := newTinyRun(t, tinyConfig(t))
	if err := runTiny(t, f); err != nil {
		t.Fatal(err)
	}
	want := 1 // the run takes less than half a minute
	if torchtest.Device() == torch.CPU {
		want = 0
	}
	told := 0
	for _, e := range eventsOf(t, f) {
		if e.Kind == "device" && len(e.GPUs) == 2 && e.GPUs[1].UUID == "GPU-bbbb-2" {
			told++
		}
	}
	if told < want || want == 0 && told > 0 {
		t.Errorf("%d events of devices, want %d", told, want)
	}
}

// TestStatusGPUs: the socket tells, too.
func TestStatusGPUs(t *testing.T) {
	fakeDriver(t)
	e := &engine{device: newMeter(torch.CUDA(0))}
	defer e.device.close()
	answered(t, e.device)
	status, err := e.Status(t.Context())
	if err != nil || len(status.GPUs) != 2 {
		t.Errorf("status %+v, %v", status, err)
	}
}

// answered waits until the driver said something.
func answered(t *testing.T, m *meter) {
	t.Helper()
	for range 1000 {
		if len(m.now()) > 0 {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("nvidia-smi did not answer in ten seconds")
}
