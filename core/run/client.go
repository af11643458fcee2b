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

	"focusnfix/core"
)

// Client is a run's engine at the other end of its socket. It is for any number of goroutines.
type Client struct {
	http http.Client
}

var _ Engine = (*Client)(nil)

// ErrNoEngine is the error of a run that no process works on.
var ErrNoEngine = errors.New("no engine works on this run")

// Dial finds the engine of a run. Nothing is sent until the first command.
func (f Folder) Dial() (*Client, error) {
	info, err := f.Info()
	if err != nil {
		return nil, err
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
	socket := info.Engine.Socket
	return &Client{http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", socket)
		},
	}}}, nil
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

// Set changes a setting.
func (c *Client) Set(ctx context.Context, key, value string) error {
	return c.post(ctx, "set", setRequest{key, value}, nil)
}

// Generate draws a prompt with base and tuned model.
func (c *Client) Generate(ctx context.Context, r GenerateRequest) (core.PromptResult, error) {
	return c.prompt(ctx, "generate", r)
}

// Fix repairs one picture.
func (c *Client) Fix(ctx context.Context, r FixRequest) (core.PromptResult, error) {
	return c.prompt(ctx, "fix", r)
}

func (c *Client) prompt(ctx context.Context, verb string, request any) (core.PromptResult, error) {
	var e core.Event
	if err := c.post(ctx, verb, request, &e); err != nil {
		return core.PromptResult{}, err
	}
	if e.Prompt == nil {
		return core.PromptResult{}, fmt.Errorf("%s: the engine's answer has no result", verb)
	}
	return *e.Prompt, nil
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
	return c.do(ctx, http.MethodPost, verb, request, result)
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
	r, err := http.NewRequestWithContext(ctx, method, "http://engine/"+verb, bytes.NewReader(body))
	if err != nil {
		return err
	}
	response, err := c.http.Do(r)
	var inURL *url.Error
	if errors.As(err, &inURL) {
		err = inURL.Err // the URL means nothing to anybody
	}
	if err != nil {
		return fmt.Errorf("%s: the engine does not answer: %w", verb, err)
	}
	text, err := io.ReadAll(io.LimitReader(response.Body, maxBody))
	if err := errors.Join(err, response.Body.Close()); err != nil {
		return fmt.Errorf("%s: %w", verb, err)
	}
	if response.StatusCode != http.StatusOK {
		var refused reply
		if json.Unmarshal(text, &refused) != nil || refused.Error == "" {
			return fmt.Errorf("%s: the engine answers %s", verb, core.Clean(response.Status))
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
