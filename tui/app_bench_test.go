package tui

import (
	"bufio"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"

	"focusnfix/core"
	"focusnfix/core/run"
	"focusnfix/tui/internal/sample"
	"focusnfix/tui/picture"
)

// benchStep is a step of training with every number known.
func benchStep(i int) *core.Event {
	x := float64(i)
	t := &core.TrainStep{
		Reward: math.Sin(x / 1e4), Loss: math.Cos(x / 1e4), Region: 0.02, Coverage: 0.1, InsidePSNR: 14, OutsidePSNR: 40 - x/1e6,
		GradNorm: 1 + math.Sin(x), LearningRate: 1e-3, StepSeconds: 0.01, MemoryMiB: 400, DeviceUse: 0.9,
	}
	for _, a := range allAspects {
		t.Aspects = append(t.Aspects, core.AspectScore{Aspect: a, Base: 0.3, Reward: math.Sin(x / 3e3), HeldOut: math.NaN(), BaseHeldOut: math.NaN(), Fixed: math.NaN()})
	}
	return &core.Event{Kind: "step", Step: i, Time: noon.Add(time.Duration(i) * 10 * time.Millisecond), Train: t}
}

// BenchmarkFirstFrame is from nothing to the list of 200 runs.
func BenchmarkFirstFrame(b *testing.B) {
	dir := b.TempDir()
	for i := range 200 {
		if _, err := sample.Write(dir, sample.Options{Preset: "violence", Aspects: allAspects, Steps: 300, Done: 300, State: run.Done, Seed: uint64(i)}); err != nil {
			b.Fatal(err)
		}
	}
	frame := time.Duration(0)
	for b.Loop() {
		start := time.Now()
		d := drive(b, Options{Runs: dir}, 120, 40)
		d.shows("300/300")
		frame += time.Since(start)
		d.until("the rewards", func() bool { return len(d.panes[tabRuns].(*runsPane).all[0].Rewards) > 0 })
		d.close()
	}
	b.ReportMetric(frame.Seconds()*1e3/float64(b.N), "ms/frame")
}

// benchDashboard is a dashboard of 200x60 over n steps.
func benchDashboard(b *testing.B, n int) *driver {
	f, err := sample.Write(b.TempDir(), sample.Options{Preset: "violence", Aspects: allAspects, Steps: 1000, Done: 1, State: run.Done})
	if err != nil {
		b.Fatal(err)
	}
	d := drive(b, Options{Runs: filepath.Dir(f.Dir), Open: f.Dir}, 200, 60)
	d.until("the run", func() bool { return d.run != nil && d.run.HasConfig && d.run.Store.Step == 1 && d.tab == tabDashboard })
	for i := 2; i <= n; i++ {
		d.run.Store.Add(benchStep(i))
	}
	d.send(eventsMsg{})
	d.all(eventsMsg{})
	return d
}

// BenchmarkDashboard is a frame of 200x60 with ten charts of 100,000 points: after a new step, the whole update
// and view.
func BenchmarkDashboard(b *testing.B) {
	const n = 100_000
	d := benchDashboard(b, n)
	d.content()
	i := n
	b.ReportAllocs()
	for b.Loop() {
		i++
		d.run.Store.Add(benchStep(i))
		d.all(eventsMsg{})
		d.content()
	}
}

// BenchmarkMouseMove is a frame of the same when only the hairline moves.
func BenchmarkMouseMove(b *testing.B) {
	d := benchDashboard(b, 100_000)
	x := 0
	for b.Loop() {
		x++
		d.send(tea.MouseMotionMsg(tea.Mouse{X: 10 + x%100, Y: 10}))
		d.content()
	}
}

// keyTerminal notes when it is written to.
type keyTerminal struct{ wrote chan time.Time }

func (k *keyTerminal) Write(p []byte) (int, error) {
	select {
	case k.wrote <- time.Now():
	default:
	}
	return len(p), nil
}

// BenchmarkKey is from a key to the frame's bytes: the whole program on a dashboard of 200x60 over 100,000 steps.
func BenchmarkKey(b *testing.B) {
	d := benchDashboard(b, 100_000)
	d.content()
	k := &keyTerminal{make(chan time.Time, 1)}
	screen := picture.NewScreenOn(k, d.deck.shelf, func() (int, int, bool) { return 200, 60, true })
	in, hold := io.Pipe()
	defer hold.Close()
	p := tea.NewProgram(d.app, tea.WithInput(in), tea.WithOutput(screen), tea.WithFPS(framesPerSecond), tea.WithWindowSize(200, 60), tea.WithoutSignals(),
		tea.WithEnvironment([]string{"TERM=xterm-256color", "TTY_FORCE=1", "COLORTERM=truecolor"}))
	d.pace.program = p
	go p.Run()
	time.Sleep(time.Second) // the first frames
	var took []time.Duration
	for b.Loop() {
		time.Sleep(150 * time.Millisecond) // at rest again
		select {
		case <-k.wrote:
		default:
		}
		start := time.Now()
		hold.Write([]byte("?"))
		took = append(took, (<-k.wrote).Sub(start))
	}
	p.Quit()
	slices.Sort(took)
	b.ReportMetric(took[len(took)/2].Seconds()*1e3, "ms/median")
	b.ReportMetric(took[len(took)*99/100].Seconds()*1e3, "ms/p99")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkAttach is a run of a million events: until its dashboard shows steps, and until all are in.
func BenchmarkAttach(b *testing.B) {
	f, err := sample.Write(b.TempDir(), sample.Options{Preset: "violence", Aspects: allAspects, Steps: 1_000_000, State: run.Stopped})
	if err != nil {
		b.Fatal(err)
	}
	log, err := os.Create(filepath.Join(f.Dir, "events.jsonl"))
	if err != nil {
		b.Fatal(err)
	}
	w := bufio.NewWriter(log)
	for i := 1; i <= 1_000_000; i++ {
		fmt.Fprintf(w, "%s\n", benchStep(i).AppendJSON(nil))
	}
	if err := w.Flush(); err != nil {
		b.Fatal(err)
	}
	first, whole := time.Duration(0), time.Duration(0)
	for b.Loop() {
		start := time.Now()
		d := drive(b, Options{Runs: filepath.Dir(f.Dir), Open: f.Dir}, 200, 60)
		d.until("a frame with steps", func() bool { return d.run != nil && d.run.Store.Step > 0 && d.content() != "" })
		first += time.Since(start)
		for d.run.Store.Step < 1_000_000 {
			d.send(<-d.msgs)
		}
		d.content()
		whole += time.Since(start)
		d.close()
	}
	b.ReportMetric(first.Seconds()*1e3/float64(b.N), "ms/first")
	b.ReportMetric(whole.Seconds()*1e3/float64(b.N), "ms/whole")
}

// BenchmarkLongRun is an hour of three hundred steps a second: what the store's memory is after a third of it and
// at the end.
func BenchmarkLongRun(b *testing.B) {
	heap := func() float64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return float64(m.HeapAlloc) / (1 << 20)
	}
	for b.Loop() {
		d := benchDashboard(b, 2)
		const n = 3600 * 300
		third := 0.0
		for i := 3; i <= n; i++ {
			d.run.Store.Add(benchStep(i))
			if i%1000 == 0 {
				d.all(eventsMsg{})
			}
			if i == n/3 {
				third = heap()
			}
		}
		b.ReportMetric(third, "MiB/third")
		b.ReportMetric(heap(), "MiB/hour")
	}
}
