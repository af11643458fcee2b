package far

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"math"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"focusnfix/core"
	"focusnfix/core/run"
)

// farRun is a run on the far machine, with an engine that answers.
type farRun struct {
	run.Folder
	t    *testing.T
	info run.Info
	log  *run.Log
	step int
}

func newFarRun(t *testing.T, steps int) *farRun {
	t.Helper()
	c := core.Default()
	c.Reward = []core.Reward{{Aspect: "violence", Model: "builtin:scenes", Weight: 1, Threshold: 0.5}}
	f, err := run.Create(filepath.Join(t.TempDir(), "runs"), run.Info{Preset: "violence", Version: "test", Model: "builtin:scenes"}, c)
	if err != nil {
		t.Fatal(err)
	}
	r := &farRun{Folder: f, t: t}
	if r.info, err = f.Info(); err != nil {
		t.Fatal(err)
	}
	if r.log, err = f.OpenLog(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.log.Close() })
	r.steps(steps)
	return r
}

// steps writes steps; numbers vary, so that they do not pack to nothing.
func (r *farRun) steps(n int) {
	for range n {
		r.step++
		x := math.Sin(float64(r.step))
		e := core.Event{Time: time.Unix(1_795_000_000+int64(r.step), 0).UTC(), Kind: "step", Step: r.step, Train: &core.TrainStep{
			Loss: x, Reward: -x, Region: x * x, OutsidePSNR: 30 + x, StepSeconds: 1 + x/3,
			Aspects: []core.AspectScore{{Aspect: "violence", Base: 0.3 + x/9, Reward: 0.5 + x/7}},
		}}
		if err := r.log.Append(e); err != nil {
			r.t.Fatal(err)
		}
	}
}

func (r *farRun) setState(state string) {
	r.info.State, r.info.Step = state, r.step
	if err := r.SetInfo(r.info); err != nil {
		r.t.Fatal(err)
	}
}

// serve answers commands until the test ends.
func (r *farRun) serve(e run.Engine) {
	listener, process, err := r.Listen()
	if err != nil {
		r.t.Fatal(err)
	}
	r.info.Engine = process
	r.setState(run.Running)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- run.Serve(ctx, listener, e) }()
	r.t.Cleanup(func() {
		cancel()
		<-ended
	})
}

// image writes an image of noise, which does not pack, and returns its path.
func (r *farRun) image(step, side int) string {
	img := image.NewRGBA(image.Rect(0, 0, side, side))
	seed := uint32(step)
	for i := range img.Pix {
		seed = seed*1664525 + 1013904223
		img.Pix[i] = uint8(seed >> 24)
		if i%4 == 3 {
			img.Pix[i] = 255
		}
	}
	img.Set(0, 0, color.RGBA{uint8(step), 2, 3, 255})
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		r.t.Fatal(err)
	}
	name := run.PicturePath(step, 0, 7)
	if err := r.WriteFile(name, b.Bytes()); err != nil {
		r.t.Fatal(err)
	}
	return name
}

// engine notes commands.
type engine struct {
	run.Engine // panics where a test asks for more
	mu         sync.Mutex
	paused     int
	generating chan struct{}
	given      chan struct{}
}

func (e *engine) Status(context.Context) (run.Status, error) {
	return run.Status{State: run.Running, Step: 3, Steps: 9}, nil
}

func (e *engine) Pause(context.Context) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.paused++
	return nil
}

func (e *engine) Set(context.Context, string, string) error {
	return errors.New("region.weight: 9999, want at most 1000")
}

func (e *engine) Generate(ctx context.Context, _ run.GenerateRequest) (core.PromptResult, error) {
	close(e.generating)
	<-ctx.Done()
	close(e.given)
	return core.PromptResult{}, ctx.Err()
}

// wire is a link without a network: a relay in this process, behind a line of some speed.
type wire struct {
	run   run.Folder
	relay Relay
	delay time.Duration // each way
	rate  int           // bytes a second; 0 is any

	mu    sync.Mutex
	conns []*wireConn
	down  bool
	hole  bool // what is sent now gets lost, and no end is told
	bytes int  // that came from the far end
}

