package run

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"

	"focusnfix/core"
)

const (
	maxBody  = 1 << 20          // bytes of a request
	bodyTime = 10 * time.Second // in which it must have come
)

// handler speaks for an engine: GET /status, and a POST for each of Verbs, JSON in and out. Numbers that are not known
// are left out of an answer. What the engine refuses is status 409, a malformed request 400, each with {"error": "..."}.
func handler(e Engine, id string) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, r *http.Request) {
		status, err := e.Status(r.Context())
		status.Run = id
		answer(w, status, err)
	})
	for _, c := range commands {
		mux.HandleFunc("POST /"+c.verb, c.serve(e))
	}
	return mux
}

// command is one that the control socket takes with POST.
type command struct {
	verb  string
	serve func(Engine) http.HandlerFunc
}

// commands are all of them.
var commands = []command{
	serves("pause", func(ctx context.Context, e Engine, _ struct{}) (any, error) { return reply{}, e.Pause(ctx) }),
	serves("resume", func(ctx context.Context, e Engine, _ struct{}) (any, error) { return reply{}, e.Resume(ctx) }),
	serves("stop", func(ctx context.Context, e Engine, _ struct{}) (any, error) { return reply{}, e.Stop(ctx) }),
	serves("checkpoint", func(ctx context.Context, e Engine, _ struct{}) (any, error) {
		path, err := e.Checkpoint(ctx)
		return reply{Path: path}, err
	}),
	serves("masks", func(ctx context.Context, e Engine, _ struct{}) (any, error) { return reply{}, e.ReloadMasks(ctx) }),
	serves("set", func(ctx context.Context, e Engine, r setRequest) (any, error) {
		return reply{}, e.Set(ctx, r.Key, r.Value)
	}),
	serves("generate", func(ctx context.Context, e Engine, r GenerateRequest) (any, error) {
		result, err := e.Generate(ctx, r)
		return &core.Event{Time: time.Now(), Kind: "prompt", Prompt: &result}, err
	}),
	serves("fix", func(ctx context.Context, e Engine, r FixRequest) (any, error) {
		result, err := e.Fix(ctx, r)
		return &core.Event{Time: time.Now(), Kind: "fix", Fix: &result}, err
	}),
	serves("redraw", func(ctx context.Context, e Engine, r RedrawRequest) (any, error) {
		paths, err := e.Redraw(ctx, r)
		return reply{Paths: paths}, err
	}),
	serves("evaluate", func(ctx context.Context, e Engine, r EvaluateRequest) (any, error) {
		result, err := e.Evaluate(ctx, r)
		return &core.Event{Time: time.Now(), Kind: "evaluation", Evaluation: &result}, err
	}),
}

// Verbs are the commands of the control socket that are sent with POST.
func Verbs() (all []string) {
	for _, c := range commands {
		all = append(all, c.verb)
	}
	return all
}

// serves is a command whose body is of type T; an empty body is T's zero value.
func serves[T any](verb string, do func(context.Context, Engine, T) (any, error)) command {
	return command{verb, func(e Engine) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			deadline := http.NewResponseController(w)
			_ = deadline.SetReadDeadline(time.Now().Add(bodyTime)) // a writer that has none needs none
			body := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
			body.DisallowUnknownFields()
			var request T
			if err := body.Decode(&request); err != nil && !errors.Is(err, io.EOF) {
				w.WriteHeader(http.StatusBadRequest)
				answer(w, reply{Error: verb + ": " + err.Error()}, nil)
				return
			}
			_ = deadline.SetReadDeadline(time.Time{}) // else it would end the request, however long its work
			result, err := do(r.Context(), e, request)
			answer(w, result, err)
		}
	}}
}

// answer writes a result or an error. Nobody is left to tell if that fails.
func answer(w http.ResponseWriter, result any, err error) {
	w.Header().Set("Content-Type", "application/json")
	if err != nil {
		w.WriteHeader(http.StatusConflict)
		result = reply{Error: err.Error()}
	}
	if e, ok := result.(*core.Event); ok {
		_, _ = w.Write(append(e.AppendJSON(nil), '\n'))
		return
	}
	_ = json.NewEncoder(w).Encode(result)
}

// Listen opens the run's socket, for Serve, and names this process as its engine; the caller puts that into run.json
// with SetInfo. The log must be open, so that no other engine listens.
func (f Folder) Listen() (net.Listener, *Process, error) {
	engine, err := f.thisProcess()
	if err != nil {
		return nil, nil, err
	}
	if engine.Socket, err = socketPath(engine.Folder); err != nil {
		return nil, nil, err
	}
	if err := os.RemoveAll(engine.Socket); err != nil { // of an engine that was killed
		return nil, nil, err
	}
	info, err := f.Info()
	if err != nil {
		return nil, nil, err
	}
	listener, err := net.Listen("unix", engine.Socket)
	if err != nil {
		return nil, nil, err
	}
	if err := os.Chmod(engine.Socket, 0o600); err != nil {
		return nil, nil, errors.Join(err, listener.Close())
	}
	return control{listener, info.ID}, engine, nil
}

// control is a run's socket, which knows whose it is.
type control struct {
	net.Listener
	run string // its id
}

// Serve answers commands until ctx ends; those under way have two seconds to finish then. It closes the
// listener, which removes the socket.
func Serve(ctx context.Context, listener net.Listener, e Engine) error {
	id := ""
	if c, ok := listener.(control); ok {
		id = c.run
	}
	server := &http.Server{Handler: handler(e, id), ReadHeaderTimeout: 5 * time.Second, IdleTimeout: time.Minute}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	select {
	case err := <-ended:
		return fmt.Errorf("control socket: %w", err)
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	err := server.Shutdown(grace)
	if errors.Is(err, context.DeadlineExceeded) {
		err = server.Close()
	}
	if served := <-ended; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}
