package run

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"focusnfix/core"
)

// recorder is an engine that writes down what it is asked.
type recorder struct {
	asked  []string
	refuse error
	given  chan error // of a Generate that waits until it is given up
}

func (r *recorder) note(what string) error {
	r.asked = append(r.asked, what)
	return r.refuse
}

func (r *recorder) Status(context.Context) (Status, error) {
	return Status{State: Running, Step: 3, Steps: 60, Busy: "step"}, r.note("status")
}
func (r *recorder) Pause(context.Context) error  { return r.note("pause") }
func (r *recorder) Resume(context.Context) error { return r.note("resume") }
func (r *recorder) Stop(context.Context) error   { return r.note("stop") }
func (r *recorder) Checkpoint(context.Context) (string, error) {
	return "checkpoints/step-000003", r.note("checkpoint")
}

func (r *recorder) Set(_ context.Context, key, value string) error {
	return r.note("set " + key + "=" + value)
}

func (r *recorder) Generate(ctx context.Context, g GenerateRequest) (core.PromptResult, error) {
	if r.given != nil {
		<-ctx.Done()
		r.given <- ctx.Err()
		return core.PromptResult{}, ctx.Err()
	}
	result := core.PromptResult{Drawing: g.Drawing, OutsidePSNR: math.NaN(), Aspects: []core.AspectScore{{Aspect: "violence", Fixed: math.NaN()}}}
	return result, r.note("generate")
}

func (r *recorder) Fix(_ context.Context, f FixRequest) (core.FixResult, error) {
	return core.FixResult{Drawing: f.Drawing, Region: f.Region, Stack: f.Stack, InsidePSNR: math.NaN()}, r.note("fix " + f.Aspect)
}

func (r *recorder) ReloadMasks(context.Context) error { return r.note("masks") }

func (r *recorder) Redraw(_ context.Context, d RedrawRequest) ([]string, error) {
	return []string{d.Start, d.Stack[0].Path}, r.note("redraw")
}

func (r *recorder) Evaluate(_ context.Context, e EvaluateRequest) (core.Evaluation, error) {
	return core.Evaluation{Pictures: e.Pictures, OutsidePSNR: math.Inf(1)}, r.note("evaluate")
}

// serve makes the test the engine of a run and returns its client.
func serve(t *testing.T, f Folder, e Engine) *Client {
	t.Helper()
	listener, engine, err := f.Listen()
	if err != nil {
		t.Fatal(err)
	}
	info, err := f.Info()
	if err != nil {
		t.Fatal(err)
	}
	info.State, info.Engine = Running, engine
	if err := f.SetInfo(info); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- Serve(ctx, listener, e) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("serve: %v", err)
		}
		if _, err := os.Stat(engine.Socket); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the socket is left behind: %v", err)
		}
	})
	c, err := f.Dial()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func TestEveryCommand(t *testing.T) {
	r := new(recorder)
	f := newRun(t)
	info, _ := f.Info()
	c, ctx := serve(t, f, r), t.Context()
	status, err := c.Status(ctx)
	if err != nil || !reflect.DeepEqual(status, Status{Run: info.ID, State: Running, Step: 3, Steps: 60, Busy: "step"}) {
		t.Errorf("status: %+v, %v", status, err)
	}
	path, err := c.Checkpoint(ctx)
	if err != nil || path != "checkpoints/step-000003" {
		t.Errorf("checkpoint: %q, %v", path, err)
	}
	if err := errors.Join(c.Pause(ctx), c.Resume(ctx), c.Stop(ctx), c.Set(ctx, "region.weight", "20")); err != nil {
		t.Error(err)
	}
	want := []string{"status", "status", "checkpoint", "pause", "resume", "stop", "set region.weight=20"}
	if !reflect.DeepEqual(r.asked, want) {
		t.Errorf("asked %v", r.asked)
	}
	r.refuse = errors.New("region.weight: -1, want 0 to 1000000")
	if err := c.Set(ctx, "region.weight", "-1"); err == nil || err.Error() != r.refuse.Error() {
		t.Errorf("a refusal arrives as %v", err)
	}
}