type wireConn struct {
	net.Conn
	cut func()
}

func (c *wireConn) Why() error { return nil }

func (c *wireConn) Close() error {
	c.cut()
	return nil
}

// Dial is what Options have.
func (w *wire) Dial(context.Context, bool) (Conn, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.down {
		return nil, errors.New("no route to host")
	}
	w.hole = false
	near, nearLine := net.Pipe()
	farLine, there := net.Pipe()
	ctx, cancel := context.WithCancel(context.Background())
	c := &wireConn{Conn: near}
	c.cut = sync.OnceFunc(func() {
		cancel()
		for _, end := range []net.Conn{near, nearLine, farLine, there} {
			_ = end.Close()
		}
	})
	relay := w.relay
	if relay.Find == nil {
		relay.Find = func() (run.Folder, error) { return w.run, nil }
	}
	go w.pass(nearLine, farLine, false)
	go w.pass(farLine, nearLine, true)
	go func() {
		_ = relay.Serve(ctx, there, there)                   // the near end tells
		time.AfterFunc(2*w.delay+50*time.Millisecond, c.cut) // what was sent last arrives
	}()
	w.conns = append(w.conns, c)
	return c, nil
}

// pass carries bytes at the line's speed and with its delay.
func (w *wire) pass(from, to net.Conn, count bool) {
	type block struct {
		data []byte
		at   time.Time
	}
	blocks := make(chan block, 64)
	go func() {
		defer close(blocks)
		free := time.Now()
		for {
			data := make([]byte, 4096)
			n, err := from.Read(data)
			if n > 0 {
				if w.rate > 0 {
					free = maxTime(free, time.Now()).Add(time.Duration(n) * time.Second / time.Duration(w.rate))
				}
				blocks <- block{data[:n], maxTime(free, time.Now()).Add(w.delay)}
			}
			if err != nil {
				return
			}
		}
	}()
	failed := false
	for b := range blocks {
		time.Sleep(time.Until(b.at))
		w.mu.Lock()
		hole := w.hole
		if count && !hole {
			w.bytes += len(b.data)
		}
		w.mu.Unlock()
		if !failed && !hole {
			_, err := to.Write(b.data)
			failed = err != nil
		}
	}
	_ = to.Close()
}

func maxTime(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// cut breaks the links that there are; with down none comes up again.
func (w *wire) cut(down bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.down = down
	for _, c := range w.conns {
		c.cut()
	}
	w.conns = nil
}

func (w *wire) came() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.bytes
}

func (w *wire) options(t *testing.T) Options {
	return Options{Target: Target{"gpu", w.run.Name()}, Cache: t.TempDir(), Version: "test", Dial: w.Dial}
}

// open opens a mirror for the test.
func open(t *testing.T, o Options) *Mirror {
	t.Helper()
	t.Setenv("XDG_RUNTIME_DIR", shortDir(t))
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	m, err := Open(ctx, o)
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = m.Close()
		cancel()
	})
	return m
}

// shortDir is a folder whose path is short enough for a socket.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "far")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// eventually waits until a condition holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for late := time.Now().Add(time.Minute); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(late) {
			t.Fatalf("%s: not within a minute", what)
		}
	}
}

// same reports whether files of two runs have the same bytes.
func same(a, b run.Folder, names ...string) (ok bool, why string) {
	for _, name := range names {
		x, errX := os.ReadFile(filepath.Join(a.Dir, name))
		y, errY := os.ReadFile(filepath.Join(b.Dir, name))
		if errX != nil || errY != nil || !bytes.Equal(x, y) {
			return false, fmt.Sprintf("%s: %d and %d bytes, %v, %v", name, len(x), len(y), errX, errY)
		}
	}
	return true, ""
}

func wantSame(t *testing.T, m *Mirror, r *farRun, names ...string) {
	t.Helper()
	for late := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		ok, why := same(m.Folder(), r.Folder, names...)
		if ok {
			return
		}
		if time.Now().After(late) {
			t.Fatal(why)
		}
	}
}
