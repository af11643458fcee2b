package run

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"focusnfix/core"
)

// Client is a run's engine at the other end of its socket. It is for any number of goroutines.
type Client struct {
	http http.Client
	name string // of the run
	id   string // of the run: the engine must answer with it

	mutex sync.Mutex
	known bool // the engine has answered with it
	pid   int  // of the process at the other end, where the system tells
}

var _ Engine = (*Client)(nil)

// answerTime is how long an engine may take to say which run it works on.
const answerTime = 10 * time.Second

// ErrNoEngine is the error of a run that no process works on.
var ErrNoEngine = errors.New("no engine works on this run")

// Dial finds the engine of a run. Nothing is sent until the first command.
func (f Folder) Dial() (*Client, error) {
	info, err := f.Info()
	if err != nil {
		return nil, err
	}
	if info.Far != nil && info.Far.Link != "" && info.Engine == nil {
		return nil, fmt.Errorf("%s is a copy of a run on %s; focusnfix attach %s:%s connects to it", f.Name(), info.Far.Host, info.Far.Host, f.Name())
	}
	if info.Engine == nil || info.Engine.Socket == "" {
		return nil, fmt.Errorf("%s: %w", f.Name(), ErrNoEngine)
	}
	alive, sure := info.Engine.alive()
	if !sure {
		return nil, fmt.Errorf("%s: its engine is on %s; commands work there only", f.Name(), info.Engine.Host)
	}
	if !alive || !info.Engine.worksOn(f.Dir) {
		return nil, fmt.Errorf("%s: %w", f.Name(), ErrNoEngine)
	}
	if err := ownSocket(info.Engine.Socket); err != nil {
		return nil, fmt.Errorf("%s: %w", f.Name(), err)
	}
	c := &Client{name: f.Name(), id: info.ID}
	c.http.Transport = &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return c.dial(ctx, info.Engine.Socket)
	}}
	return c, nil
}

// DialOwn connects to a socket of this user's, with a process of this user behind it, whose id it returns where the
// system tells: paths of sockets come from run folders, which may be a stranger's.
func DialOwn(ctx context.Context, socket string) (conn net.Conn, pid int, err error) {
	if err := ownSocket(socket); err != nil {
		return nil, 0, err
	}
	conn, err = new(net.Dialer).DialContext(ctx, "unix", socket)
	if err != nil {
		return nil, 0, err
	}
	if pid, err = ownPeer(conn.(*net.UnixConn)); err != nil {
		return nil, 0, errors.Join(err, conn.Close())
	}
	return conn, pid, nil
}

// dial connects to the engine's socket.
func (c *Client) dial(ctx context.Context, socket string) (net.Conn, error) {
	conn, pid, err := DialOwn(ctx, socket)
	if err != nil {
		return nil, err
	}
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.pid = pid
	return conn, nil
}

// PID is the engine's process, once it has answered for this run; 0 where the system does not tell.
func (c *Client) PID() int {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if !c.known {
		return 0
	}
	return c.pid
}

