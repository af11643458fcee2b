package far

import (
	"bytes"
	"context"
	"encoding/json"
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
			a.write(w)
		}
	}
	mux.HandleFunc("GET /status", pass("status"))
	for _, verb := range slices.Concat(run.Verbs(), []string{verbTrain, verbWake, verbList, verbEdit}) {
		mux.HandleFunc("POST /"+verb, pass(verb))
	}
	serveOwn(mux, verbImage, func(_ context.Context, q want) (any, error) {
		stored, err := m.Fetch(m.folder, q.Path, q.Side)
		return map[string]string{"path": stored}, err
	})
	serveOwn(mux, verbBring, func(ctx context.Context, q listQuery) (any, error) {
		return struct{}{}, m.Bring(ctx, m.folder, q.Part)
	})
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second, IdleTimeout: time.Minute}
	unwatch := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer unwatch()
	_ = server.Serve(listener) // ends with ctx
}

// serveOwn serves a command that this process carries out itself.
func serveOwn[T any](mux *http.ServeMux, verb string, do func(context.Context, T) (any, error)) {
	mux.HandleFunc("POST /"+verb, func(w http.ResponseWriter, r *http.Request) {
		var request T
		var result any
		err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody)).Decode(&request)
		if err == nil {
			result, err = do(r.Context(), request)
		}
		if err != nil {
			failed(0, err).write(w)
			return
		}
		answer{Status: http.StatusOK, Body: mustJSON(result)}.write(w)
	})
}

// write writes the answer to a command on the copy's socket. Nobody is left to tell if that fails.
func (a answer) write(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(a.Status)
	_, _ = w.Write(a.Body)
}

// verbImage asks the process that keeps a copy for an image.
const verbImage = "image"

// askKeeper asks the process that keeps the copy, on behalf of another screen of the same run.
func (m *Mirror) askKeeper(ctx context.Context, verb string, body []byte) (answer, error) {
	info, err := m.folder.Info()
	if err != nil {
		return answer{}, err
	}
	if info.Engine == nil || info.Far == nil || info.Far.Socket == "" {
		return answer{}, fmt.Errorf("no link to %s: the screen that had it has ended", m.o.Target.Host)
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		conn, _, err := run.DialOwn(ctx, info.Far.Socket)
		return conn, err
	}}}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://keeper/"+verb, bytes.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	response, err := client.Do(r)
	if err != nil {
		return answer{}, fmt.Errorf("the screen that has the link to %s does not answer: %w", m.o.Target.Host, err)
	}
	text, err := io.ReadAll(io.LimitReader(response.Body, maxFrame))
	return answer{Status: response.StatusCode, Body: text}, errors.Join(err, response.Body.Close())
}

// fetchFromKeeper is fetch by the process that keeps the copy.
func (m *Mirror) fetchFromKeeper(name string, side int) (stored string, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), imageTime)
	defer cancel()
	body, err := json.Marshal(want{Path: name, Side: side})
	if err != nil {
		return "", err
	}
	a, err := m.askKeeper(ctx, verbImage, body)
	if err == nil {
		err = a.problem(verbImage)
	}
	var got struct {
		Path string `json:"path"`
	}
	if err == nil {
		err = json.Unmarshal(a.Body, &got)
	}
	return got.Path, err
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
	if m.o.ReadOnly && !onlyReads(verb) {
		return answer{}, errors.New("opened with --read-only: no commands are sent")
	}
	m.mu.Lock()
	if !m.keeper {
		m.mu.Unlock()
		return m.askKeeper(ctx, verb, body)
	}
	l := m.link
	why := m.copied.far.Link
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
		if !slices.Contains([]int{200, 400, 409}, a.Status) {
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
