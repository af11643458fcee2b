package train

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"

	"focusnfix/model/torch"
)

// workers share the images of a step on a CPU: each is a goroutine on an OS thread of its own, since libtorch
// keeps gradient mode and OpenMP teams per thread. Every operator runs on a single core, so that an image has the
// same bits whatever the number of workers. On a GPU there is one worker, the caller.
type workers struct {
	device torch.Device
	count  int         // that may work at once, the caller included
	jobs   chan func() // of all but the caller; nil where there are none
	unsure bool        // count is by cores; memory is to be looked at with the first image
}

// newWorkers starts count workers; 0 is as many as there are cores, and fewer where memory is short.
func newWorkers(device torch.Device, count, most int) *workers {
	w := &workers{device: device, count: 1}
	if device != torch.CPU {
		return w
	}
	w.count, w.unsure = count, count == 0
	if count == 0 {
		w.count = runtime.GOMAXPROCS(0)
	}
	if w.count = min(w.count, most); w.count < 2 {
		w.unsure = false
		return w
	}
	w.jobs = make(chan func())
	for range w.count - 1 {
		go func() {
			runtime.LockOSThread()
			onOneCore(func() {
				for job := range w.jobs {
					job()
				}
			})
		}()
	}
	return w
}

func (w *workers) close() {
	if w.jobs != nil {
		close(w.jobs)
	}
}

// each calls f for 0 to n-1, some at the same time and in any order, each in a scope of its own. The first error
// keeps further calls from being made.
func (w *workers) each(n int, f func(i int) error) error {
	var next atomic.Int64
	work := func() error {
		for {
			i := int(next.Add(1)) - 1
			if i >= n {
				return nil
			}
			if err := run(func() error { return f(i) }); err != nil {
				next.Store(int64(n))
				return err
			}
		}
	}
	errs := make([]error, max(min(w.count, n), 1))
	var done sync.WaitGroup
	for k := range errs[1:] {
		done.Add(1)
		w.jobs <- func() {
			defer done.Done()
			errs[k+1] = work()
		}
	}
	if w.device == torch.CPU {
		onOneCore(func() { errs[0] = work() })
	} else {
		errs[0] = work()
	}
	done.Wait()
	return errors.Join(errs...)
}

// first is each, but at its first call f(0) runs alone: what memory it takes says how many workers there is room
// for.
func (w *workers) first(n int, f func(i int) error) error {
	if !w.unsure || n < 2 {
		return w.each(n, f)
	}
	w.unsure = false
	resetPeak()
	before, _ := statusMiB("VmRSS:")
	if err := w.each(1, f); err != nil {
		return err
	}
	peak, known := statusMiB("VmHWM:")
	if free, ok := availableMiB(); ok && known && peak > before {
		const reserve = 0.8 // of what is free
		w.count = max(min(w.count, int(reserve*free/(peak-before))), 1)
	}
	return w.each(n-1, func(i int) error { return f(i + 1) })
}

// onOneCore calls f while an operator of this thread uses one core.
func onOneCore(f func()) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if threads := torch.Threads(); threads > 1 {
		torch.SetThreads(1)
		defer torch.SetThreads(threads)
	}
	f()
}

// resetPeak starts VmHWM anew, where the system allows it.
func resetPeak() { _ = os.WriteFile("/proc/self/clear_refs", []byte("5"), 0o200) }

// statusMiB is a line of this process's status.
func statusMiB(key string) (mib float64, ok bool) { return readMiB("/proc/self/status", key) }

// availableMiB is the memory that can still be taken: of the machine, or of the control group if that is less.
func availableMiB() (mib float64, ok bool) {
	mib, ok = readMiB("/proc/meminfo", "MemAvailable:")
	limit, used := readBytes("/sys/fs/cgroup/memory.max"), readBytes("/sys/fs/cgroup/memory.current")
	if limit > 0 && used > 0 {
		mib = min(mib, max(limit-used, 0)/(1<<20))
	}
	return mib, ok
}

func readMiB(path, key string) (mib float64, ok bool) {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, false
	}
	_, rest, found := bytes.Cut(text, []byte(key))
	_, err = fmt.Sscan(string(rest), &mib)
	return mib / 1024, found && err == nil
}

// readBytes is a number in a file; 0 if there is none.
func readBytes(path string) float64 {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0
	}
	v, _ := strconv.ParseFloat(string(bytes.TrimSpace(text)), 64)
	return v
}

// gradientSum adds the gradients of parts in the order of the parts, whichever is done first: floats are summed
// the same way every time.
type gradientSum struct {
	mutex   sync.Mutex
	sum     []torch.Tensor         // owned
	next    int                    // part to be added
	waiting map[int][]torch.Tensor // owned, of parts after it
}

// add takes the gradients of part i out of the open scopes; they are scaled by scale.
func (s *gradientSum) add(i int, grads []torch.Tensor, scale float64) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.waiting == nil {
		s.waiting = map[int][]torch.Tensor{}
	}
	own := make([]torch.Tensor, len(grads))
	for k, g := range addScaled(nil, grads, scale) {
		own[k] = torch.Own(g)
	}
	s.waiting[i] = own
	for more := s.waiting[s.next]; more != nil; more = s.waiting[s.next] {
		delete(s.waiting, s.next)
		if s.next++; s.sum == nil {
			s.sum = more
			continue
		}
		addScaled(s.sum, more, 1)
		torch.Drop(s.sum...)
		s.sum = more
	}
}

// take gives the sum to the open scope.
func (s *gradientSum) take() []torch.Tensor {
	sum := make([]torch.Tensor, len(s.sum))
	for i, g := range s.sum {
		sum[i] = g.Detach()
	}
	return sum
}

// drop frees everything.
func (s *gradientSum) drop() {
	torch.Drop(s.sum...)
	for _, more := range s.waiting {
		torch.Drop(more...)
	}
}
