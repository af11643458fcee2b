package far

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"focusnfix/core"
	"focusnfix/core/run"
)

// Conn is a started relay: its standard input and output.
type Conn interface {
	io.ReadWriteCloser
	// Why is, once reading has ended, the reason for people; nil where none is known.
	Why() error
}

// link is a connection to the far end. Reading is for one goroutine.
type link struct {
	conn  Conn
	in    *frameReader
	out   chan frame
	done  chan struct{} // it is closed
	close func()
	met   bool // run.json and state have come through it

	runJSON, config []byte // while meeting
	state           state

	mu         sync.Mutex
	heard      time.Time // by the wall clock, which goes on while the machine sleeps
	got, acked int64     // bytes of logs and images; of the goroutine that reads
	answers    map[uint32]chan answer
}

// connect starts the relay and waits for its greeting.
func connect(ctx context.Context, o Options, ask bool) (*link, error) {
	conn, err := o.Dial(ctx, ask)
	if err != nil {
		return nil, err
	}
	l := &link{conn: conn, out: make(chan frame, 256), done: make(chan struct{}), answers: map[uint32]chan answer{}}
	l.close = sync.OnceFunc(func() {
		close(l.done)
		_ = conn.Close() // its reason was told
	})
	unwatch := context.AfterFunc(ctx, l.close)
	defer unwatch()
	go l.write(o.Version)
	buffered := bufio.NewReaderSize(conn, 64<<10)
	number, version, before, err := readGreeting(buffered, farEnd)
	if err != nil {
		why := conn.Why()
		l.close()
		return nil, o.noRelay(why, before, ctx.Err())
	}
	if number != protocol {
		l.close()
		return nil, fmt.Errorf("%s runs focusnfix %s with relay protocol %d, this is %s with %d; install the same version on both",
			o.Target.Host, version, number, o.Version, protocol)
	}
	l.in = &frameReader{in: buffered}
	l.hear()
	go l.watch()
	return l, nil
}

// noRelay is the error of a far end that did not greet.
func (o Options) noRelay(why error, before string, ended error) error {
	switch last := lastLine(before); {
	case ended != nil:
		return ended
	case why != nil:
		return fmt.Errorf("%s: %w", o.Target.Host, why)
	case last != "":
		return fmt.Errorf("%s: no focusnfix relay answers there, but %q", o.Target.Host, last)
	}
	return fmt.Errorf("%s: no focusnfix relay answers there", o.Target.Host)
}

// lastLine is the last line of a text that is not empty, clean and not too long.
func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	last := core.Clean(strings.TrimSpace(lines[len(lines)-1]))
	if r := []rune(last); len(r) > 300 {
		last = string(r[:300]) + "…"
	}
	return last
}

// meet waits for run.json and the state, and returns the folder of the copy.
func (l *link) meet(o Options) (run.Folder, error) {
	for l.state.Folder == "" || l.runJSON == nil {
		f, err := l.next()
		if err != nil {
			return run.Folder{}, fmt.Errorf("%s: %w", o.Target.Host, err)
		}
		switch f.kind {
		case kindFile:
			var got file
			if err := f.read(&got); err != nil {
				return run.Folder{}, err
			}
			switch got.Name {
			case followed[0]:
				l.runJSON = got.Text
			case followed[1]:
				l.config = got.Text
			}
		case kindState:
			if err := f.read(&l.state); err != nil {
				return run.Folder{}, err
			}
		case kindEnd:
			return run.Folder{}, f.end(o.Target.Host)
		}
	}
	l.met = true
	return copyFolder(o.Cache, o.Target.Host, l.state.Folder)
}

// hintedError is an error of the far end that knows what to do there.
type hintedError struct {
	error
	hint string
}

// Unwrap is the error itself.
func (e hintedError) Unwrap() error { return e.error }

// Hint says in one line what the user can do about the error.
func (e hintedError) Hint() string { return e.hint }

// end is the reason that the far end gives.
func (f frame) end(host string) error {
	var e end
	if err := f.read(&e); err != nil {
		return err
	}
	err := fmt.Errorf("%s: %s", host, e.Error)
	if e.Hint == "" {
		return err
	}
	return hintedError{err, "on " + host + ": " + e.Hint}
}

// next is the next frame; the end of the link is an error with its reason.
func (l *link) next() (frame, error) {
	f, err := l.in.next()
	if err == nil {
		l.hear()
		return f, nil
	}
	select {
	case <-l.done:
		return f, errors.New("the link is lost")
	default:
	}
	if why := l.conn.Why(); why != nil {
		return f, why
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return f, errors.New("the link is lost")
	}
	return f, err
}

func (l *link) hear() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.heard = time.Now().Round(0)
}

// watch asks for a sign of life, and closes a link that gives none.
func (l *link) watch() {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for n := 1; ; n++ {
		select {
		case <-l.done:
			return
		case <-tick.C:
		}
		l.mu.Lock()
		quiet := time.Now().Round(0).Sub(l.heard)
		l.mu.Unlock()
		if quiet > nearSilence {
			l.close()
			return
		}
		if n%int(pingEvery/time.Second) == 0 {
			l.say(frame{kind: kindPing})
		}
	}
}

// write writes the greeting and then what is said.
func (l *link) write(version string) {
	if _, err := l.conn.Write(greeting(nearEnd, version)); err != nil {
		return // reading says why
	}
	for {
		select {
		case <-l.done:
			return
		case f := <-l.out:
			if writeFrame(l.conn, f) != nil {
				return
			}
		}
	}
}

// say sends a frame, unless the link ends before.
func (l *link) say(f frame) {
	select {
	case l.out <- f:
	case <-l.done:
	}
}

// ackEvery is how many bytes come between two acknowledgments.
const ackEvery = 4 << 10

// took acknowledges what has come. If too much waits to be written, the next one does.
func (l *link) took(bytes int) {
	l.got += int64(bytes)
	if l.got-l.acked < ackEvery {
		return
	}
	select {
	case l.out <- frame{kindAck, binary.BigEndian.AppendUint64(nil, uint64(l.got))}:
		l.acked = l.got
	default:
	}
}

// key is a request's, of this link alone.
func (l *link) key(id uint32) string { return fmt.Sprintf("%p %d", l, id) }

// expect is where the answer to a command will come.
func (l *link) expect(id uint32) <-chan answer {
	l.mu.Lock()
	defer l.mu.Unlock()
	waits := make(chan answer, 1)
	l.answers[id] = waits
	return waits
}

func (l *link) forget(id uint32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.answers, id)
}

func (l *link) answered(a answer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if waits, known := l.answers[a.ID]; known {
		delete(l.answers, a.ID)
		waits <- a
	}
}

// problem is the error in an answer.
func (a answer) problem(verb string) error {
	if a.Status == http.StatusOK {
		return nil
	}
	var refused struct {
		Error string `json:"error"`
	}
	if json.Unmarshal(a.Body, &refused) != nil || refused.Error == "" {
		return fmt.Errorf("%s: status %d", verb, a.Status)
	}
	return errors.New(core.Clean(refused.Error))
}
