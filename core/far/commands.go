package far

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"time"

	"focusnfix/core/run"
)

const maxBody = 256 << 10 // bytes of a command

// serve takes commands on the copy's socket and passes them on, until ctx ends.
func (m *Mirror) serve(ctx context.Context, listener net.Listener) {
	mux := http.NewServeMux()
	pass := func(verb string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
			a := answer{}
			if err == nil {
				a, err = m.command(r.Context(), verb, body)
			}
			if err != nil {
				a = failed(0, err)
			}
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(a.Status)
			_, _ = w.Write(a.Body) // nobody is left to tell
		}
	}
	mux.HandleFunc("GET /status", pass("status"))
	for _, verb := range run.Verbs {
		mux.HandleFunc("POST /"+verb, pass(verb))
	}
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second, IdleTimeout: time.Minute}
	unwatch := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer unwatch()
	_ = server.Serve(listener) // ends with ctx
}

// Train resumes training of the run where it is.
func (m *Mirror) Train(ctx context.Context, f run.Folder) error { return m.start(ctx, f, verbTrain) }

// Wake starts an engine that draws, where the run is.
func (m *Mirror) Wake(ctx context.Context, f run.Folder) error { return m.start(ctx, f, verbWake) }

func (m *Mirror) start(ctx context.Context, f run.Folder, verb string) error {
	if f.Dir != m.folder.Dir {
		return fmt.Errorf("%s is a copy; only the attached run has a link", f.Name())
	}
	a, err := m.command(ctx, verb, nil)
	if err != nil {
		return err
	}
	return a.problem(verb)
}

// command passes a command on and waits for the answer.
func (m *Mirror) command(ctx context.Context, verb string, body []byte) (answer, error) {
	if m.o.ReadOnly && verb != "status" {
		return answer{}, errors.New("opened with --read-only: no commands are sent")
	}
	m.mu.Lock()
	l := m.link
	why := "another screen of this run has it"
	if m.keeper {
		why = m.copied.far.Link
	}
	m.number++
	id := m.number
	m.mu.Unlock()
	if l == nil {
		return answer{}, fmt.Errorf("no link to %s (%s): %s was not sent", m.o.Target.Host, why, verb)
	}
	waits := l.expect(id)
	defer l.forget(id)
	l.say(message(kindCommand, command{id, verb, body}))
	select {
	case a := <-waits:
		if a.Status < 200 || a.Status > 599 || !slices.Contains([]int{200, 400, 409}, a.Status) {
			return answer{}, fmt.Errorf("%s: %s answers with status %d", verb, m.o.Target.Host, a.Status)
		}
		return a, nil
	case <-ctx.Done():
		l.say(message(kindCancel, cancel{id}))
		return answer{}, ctx.Err()
	case <-l.done:
		return answer{}, fmt.Errorf("the link to %s was lost before the answer; %s may have been done", m.o.Target.Host, verb)
	}
}
