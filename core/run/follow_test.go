package run

import (
	"context"
	"errors"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"focusnfix/core"
)

func follow(t testing.TB, f Folder) *Follower {
	t.Helper()
	w, err := f.Follow()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	return w
}

// next reads until n events are there.
func next(t *testing.T, w *Follower, n int) (steps []int, lost int, reset bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for len(steps)+lost < n {
		b, err := w.Next(ctx)
		if err != nil {
			t.Fatalf("after %d of %d events: %v", len(steps), n, err)
		}
		if b.Reset {
			reset, steps, lost = true, nil, 0
		}
		for _, e := range b.Events {
			steps = append(steps, e.Step)
		}
		lost += b.Lost
	}
	return steps, lost, reset
}

func TestFollow(t *testing.T) {
	f := newRun(t)
	w := follow(t, f)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := w.Next(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("a run without a log: %v, want it waited for", err)
	}
	log := openLog(t, f)
	go func() {
		for step := range 200 {
			log.Append(stepEvent(step))
		}
	}()
	defer log.Close() // waits for an append under way
	steps, _, reset := next(t, w, 200)
	if steps[0] != 0 || steps[199] != 199 || !slices.IsSorted(steps) || reset {
		t.Errorf("got %v, reset %v", steps, reset)
	}
}

// A log that was copied by rsync, say, does not tell the watcher; the poll finds it.
func TestFollowWithoutNotices(t *testing.T) {
	f := newRun(t)
	w := follow(t, f)
	w.watcher.Close()
	w.watcher = nil
	log := openLog(t, f)
	time.AfterFunc(50*time.Millisecond, func() { log.Append(stepEvent(5)) })
	if steps, _, _ := next(t, w, 1); steps[0] != 5 {
		t.Errorf("got %v", steps)
	}
}

func TestFollowThroughDamage(t *testing.T) {
	f := newRun(t)
	w := follow(t, f)
	path := f.path(logName)
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	add := func(text string) {
		t.Helper()
		file, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		file.WriteString(text)
		file.Close()
	}
	line := func(step int) string { e := stepEvent(step); return string(e.AppendJSON(nil)) + "\n" }

	write(line(1) + "not an event\n" + line(2)[:10])
	if steps, lost, _ := next(t, w, 2); !slices.Equal(steps, []int{1}) || lost != 1 {
		t.Errorf("a damaged line: %v, %d lost", steps, lost)
	}
	add(line(2)[10:])
	if steps, _, _ := next(t, w, 1); !slices.Equal(steps, []int{2}) {
		t.Errorf("a line in two parts: %v", steps)
	}
	add(strings.Repeat("x", 3*chunkBytes+5) + "\n" + line(3))
	if steps, lost, _ := next(t, w, 2); !slices.Equal(steps, []int{3}) || lost != 1 {
		t.Errorf("behind a huge line: %v, %d lost", steps, lost)
	}
	write(line(7))
	if steps, _, reset := next(t, w, 1); !slices.Equal(steps, []int{7}) || !reset {
		t.Errorf("cut short: %v, reset %v", steps, reset)
	}
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	write(line(8) + line(9))
	if steps, _, reset := next(t, w, 2); !slices.Equal(steps, []int{8, 9}) || !reset {
		t.Errorf("replaced: %v, reset %v", steps, reset)
	}
	os.Remove(path)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := w.Next(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("removed: %v", err)
	}
}

// writeLong makes a log of n steps as long as real ones are.
func writeLong(tb testing.TB, f Folder, n int) {
	tb.Helper()
	log := openLog(tb, f)
	var block []byte
	for step := range n {
		v := float64(step%997) / 997
		e := core.Event{Time: time.Unix(1795000000+int64(step), 0), Kind: "step", Step: step, Train: &core.TrainStep{
			Loss: -v, Reward: v, Aspects: []core.AspectScore{{Aspect: "violence", Base: 0.31, Reward: v}}, Region: v / 7, Coverage: 0.1834,
			InsidePSNR: 17.25 + v, OutsidePSNR: 31.5 + v, GradNorm: v * 3, LearningRate: 0.004, SampleSeconds: 0.21, DecodeSeconds: 0.043,
			RewardSeconds: 0.029, BackwardSeconds: 0.31, StepSeconds: 0.0021, MemoryMiB: 912.25, DeviceUse: 0.97,
		}}
		block = append(e.AppendJSON(block), '\n')
		if len(block) > 1<<20 || step == n-1 {
			if _, err := log.file.WriteAt(block, log.size); err != nil {
				tb.Fatal(err)
			}
			log.size += int64(len(block))
			block = block[:0]
		}
	}
	if err := log.Close(); err != nil {
		tb.Fatal(err)
	}
}

// Each chunk comes soon, and says how much there is behind it.
func TestLongLogComesInChunks(t *testing.T) {
	f := newRun(t)
	writeLong(t, f, 3*chunkEvents)
	w := follow(t, f)
	seen := 0
	for {
		b, err := w.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if len(b.Events) > chunkEvents {
			t.Errorf("%d events at once", len(b.Events))
		}
		seen += len(b.Events)
		if b.Behind == 0 {
			break
		}
	}
	if seen != 3*chunkEvents {
		t.Errorf("%d events before the log's end, want %d", seen, 3*chunkEvents)
	}
}

