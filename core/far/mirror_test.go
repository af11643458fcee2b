package far

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"focusnfix/core/run"
)

// A run on another machine is here as a folder like any other, and follows it.
func TestMirror(t *testing.T) {
	r := newFarRun(t, 300)
	e := &engine{}
	r.serve(e)
	if err := r.WriteFile("log.txt", []byte("loading\nready\n")); err != nil {
		t.Fatal(err)
	}
	w := &wire{run: r.Folder}
	m := open(t, w.options(t))
	wantSame(t, m, r, "events.jsonl", "log.txt", "config.toml")
	f := m.Folder()
	info, err := f.Info()
	if err != nil || f.State(info) != run.Running || info.Far == nil || info.Far.Host != "gpu" || info.ID != r.info.ID || f.Name() != r.Name() {
		t.Fatalf("%+v, %v", info, err)
	}
	if there, err := f.Space(); err != nil || there.Used == 0 || there.Free == 0 || there.Total < there.Free {
		t.Errorf("the disk there: %+v, %v", there, err)
	}
	r.steps(10)
	wantSame(t, m, r, "events.jsonl")

	client, err := f.Dial()
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if err := client.Pause(t.Context()); err != nil || e.paused != 1 {
		t.Errorf("pause: %v, %d times", err, e.paused)
	}
	if err := client.Set(t.Context(), "region.weight", "9999"); err == nil || !strings.Contains(err.Error(), "at most 1000") {
		t.Errorf("set: %v", err)
	}
	r.setState(run.Paused)
	eventually(t, "paused", func() bool {
		info, err := f.Info()
		return err == nil && f.State(info) == run.Paused
	})
}

// A command that nobody waits for any more is given up at the far end, too.
func TestCancel(t *testing.T) {
	r := newFarRun(t, 1)
	e := &engine{generating: make(chan struct{}), given: make(chan struct{})}
	r.serve(e)
	m := open(t, (&wire{run: r.Folder}).options(t))
	var client *run.Client
	eventually(t, "engine", func() (ok bool) {
		var err error
		client, err = m.Folder().Dial()
		return err == nil
	})
	defer client.Close()
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-e.generating
		cancel()
	}()
	if _, err := client.Generate(ctx, run.GenerateRequest{}); !errors.Is(err, context.Canceled) {
		t.Errorf("generate: %v", err)
	}
	select {
	case <-e.given:
	case <-time.After(10 * time.Second):
		t.Error("the engine goes on")
	}
}

// A link that dies without a word, as when the machine slept, is noticed and made again.
func TestSilentLink(t *testing.T) {
	saved := nearSilence
	nearSilence = 500 * time.Millisecond
	t.Cleanup(func() { nearSilence = saved })
	r := newFarRun(t, 10)
	w := &wire{run: r.Folder}
	m := open(t, w.options(t))
	wantSame(t, m, r, "events.jsonl")
	w.mu.Lock()
	w.hole = true
	w.mu.Unlock()
	r.steps(10)
	wantSame(t, m, r, "events.jsonl")
}

// Over a line of 200 ms and 1 Mbit/s that breaks at random moments, a log that grows arrives byte for byte.
func TestKilledLinks(t *testing.T) {
	r := newFarRun(t, 1500)
	w := &wire{run: r.Folder, delay: 100 * time.Millisecond, rate: 125_000}
	saved := waits
	waits = []time.Duration{0}
	t.Cleanup(func() { waits = saved })
	m := open(t, w.options(t))
	name := r.image(3, 200)
	for range 8 {
		go m.Fetch(m.Folder(), name, 64)
		time.Sleep(time.Duration(rand.IntN(900)) * time.Millisecond)
		w.cut(false)
		r.steps(rand.IntN(200))
	}
	wantSame(t, m, r, "events.jsonl")
	if err := r.log.Close(); err != nil {
		t.Fatal(err)
	}
}

// What came before a link was lost is not sent again, nor is it after the program has ended.
func TestResumedWithoutRepeating(t *testing.T) {
	r := newFarRun(t, 3000)
	w := &wire{run: r.Folder}
	o := w.options(t)
	m := open(t, o)
	wantSame(t, m, r, "events.jsonl")
	first := w.came()
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	r.steps(5)
	again := open(t, o)
	if again.Folder().Dir != m.Folder().Dir {
		t.Errorf("%s, then %s", m.Folder().Dir, again.Folder().Dir)
	}
	wantSame(t, again, r, "events.jsonl")
	if more := w.came() - first; more > first/10 {
		t.Errorf("%d bytes at first, %d for five more steps", first, more)
	}
}

