package far

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"

	"focusnfix/core/run"
)

// Verbs beside those of the control socket: they start an engine.
const (
	verbTrain = "train"
	verbWake  = "wake"
)

// mostCommands is how many commands may be under way at once.
const mostCommands = 64

// command carries a command out and sends the answer.
func (s *relaying) command(c command) {
	ctx, give := context.WithCancel(s.ctx)
	s.mu.Lock()
	_, taken := s.commands[c.ID]
	refused := ""
	switch {
	case taken || len(s.commands) >= mostCommands:
		refused = "too many commands at once"
	case s.readOnly && !onlyReads(c.Verb):
		refused = "this link is read-only"
	default:
		s.commands[c.ID] = give
	}
	s.mu.Unlock()
	if refused != "" {
		give()
		s.out.say(message(kindAnswer, failed(c.ID, errors.New(refused))))
		return
	}
	s.beside(func() {
		a := s.carryOut(ctx, c)
		s.mu.Lock()
		delete(s.commands, c.ID)
		s.mu.Unlock()
		give()
		s.out.say(message(kindAnswer, a))
	})
}

// failed is the answer to a command that was not carried out, as the control socket has it.
func failed(id uint32, err error) answer {
	text := err.Error()
	var hinted interface{ Hint() string }
	if errors.As(err, &hinted) {
		text += "; " + hinted.Hint()
	}
	body, _ := json.Marshal(map[string]string{"error": text}) // cannot fail
	return answer{id, http.StatusConflict, body}
}

func (s *relaying) carryOut(ctx context.Context, c command) answer {
	start := map[string]func(context.Context, run.Folder) error{verbTrain: s.Train, verbWake: s.Wake}[c.Verb]
	if start != nil {
		if err := start(ctx, s.folder); err != nil {
			return failed(c.ID, err)
		}
		return answer{c.ID, http.StatusOK, []byte("{}")}
	}
	if a, ok := s.ofFiles(c); ok {
		return a
	}
	client, err := s.dial()
	if err != nil {
		return failed(c.ID, err)
	}
	status, body, err := client.Forward(ctx, c.Verb, c.Body)
	if err != nil {
		s.forgetClient() // the next command finds the engine that there is then
		return failed(c.ID, err)
	}
	return answer{c.ID, status, body}
}

// dial finds the run's engine, once for many commands.
func (s *relaying) dial() (*run.Client, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.client != nil {
		return s.client, nil
	}
	client, err := s.folder.Dial()
	s.client = client
	return client, err
}

func (s *relaying) forgetClient() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.client != nil {
		s.client.Close()
		s.client = nil
	}
}
