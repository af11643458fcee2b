package engine

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"focusnfix/model/torch"
)

// meter tells how much memory is in use and how busy the device is.
type meter struct {
	gpu  int          // index for libtorch; -1 on the CPU
	use  atomic.Int64 // of the GPU in percent, as nvidia-smi said last; -1 where it says nothing
	quit chan struct{}

	cpu  time.Duration // used by this process
	from time.Time     // when that was so
}

// askEvery is how often nvidia-smi is asked: it takes a tenth of a second.
const askEvery = 5 * time.Second

func newMeter(device torch.Device) *meter {
	m := &meter{gpu: -1, quit: make(chan struct{}), cpu: cpuTime(), from: time.Now()}
	m.use.Store(-1)
	if _, err := fmt.Sscanf(string(device), "cuda:%d", &m.gpu); err == nil {
		go m.watch(visibleGPU(m.gpu, os.Getenv("CUDA_VISIBLE_DEVICES")))
	}
	return m
}

func (m *meter) close() { close(m.quit) }

// read gives memory in MiB and use in [0,1]: of the GPU, or of this process and all cores.
func (m *meter) read() (memory, use float64) {
	if m.gpu < 0 {
		now, used := time.Now(), cpuTime()
		cores := float64(max(torch.Threads(), 1))
		use = min((used-m.cpu).Seconds()/now.Sub(m.from).Seconds()/cores, 1)
		m.cpu, m.from = used, now
		return residentMiB(), use
	}
	memory, use = unknown, unknown
	if used, err := torch.CUDAMemory(m.gpu); err == nil && used.PeakAllocated >= 0 {
		memory = float64(used.PeakAllocated) / (1 << 20)
	}
	if percent := m.use.Load(); percent >= 0 {
		use = float64(percent) / 100
	}
	return memory, use
}

// watch asks nvidia-smi now and then; without one it gives up.
func (m *meter) watch(gpu string) {
	tick := time.NewTicker(askEvery)
	defer tick.Stop()
	for {
		out, err := exec.Command("nvidia-smi", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits", "-i", gpu).Output()
		percent, bad := strconv.Atoi(strings.TrimSpace(string(out)))
		if err != nil || bad != nil {
			return
		}
		m.use.Store(int64(percent))
		select {
		case <-m.quit:
			return
		case <-tick.C:
		}
	}
}

// visibleGPU is what nvidia-smi calls the GPU that libtorch counts as index, given CUDA_VISIBLE_DEVICES.
func visibleGPU(index int, visible string) string {
	if names := strings.Split(visible, ","); visible != "" && index < len(names) {
		return strings.TrimSpace(names[index])
	}
	return strconv.Itoa(index)
}

// cpuTime is what this process has used up to now.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// residentMiB is the memory of this process; unknown where there is no /proc.
func residentMiB() float64 {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return unknown
	}
	_, rest, found := bytes.Cut(text, []byte("VmRSS:"))
	var kib float64
	if _, err := fmt.Sscan(string(rest), &kib); !found || err != nil {
		return unknown
	}
	return kib / 1024
}