// Without a link the copy opens at once, says so, and refuses commands with the reason.
func TestOffline(t *testing.T) {
	r := newFarRun(t, 50)
	r.serve(&engine{})
	w := &wire{run: r.Folder}
	o := w.options(t)
	name := r.image(4, 100)
	m := open(t, o)
	wantSame(t, m, r, "events.jsonl")
	if _, err := m.Fetch(m.Folder(), name, 100); err != nil {
		t.Fatal(err)
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	info, err := m.Folder().Info()
	if err != nil || info.Far.Link == "" || info.Engine != nil || m.Folder().State(info) != run.Running {
		t.Fatalf("%+v, %v", info, err)
	}
	if _, err := m.Folder().Dial(); err == nil || !strings.Contains(err.Error(), "copy of a run on gpu") {
		t.Errorf("dial: %v", err)
	}

	w.cut(true)
	began := time.Now()
	off := open(t, o)
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("opened after %v", took)
	}
	var why string
	eventually(t, "told", func() bool {
		info, err := off.Folder().Info()
		if err == nil {
			why = info.Far.Link
		}
		return strings.Contains(why, "no route to host")
	})
	if got, err := off.Fetch(off.Folder(), name, 100); err != nil || got == "" {
		t.Errorf("an image that was seen: %q, %v", got, err)
	}
	if _, err := off.Fetch(off.Folder(), r.image(9, 20), 100); err == nil {
		t.Error("an image that was not seen is there")
	}
	client, err := off.Folder().Dial()
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if err := client.Pause(t.Context()); err == nil || !strings.Contains(err.Error(), "no link to gpu") {
		t.Errorf("pause: %v", err)
	}
	w.mu.Lock()
	w.down = false
	w.mu.Unlock()
	eventually(t, "linked again", func() bool {
		info, err := off.Folder().Info()
		return err == nil && info.Far.Link == ""
	})
}

// An image is sent once, in the size that is needed; the file itself only where that is asked for.
func TestImages(t *testing.T) {
	r := newFarRun(t, 1)
	name := r.image(2, 600)
	w := &wire{run: r.Folder}
	m := open(t, w.options(t))
	wantSame(t, m, r, "events.jsonl")
	f := m.Folder()
	size := func(side int) (string, int64) {
		t.Helper()
		before := w.came()
		got, err := m.Fetch(f, name, side)
		if err != nil {
			t.Fatal(err)
		}
		file, err := f.Open(got)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		info, err := file.Stat()
		if err != nil || info.Size() == 0 {
			t.Fatal(err)
		}
		return got, int64(w.came() - before)
	}
	small, _ := size(100)
	if again, sent := size(120); again != small || sent > 100 {
		t.Errorf("looked at again: %s, then %s with %d bytes more", small, again, sent)
	}
	larger, _ := size(300)
	whole, _ := size(1500)
	exact, _ := size(0)
	if !strings.Contains(small, "@128") || !strings.Contains(larger, "@512") || !strings.Contains(whole, "@whole") || exact != name {
		t.Errorf("%s, %s, %s, %s", small, larger, whole, exact)
	}
	if ok, why := same(f, r.Folder, name); !ok {
		t.Error(why)
	}
	if again, sent := size(40); again != name || sent > 100 {
		t.Errorf("after the file itself: %s, %d bytes more", again, sent)
	}
	if _, err := m.Fetch(f, "images/step-000009/000-1.png", 100); err == nil || !strings.Contains(err.Error(), "no image") {
		t.Errorf("an image that is not there: %v", err)
	}
	for _, bad := range []string{"../secret.png", "images/../../secret.png", "run.json", ".far/run.json", "images/a:b.png"} {
		if got, _ := m.Fetch(f, bad, 0); got != bad {
			t.Errorf("%s: %q was asked for", bad, got)
		}
	}
}

