package far

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"focusnfix/core/run"
)

// Relay is the far end: it runs on the machine where the run is.
type Relay struct {
	Find     func() (run.Folder, error) // the run
	List     func() ([]byte, error)     // instead of a run: what `ls --json` prints
	Version  string
	ReadOnly bool // refuse commands, whatever the near end says

	Train func(ctx context.Context, f run.Folder) error // resume training, with a new engine if need be
	Wake  func(ctx context.Context, f run.Folder) error // start an engine that draws
}

const (
	farSilence = time.Minute // that the near end may keep before the link counts as lost
	pingEvery  = 5 * time.Second
)

// nearSilence is how long the far end may keep silent.
var nearSilence = 15 * time.Second

// Serve speaks with the near end until it is gone or ctx ends.
func (r *Relay) Serve(ctx context.Context, in io.Reader, out io.Writer) error {
	if _, err := out.Write(greeting(farEnd, r.Version)); err != nil {
		return err
	}
	buffered := bufio.NewReader(in)
	number, version, _, err := readGreeting(buffered, nearEnd)
	if err != nil {
		return errors.New("relay is what focusnfix attach HOST:RUN starts over ssh; it is not for typing")
	}
	if number != protocol {
		return fmt.Errorf("the near end is focusnfix %s with relay protocol %d; this is %s with %d", version, number, r.Version, protocol)
	}
	if r.List != nil {
		text, err := r.List()
		if err != nil {
			return refuse(out, err)
		}
		return writeFrame(out, frame{kindFile, text})
	}
	folder, err := r.Find()
	if err == nil {
		_, err = folder.Info()
	}
	if err != nil {
		return refuse(out, err)
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	s := &relaying{Relay: r, folder: folder, ctx: ctx, stop: stop, commands: map[uint32]context.CancelFunc{}}
	s.out.wake = make(chan struct{}, 1)
	return s.serve(&frameReader{in: buffered}, out)
}

// refuse says why there is nothing.
func refuse(out io.Writer, err error) error {
	e := end{Error: err.Error()}
	var hinted interface{ Hint() string }
	if errors.As(err, &hinted) {
		e.Hint = hinted.Hint()
	}
	return writeFrame(out, message(kindEnd, e))
}

// relaying is one link, at its far end.
type relaying struct {
	*Relay
	folder run.Folder
	ctx    context.Context
	stop   context.CancelFunc
	out    sender
	work   sync.WaitGroup // answers and images that are being made

	mu       sync.Mutex
	over     bool // nothing more is begun
	readOnly bool
	commands map[uint32]context.CancelFunc
	client   *run.Client // nil: not dialed
	heard    time.Time
}

// serve reads what comes, and sends until the near end is gone.
func (s *relaying) serve(in *frameReader, out io.Writer) error {
	s.heard = time.Now()
	read := make(chan error, 1)
	go func() {
		read <- s.read(in)
		s.stop()
	}()
	err := s.send(out)
	s.stop()
	s.mu.Lock()
	s.over = true
	s.mu.Unlock()
	s.work.Wait()
	s.forgetClient()
	select {
	case inError := <-read:
		if errors.Is(inError, io.EOF) || errors.Is(inError, io.ErrUnexpectedEOF) {
			return nil // the near end has gone
		}
		return errors.Join(inError, err)
	default:
		return err
	}
}

// beside does something beside the rest, until the link ends.
func (s *relaying) beside(do func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.over {
		s.work.Go(do)
	}
}

// read takes frames in until there are no more.
func (s *relaying) read(in *frameReader) error {
	for {
		f, err := in.next()
		if err != nil {
			return err
		}
		s.mu.Lock()
		s.heard = time.Now()
		s.mu.Unlock()
		if err := s.take(f); err != nil {
			return err
		}
	}
}

func (s *relaying) take(f frame) error {
	switch f.kind {
	case kindHello:
		var h hello
		if err := f.read(&h); err != nil {
			return err
		}
		s.begin(h)
	case kindWant:
		var w want
		if err := f.read(&w); err != nil {
			return err
		}
		s.out.put(s.image(w))
	case kindCommand:
		var c command
		if err := f.read(&c); err != nil {
			return err
		}
		s.command(c)
	case kindCancel:
		var c cancel
		if err := f.read(&c); err != nil {
			return err
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if give, known := s.commands[c.ID]; known {
			give()
		}
	case kindAck:
		if len(f.data) == 8 {
			s.out.ack(int64(binary.BigEndian.Uint64(f.data)))
		}
	case kindPing:
		s.out.say(frame{kind: kindPong})
	}
	return nil
}

// begin sends what the near end lacks, from now on.
func (s *relaying) begin(h hello) {
	s.mu.Lock()
	s.readOnly = s.ReadOnly || h.ReadOnly
	s.mu.Unlock()
	s.out.follow(s.folder, h)
	if h.Verify {
		s.beside(func() {
			for i, name := range logs {
				size := h.Logs[i].Size
				if size <= sumBytes {
					continue // hello's checksum was of all
				}
				if sum, err := sumOf(s.ctx, s.folder, name, 0, size); err == nil {
					s.out.say(message(kindVerify, verify{i, size, sum}))
				}
			}
		})
	}
}

// send sends what there is, and looks for more, until the link ends.
func (s *relaying) send(out io.Writer) error {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	look := lookout{folder: s.folder}
	for next := time.Now(); ; {
		if now := time.Now(); !now.Before(next) {
			for _, f := range look.changes() {
				s.out.say(f)
			}
			next = now.Add(stateEvery)
		}
		f, ok, err := s.out.next()
		if err != nil {
			return refuse(out, err)
		}
		if ok {
			if err := writeFrame(out, f); err != nil {
				return err
			}
			continue
		}
		s.mu.Lock()
		quiet := time.Since(s.heard)
		s.mu.Unlock()
		if quiet > farSilence {
			return errors.New("the near end is silent")
		}
		select {
		case <-s.ctx.Done():
			return nil
		case <-s.out.wake:
		case <-tick.C:
		}
	}
}
