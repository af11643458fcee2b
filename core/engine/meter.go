package engine

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"

	"focusnfix/core"
	"focusnfix/model/torch"
)

// meter tells how much memory is in use and how busy the device is.
type meter struct {
	gpu     int // index for libtorch; -1 on the CPU
	stop    context.CancelFunc
	stopped chan struct{}

	mutex sync.Mutex
	gpus  []core.GPU // as the driver said last; none where it says nothing
	at    time.Time  // when that was
	told  time.Time  // the reading that reading gave last

	cpu  time.Duration // used by this process
	from time.Time     // when that was so
}

// How often the driver is asked, which takes a process and a tenth of a second, and how often events say it.
const (
	askEvery  = 5 * time.Second
	tellEvery = 30 * time.Second
)

func newMeter(device torch.Device) *meter {
	ctx, stop := context.WithCancel(context.Background())
	m := &meter{gpu: -1, stop: stop, stopped: make(chan struct{}), cpu: cpuTime(), from: time.Now()}
	if _, err := fmt.Sscanf(string(device), "cuda:%d", &m.gpu); err != nil {
		close(m.stopped)
		return m
	}
	go m.watch(ctx)
	return m
}

func (m *meter) close() {
	m.stop()
	<-m.stopped
}

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
	if gpus := m.now(); m.gpu < len(gpus) {
		use = gpus[m.gpu].Use
	}
	return memory, use
}

// now is what the driver said last of every GPU.
func (m *meter) now() []core.GPU {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	return m.gpus
}

// reading is now, where it is time that events say it again; else none.
func (m *meter) reading() []core.GPU {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	if len(m.gpus) == 0 || m.at.Sub(m.told) < tellEvery {
		return nil
	}
	m.told = m.at
	return m.gpus
}

// watch asks the driver now and then; where nothing answers it gives up.
func (m *meter) watch(ctx context.Context) {
	defer close(m.stopped)
	tick := time.NewTicker(askEvery)
	defer tick.Stop()
	for {
		gpus, err := GPUs(ctx)
		if err != nil {
			return
		}
		m.mutex.Lock()
		m.gpus, m.at = gpus, time.Now()
		m.mutex.Unlock()
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
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