// A copy that was damaged, or belongs to another run of that name, is fetched anew.
func TestDamagedCopy(t *testing.T) {
	r := newFarRun(t, 2000)
	w := &wire{run: r.Folder}
	o := w.options(t)
	m := open(t, o)
	wantSame(t, m, r, "events.jsonl")
	log := filepath.Join(m.Folder().Dir, "events.jsonl")
	for _, damage := range []func(text []byte) []byte{
		func(text []byte) []byte { text[100] ^= 1; return text },            // far from the end: found by the whole checksum
		func(text []byte) []byte { text[len(text)-9] = 0; return text },     // near it
		func(text []byte) []byte { return append(text, "torn line, m"...) }, // longer
		func(text []byte) []byte { return text[:len(text)/2] },              // shorter: goes on from there
	} {
		if err := m.Close(); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(log)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(log, damage(text), 0o600); err != nil {
			t.Fatal(err)
		}
		m = open(t, o)
		wantSame(t, m, r, "events.jsonl")
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	r.info.ID = "2026-01-01-another-abcd"
	r.setState(run.Done)
	m = open(t, o)
	eventually(t, "the other run", func() bool {
		info, err := m.Folder().Info()
		return err == nil && info.ID == r.info.ID
	})
	wantSame(t, m, r, "events.jsonl")
}

// A second screen of a run reads the copy of the first, and takes over when that ends.
func TestSecondScreen(t *testing.T) {
	r := newFarRun(t, 20)
	woken := 0
	w := &wire{run: r.Folder, relay: Relay{Wake: func(context.Context, run.Folder) error { woken++; return nil }}}
	o := w.options(t)
	first := open(t, o)
	wantSame(t, first, r, "events.jsonl")
	second := open(t, o)
	if second.Folder().Dir != first.Folder().Dir {
		t.Fatalf("%s, %s", first.Folder().Dir, second.Folder().Dir)
	}
	reader := o
	reader.ReadOnly = true
	if m, err := Open(t.Context(), reader); err == nil || !strings.Contains(err.Error(), "--read-only") {
		t.Errorf("one for reading, whose commands the first would send: %v, %v", m, err)
	}
	name := r.image(3, 300)
	if got, err := second.Fetch(second.Folder(), name, 200); err != nil || !strings.Contains(got, "@256") {
		t.Errorf("an image through the first screen: %q, %v", got, err)
	}
	if _, err := second.Fetch(second.Folder(), "images/step-000009/000-1.png", 200); err == nil || !strings.Contains(err.Error(), "no image") {
		t.Errorf("one that is not there: %v", err)
	}
	if err := second.Wake(t.Context(), second.Folder()); err != nil || woken != 1 {
		t.Errorf("wake through the first screen: %v, %d", err, woken)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	r.steps(7)
	wantSame(t, second, r, "events.jsonl")
}

// Two versions at the ends, a machine without the program and a shell that talks give one clear line.
func TestOtherEnds(t *testing.T) {
	for _, c := range []struct{ name, says, want string }{
		{"newer", "Welcome to gpu!\nfocusnfix-relay 2 v9.0\n", "gpu runs focusnfix v9.0 with relay protocol 2, this is test with 1; install the same version on both"},
		{"none", "bash: line 1: focusnfix: command not found\n", `no focusnfix relay answers there, but "bash: line 1: focusnfix: command not found"`},
		{"binary", strings.Repeat("\x00\x1b[31mgarbage", 20000), "no focusnfix relay answers there"},
		{"silent", "", "no focusnfix relay answers there"},
		{"hostile", "focusnfix-relay 1 \x1b]0;x\x07\ne\x00\x00\x00\x19{\"error\":\"\\u001b[2Jgone\"}", "gone"},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := Options{Target: Target{"gpu", "x"}, Cache: t.TempDir(), Version: "test"}
			o.Dial = func(context.Context, bool) (Conn, error) { return &scripted{Reader: strings.NewReader(c.says)}, nil }
			_, err := Open(t.Context(), o)
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.ContainsAny(err.Error(), "\x1b\x00\x07") {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
}

// scripted is a far end that says what it says.
type scripted struct{ *strings.Reader }

func (*scripted) Write(p []byte) (int, error) { return len(p), nil }
func (*scripted) Close() error                { return nil }
func (*scripted) Why() error                  { return nil }

// Nothing is sent to an engine through a link that is for reading, at either end.
func TestReadOnly(t *testing.T) {
	for _, far := range []bool{false, true} {
		r := newFarRun(t, 1)
		e := &engine{}
		r.serve(e)
		w := &wire{run: r.Folder, relay: Relay{ReadOnly: far}}
		o := w.options(t)
		o.ReadOnly = !far
		m := open(t, o)
		client, err := m.Folder().Dial()
		if err != nil {
			t.Fatal(err)
		}
		eventually(t, "status", func() bool { // the link is made while the copy is there already
			_, err := client.Status(t.Context())
			return err == nil
		})
		if err := client.Pause(t.Context()); err == nil || !strings.Contains(err.Error(), "read-only") || e.paused > 0 {
			t.Errorf("pause: %v", err)
		}
		if err := m.Wake(t.Context(), m.Folder()); err == nil || !strings.Contains(err.Error(), "read-only") {
			t.Errorf("wake: %v", err)
		}
		client.Close()
	}
}

// The relay's engine callbacks are reached, and their refusal comes back.
func TestWake(t *testing.T) {
	r := newFarRun(t, 1)
	woken := 0
	w := &wire{run: r.Folder, relay: Relay{
		Wake:  func(context.Context, run.Folder) error { woken++; return nil },
		Train: func(context.Context, run.Folder) error { return errors.New("opens what you have not named before") },
	}}
	m := open(t, w.options(t))
	wantSame(t, m, r, "events.jsonl")
	if err := m.Wake(t.Context(), m.Folder()); err != nil || woken != 1 {
		t.Errorf("wake: %v, %d", err, woken)
	}
	if err := m.Train(t.Context(), m.Folder()); err == nil || !strings.Contains(err.Error(), "not named before") {
		t.Errorf("train: %v", err)
	}
}