// BenchmarkAttach is what a screen does first with a run of a million events: the newest thousand, and
// the first chunk of the curve.
func BenchmarkAttach(b *testing.B) {
	f := newRun(b)
	writeLong(b, f, 1_000_000)
	for b.Loop() {
		tail, err := f.Tail(1000)
		if err != nil || len(tail) != 1000 {
			b.Fatal(len(tail), err)
		}
		w := follow(b, f)
		if _, err := w.Next(b.Context()); err != nil {
			b.Fatal(err)
		}
		w.Close()
	}
}

// BenchmarkReadAll is the whole of it.
func BenchmarkReadAll(b *testing.B) {
	f := newRun(b)
	writeLong(b, f, 1_000_000)
	info, err := os.Stat(f.path(logName))
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(info.Size())
	for b.Loop() {
		w, seen := follow(b, f), 0
		for seen < 1_000_000 {
			batch, err := w.Next(b.Context())
			if err != nil {
				b.Fatal(err)
			}
			seen += len(batch.Events)
		}
		w.Close()
	}
}

// A log of any bytes is read to its end.
func FuzzFollow(f *testing.F) {
	e := stepEvent(1)
	f.Add(append(e.AppendJSON(nil), '\n'))
	f.Add([]byte("\n\n{}\n{\"kind\":\"x\"}\n\x00"))
	folder := newRun(f)
	f.Fuzz(func(t *testing.T, log []byte) {
		if err := os.WriteFile(folder.path(logName), log, 0o644); err != nil {
			t.Fatal(err)
		}
		w := Follower{folder: folder, path: folder.path(logName), block: make([]byte, 64<<10), readers: make([]core.EventReader, 2)}
		b, err := w.read()
		if err != nil {
			t.Fatal(err)
		}
		w.Close()
		if want := strings.Count(string(log), "\n"); b.Behind == 0 && len(b.Events)+b.Lost != want {
			t.Errorf("%d events and %d lost, want %d lines", len(b.Events), b.Lost, want)
		}
		tail, err := folder.Tail(10)
		if err != nil || len(tail) != min(10, len(b.Events)) {
			t.Errorf("tail of %d events: %d, %v", len(b.Events), len(tail), err)
		}
	})
}

// The last lines are followed from their first on, and what comes after.
func TestFollowLast(t *testing.T) {
	f := newRun(t)
	read := func(w *Follower) (steps []int) {
		for behind := int64(1); behind > 0; { // a slow machine takes more than one chunk
			b, err := w.read()
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range b.Events {
				steps = append(steps, e.Step)
			}
			behind = b.Behind
		}
		return steps
	}
	early, err := f.FollowLast(3) // before there is a log
	if err != nil {
		t.Fatal(err)
	}
	defer early.Close()
	log := openLog(t, f)
	defer log.Close()
	for n := range 300 {
		e := stepEvent(n)
		e.Message = strings.Repeat("x", 600) // so that they fill several blocks
		if err := log.Append(e); err != nil {
			t.Fatal(err)
		}
		for _, lines := range []int{1, 3, 200} {
			if n > 5 && n < 290 {
				continue
			}
			w, err := f.FollowLast(lines)
			if err != nil {
				t.Fatal(err)
			}
			first := max(0, n+1-lines)
			if got := read(w); len(got) != n+1-first || got[0] != first {
				t.Errorf("the last %d of %d lines: %v", lines, n+1, got)
			}
			w.Close()
		}
	}
	if got := read(early); len(got) != 300 {
		t.Errorf("%d events, want all that came after", len(got))
	}
}

// Several readers beside each other give the events of one, in their order, damaged lines and all.
func TestReadersBeside(t *testing.T) {
	f := newRun(t)
	writeLong(t, f, 9000)
	text, err := os.ReadFile(f.path(logName))
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(string(text), "\n")
	for i := range lines {
		switch {
		case i%701 == 3:
			lines[i] = "damaged\n"
		case i == 4000:
			lines[i] = strings.Repeat("y", chunkBytes+1) + "\n"
		case i%1013 == 5:
			lines[i] = "\n"
		}
	}
	if err := os.WriteFile(f.path(logName), []byte(strings.Join(lines, "")+"torn"), 0o644); err != nil {
		t.Fatal(err)
	}
	var want []core.Event
	var wantLost int
	for _, n := range []int{1, 2, 3, 4} {
		w := follow(t, f)
		w.readers = make([]core.EventReader, n)
		var got []core.Event
		lost := 0
		for len(got)+lost < 9000 {
			b, err := w.Next(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			got, lost = append(got, b.Events...), lost+b.Lost
		}
		w.Close()
		if n == 1 {
			want, wantLost = got, lost
			continue
		}
		if lost != wantLost || !reflect.DeepEqual(got, want) {
			t.Errorf("%d readers: %d events, %d lost; one reader: %d, %d", n, len(got), lost, len(want), wantLost)
		}
	}
	if wantLost != 13+9+1 {
		t.Errorf("%d lost", wantLost)
	}
}