// ours sees to it that the engine of this run is at the other end, before anything is asked of it: the
// run's folder may be a stranger's and name any socket.
func (c *Client) ours(ctx context.Context) error {
	c.mutex.Lock()
	known := c.known
	c.mutex.Unlock()
	if known {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	status, err := c.Status(ctx)
	if err == nil && status.Run != c.id {
		err = fmt.Errorf("%s: what answers at its socket is not the engine of this run", c.name)
	}
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.known = err == nil
	return err
}

// Close ends idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Status asks what the engine is doing.
func (c *Client) Status(ctx context.Context) (s Status, err error) {
	err = c.do(ctx, http.MethodGet, "status", nil, &s)
	return s, err
}

// Pause lets the step under way finish and waits then.
func (c *Client) Pause(ctx context.Context) error { return c.post(ctx, "pause", nil, nil) }

// Resume goes on after Pause.
func (c *Client) Resume(ctx context.Context) error { return c.post(ctx, "resume", nil, nil) }

// Stop ends training with a checkpoint.
func (c *Client) Stop(ctx context.Context) error { return c.post(ctx, "stop", nil, nil) }

// Checkpoint writes one and returns its path from the run folder.
func (c *Client) Checkpoint(ctx context.Context) (string, error) {
	var r reply
	err := c.post(ctx, "checkpoint", nil, &r)
	return r.Path, err
}

// ReloadMasks takes the masks that people have changed.
func (c *Client) ReloadMasks(ctx context.Context) error { return c.post(ctx, "masks", nil, nil) }

// Set changes a setting.
func (c *Client) Set(ctx context.Context, key, value string) error {
	return c.post(ctx, "set", setRequest{key, value}, nil)
}

// Generate draws a prompt with base and tuned model.
func (c *Client) Generate(ctx context.Context, r GenerateRequest) (core.PromptResult, error) {
	var e core.Event
	if err := c.post(ctx, "generate", r, &e); err != nil {
		return core.PromptResult{}, err
	}
	if e.Prompt == nil {
		return core.PromptResult{}, errors.New("generate: the engine's answer has no result")
	}
	return *e.Prompt, nil
}

// Fix repairs one image.
func (c *Client) Fix(ctx context.Context, r FixRequest) (core.FixResult, error) {
	var e core.Event
	if err := c.post(ctx, "fix", r, &e); err != nil {
		return core.FixResult{}, err
	}
	if e.Fix == nil {
		return core.FixResult{}, errors.New("fix: the engine's answer has no result")
	}
	return *e.Fix, nil
}

// Redraw draws images with kept fixes.
func (c *Client) Redraw(ctx context.Context, r RedrawRequest) ([]string, error) {
	var drawn reply
	err := c.post(ctx, "redraw", r, &drawn)
	return drawn.Paths, err
}

// Evaluate looks at prompts that are not trained on.
func (c *Client) Evaluate(ctx context.Context, r EvaluateRequest) (core.Evaluation, error) {
	var e core.Event
	if err := c.post(ctx, "evaluate", r, &e); err != nil {
		return core.Evaluation{}, err
	}
	if e.Evaluation == nil {
		return core.Evaluation{}, errors.New("evaluate: the engine's answer has no result")
	}
	return *e.Evaluation, nil
}

func (c *Client) post(ctx context.Context, verb string, request, result any) error {
	if err := c.ours(ctx); err != nil {
		return err
	}
	return c.do(ctx, http.MethodPost, verb, request, result)
}

// Forward passes a command on as it came, one of Verbs or "status", and returns the answer and its status.
func (c *Client) Forward(ctx context.Context, verb string, body []byte) (status int, text []byte, err error) {
	if verb == "status" {
		return c.send(ctx, http.MethodGet, verb, nil)
	}
	if !slices.Contains(Verbs(), verb) {
		return 0, nil, fmt.Errorf("%s: not a command", verb)
	}
	if err := c.ours(ctx); err != nil {
		return 0, nil, err
	}
	return c.send(ctx, http.MethodPost, verb, body)
}

// send sends one command and returns what the engine answers.
func (c *Client) send(ctx context.Context, method, verb string, body []byte) (status int, text []byte, err error) {
	r, err := http.NewRequestWithContext(ctx, method, "http://engine/"+verb, bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	response, err := c.http.Do(r)
	var inURL *url.Error
	if errors.As(err, &inURL) {
		err = inURL.Err // the URL means nothing to anybody
	}
	if err != nil {
		return 0, nil, fmt.Errorf("%s: the engine does not answer: %w", verb, err)
	}
	text, err = io.ReadAll(io.LimitReader(response.Body, maxBody))
	if err := errors.Join(err, response.Body.Close()); err != nil {
		return 0, nil, fmt.Errorf("%s: %w", verb, err)
	}
	return response.StatusCode, text, nil
}

// do sends one command. result is nil, an event, or what encoding/json fills.
func (c *Client) do(ctx context.Context, method, verb string, request, result any) error {
	var body []byte
	if request != nil {
		var err error
		if body, err = json.Marshal(request); err != nil {
			return err
		}
	}
	status, text, err := c.send(ctx, method, verb, body)
	if err != nil {
		return err
	}
	if status != http.StatusOK {
		var refused reply
		if json.Unmarshal(text, &refused) != nil || refused.Error == "" {
			return fmt.Errorf("%s: the engine answers %d %s", verb, status, http.StatusText(status))
		}
		return errors.New(core.Clean(refused.Error))
	}
	switch result := result.(type) {
	case nil:
		return nil
	case *core.Event:
		return result.ParseJSON(bytes.TrimSpace(text))
	}
	err = json.Unmarshal(text, result)
	core.CleanStrings(result)
	return err
}