// Numbers that are none pass through the socket.
func TestResults(t *testing.T) {
	c, ctx := serve(t, newRun(t), new(recorder)), t.Context()
	drawn, err := c.Generate(ctx, GenerateRequest{Drawing: core.Drawing{Prompt: "a \"cat\"", Seed: math.MaxUint64}})
	if err != nil || drawn.Prompt != "a \"cat\"" || drawn.Seed != math.MaxUint64 || !math.IsNaN(drawn.OutsidePSNR) || !math.IsNaN(drawn.Aspects[0].Fixed) {
		t.Errorf("generate: %+v, %v", drawn, err)
	}
	stack := []core.FixUse{{Path: "fixes/0001", Strength: 0.5}}
	fixed, err := c.Fix(ctx, FixRequest{Drawing: core.Drawing{Prompt: "x"}, Aspect: "violence", Region: "heat:0.3,4", Stack: stack})
	if err != nil || fixed.Region != "heat:0.3,4" || fixed.Prompt != "x" || !slices.Equal(fixed.Stack, stack) || !math.IsNaN(fixed.InsidePSNR) {
		t.Errorf("fix: %+v, %v", fixed, err)
	}
	paths, err := c.Redraw(ctx, RedrawRequest{Start: "run", Stack: stack})
	if err != nil || !slices.Equal(paths, []string{"run", "fixes/0001"}) {
		t.Errorf("redraw: %v, %v", paths, err)
	}
	judged, err := c.Evaluate(ctx, EvaluateRequest{Pictures: 9})
	if err != nil || judged.Pictures != 9 || !math.IsNaN(judged.OutsidePSNR) {
		t.Errorf("evaluate: %+v, %v", judged, err)
	}
}

// The requests that a person types with curl, good and bad.
func TestHandler(t *testing.T) {
	r := new(recorder)
	h := handler(r, "")
	for _, c := range []struct {
		method, path, body string
		status             int
		answer             string
	}{
		{"POST", "/pause", "", 200, `{}`},
		{"POST", "/pause", "{}", 200, `{}`},
		{"GET", "/status", "", 200, `"steps":60`},
		{"POST", "/checkpoint", "", 200, `{"path":"checkpoints/step-000003"}`},
		{"POST", "/generate", `{"prompt":"a cat","seed":7}`, 200, `"prompt":{"prompt":"a cat","seed":7`},
		{"POST", "/generate", `{"promt":"a cat"}`, 400, `unknown field`},
		{"POST", "/generate", `{"prompt":`, 400, `unexpected EOF`},
		{"POST", "/generate", `{"prompt":"` + strings.Repeat("x", maxBody) + `"}`, 400, `too large`},
		{"GET", "/pause", "", 405, ""},
		{"POST", "/reboot", "", 404, ""},
	} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(c.method, c.path, strings.NewReader(c.body)))
		if w.Code != c.status || !strings.Contains(w.Body.String(), c.answer) {
			t.Errorf("%s %s %.40s: %d %.200s, want %d %s", c.method, c.path, c.body, w.Code, w.Body, c.status, c.answer)
		}
	}
}

// A client that goes away gives its request up at the engine too.
func TestCancel(t *testing.T) {
	r := &recorder{given: make(chan error, 1)}
	c := serve(t, newRun(t), r)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	if _, err := c.Generate(ctx, GenerateRequest{Drawing: core.Drawing{Prompt: "x"}}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("client: %v", err)
	}
	select {
	case err := <-r.given:
		if !errors.Is(err, context.Canceled) {
			t.Errorf("engine: %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Error("the engine still works on a request that nobody waits for")
	}
}

func TestSocketIsPrivate(t *testing.T) {
	f := newRun(t)
	serve(t, f, new(recorder))
	info, err := f.Info()
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]os.FileMode{info.Engine.Socket: 0o600, filepath.Dir(info.Engine.Socket): 0o700} {
		if stat, err := os.Stat(path); err != nil || stat.Mode().Perm() != want {
			t.Errorf("%s: %v, %v, want %v", path, stat.Mode(), err, want)
		}
	}
}

// A long path of the run, or of the user's own folders, does not matter.
func TestSocketPath(t *testing.T) {
	long := filepath.Join(t.TempDir(), strings.Repeat("long/", 40))
	if err := os.MkdirAll(long, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("XDG_RUNTIME_DIR", long)
	t.Setenv("TMPDIR", long)
	path, err := socketPath(filepath.Join(long, "run"))
	if err != nil || len(path) > maxSocketPath || !strings.HasPrefix(path, "/tmp/focusnfix-") {
		t.Errorf("got %s, %v", path, err)
	}
	short := t.TempDir()
	if len(short) < 60 {
		t.Setenv("XDG_RUNTIME_DIR", short)
		if path, err := socketPath("/a/run"); err != nil || filepath.Dir(path) != filepath.Join(short, "focusnfix") {
			t.Errorf("got %s, %v", path, err)
		}
	}
	open := filepath.Join(t.TempDir(), "shared")
	if err := os.Mkdir(open, 0o777); err != nil {
		t.Fatal(err)
	}
	os.Chmod(open, 0o777)
	if err := privateFolder(open); err == nil || !strings.Contains(err.Error(), "0700") {
		t.Errorf("a folder that others may enter: %v", err)
	}
	link := filepath.Join(t.TempDir(), "link")
	os.Symlink(t.TempDir(), link)
	if err := privateFolder(link); err == nil {
		t.Error("a link is taken for a folder of our own")
	}
}

func TestDialRefuses(t *testing.T) {
	f := newRun(t)
	if _, err := f.Dial(); !errors.Is(err, ErrNoEngine) {
		t.Errorf("no engine yet: %v", err)
	}
	for name, c := range map[string]struct {
		edit func(*Process)
		want string
	}{
		"gone":          {func(p *Process) { p.PID = 1 << 22 }, ErrNoEngine.Error()},
		"copied folder": {func(p *Process) { p.Folder = t.TempDir() }, ErrNoEngine.Error()},
		"elsewhere":     {func(p *Process) { p.Host = "gpu-box" }, "its engine is on gpu-box"},
	} {
		p := ours(t, f)
		p.Socket = filepath.Join(t.TempDir(), "s")
		c.edit(p)
		info, _ := f.Info()
		info.Engine = p
		if err := f.SetInfo(info); err != nil {
			t.Fatal(err)
		}
		if _, err := f.Dial(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
	// Alive, but its socket is not there.
	info, _ := f.Info()
	info.Engine = ours(t, f)
	info.Engine.Socket = filepath.Join(t.TempDir(), "s")
	f.SetInfo(info)
	c, err := f.Dial()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Pause(t.Context()); err == nil || !strings.Contains(err.Error(), "does not answer: dial unix") {
		t.Errorf("no socket: %v", err)
	}
}

// What answers is not always an engine.
func TestStrangeAnswers(t *testing.T) {
	f := newRun(t)
	listener, engine, err := f.Listen()
	if err != nil {
		t.Fatal(err)
	}
	body := ""
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/status" {
			info, _ := f.Info()
			json.NewEncoder(w).Encode(Status{Run: info.ID})
			return
		}
		if r.URL.Path == "/pause" {
			w.WriteHeader(http.StatusTeapot)
		}
		io.WriteString(w, body)
	})}
	go server.Serve(listener)
	defer server.Close()
	info, _ := f.Info()
	info.Engine = engine
	f.SetInfo(info)
	c, err := f.Dial()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Pause(t.Context()); err == nil || !strings.Contains(err.Error(), "418") {
		t.Errorf("a teapot: %v", err)
	}
	for _, body = range []string{"", "{", `{"kind":"evaluation"}`} {
		if _, err := c.Generate(t.Context(), GenerateRequest{}); err == nil {
			t.Errorf("%q is taken for a result", body)
		}
	}
	if network := listener.Addr().Network(); network != "unix" {
		t.Errorf("the engine listens on %s, want a unix socket only", network)
	}
}
