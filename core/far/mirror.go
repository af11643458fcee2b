package far

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"focusnfix/core/run"
)

// Options is which run a mirror shows, and how it gets there.
type Options struct {
	Target   Target
	Cache    string // folder of all copies
	Version  string
	ReadOnly bool
	Ask      bool // connect first, also where there is a copy: ssh may have to ask for a password
	// Dial starts the relay. With ask the program may ask the user for a password, say; else it must not.
	Dial func(ctx context.Context, ask bool) (Conn, error)
}

// Mirror keeps a copy of a run folder up to date. One process does so for each copy; the mirrors of others wait
// until it ends, and read what it writes.
type Mirror struct {
	o      Options
	folder run.Folder
	stop   context.CancelFunc
	ended  sync.WaitGroup

	mu       sync.Mutex
	keeper   bool // this process keeps the copy
	copied   *copied
	listener net.Listener
	process  *run.Process
	link     *link // nil: none
	fetching map[string]*fetching
	number   uint32 // of the last request
	told     time.Time
}

// Open returns the mirror of a run. Where there is a copy already, it is there at once and is brought up to
// date afterwards; else Open waits for the far end.
func Open(ctx context.Context, o Options) (*Mirror, error) {
	m := &Mirror{o: o, fetching: map[string]*fetching{}}
	folder, found := o.cached()
	if found && !o.Ask {
		m.folder = folder
		return m, m.begin(ctx, nil)
	}
	first, err := connect(ctx, o, true)
	if err != nil {
		return nil, err
	}
	if m.folder, err = first.meet(o); err != nil {
		first.close()
		return nil, err
	}
	if err := m.begin(ctx, first); err != nil {
		first.close()
		return nil, err
	}
	return m, nil
}

// Folder is the copy.
func (m *Mirror) Folder() run.Folder { return m.folder }

// begin starts to keep the copy, from the link that there is already, if there is one.
func (m *Mirror) begin(ctx context.Context, first *link) error {
	ctx, m.stop = context.WithCancel(ctx)
	c, err := openCopy(m.folder, true)
	if errors.Is(err, errKept) && m.o.ReadOnly {
		return fmt.Errorf("%s: another screen of this run is open, and it may send commands; close it or leave out --read-only", m.folder.Name())
	}
	if errors.Is(err, errKept) {
		if first != nil {
			first.close()
		}
		m.ended.Go(func() { m.wait(ctx) })
		return nil
	}
	if err != nil {
		return err
	}
	if err := m.keep(ctx, c, first); err != nil {
		return errors.Join(err, c.close())
	}
	return nil
}

// wait waits until the process that keeps the copy has ended, and then keeps it.
func (m *Mirror) wait(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Second):
		}
		c, err := openCopy(m.folder, false)
		if errors.Is(err, errKept) {
			continue
		}
		if err != nil {
			return // the copy stays as it is
		}
		if m.keep(ctx, c, nil) != nil {
			_ = c.close() // another screen may keep it
		}
		return
	}
}

// connecting is what a copy says of its link before there was one.
const connecting = "connecting"

// keep listens for commands and follows the far end until ctx ends.
func (m *Mirror) keep(ctx context.Context, c *copied, first *link) error {
	if first != nil {
		err := c.replace(first.runJSON, nil)
		if errors.Is(err, errAnother) { // nothing was said of what is here yet
			err = nil
		}
		if err = cmp.Or(err, c.replace(nil, first.config)); err != nil {
			return err
		}
		c.state(first.state)
	}
	c.far.Host, c.far.Link = m.o.Target.Host, connecting
	if err := c.publish(nil); err != nil {
		return err
	}
	listener, process, err := m.folder.Listen()
	if err != nil {
		return err
	}
	m.mu.Lock()
	m.keeper, m.copied, m.listener, m.process = true, c, listener, process
	err = c.publish(process)
	m.mu.Unlock()
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	m.ended.Go(func() { m.serve(ctx, listener) })
	m.ended.Go(func() { m.follow(ctx, first) })
	return nil
}

// waits are those before the next try to connect, in seconds.
var waits = []time.Duration{0, 1, 2, 4, 8, 15}

// follow follows the far end through one link after another.
func (m *Mirror) follow(ctx context.Context, l *link) {
	failures := 0
	verify := true
	for ctx.Err() == nil {
		var err error
		if l == nil {
			l, err = connect(ctx, m.o, false)
		}
		if err == nil {
			began := time.Now()
			err = m.use(ctx, l, verify)
			l.close()
			if verify = false; time.Since(began) > 10*time.Second {
				failures = 0
			}
		}
		if l = nil; ctx.Err() == nil {
			m.lost(err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(waits[min(failures, len(waits)-1)] * time.Second):
		}
		failures++
	}
}

// use takes in what comes through a link until it ends, and says why.
func (m *Mirror) use(ctx context.Context, l *link, verify bool) error {
	m.mu.Lock()
	h := hello{ReadOnly: m.o.ReadOnly, Verify: verify}
	var err error
	h.Logs, err = m.copied.positions()
	m.mu.Unlock()
	if err != nil {
		return err
	}
	l.say(message(kindHello, h))
	unwatch := context.AfterFunc(ctx, l.close)
	defer unwatch()
	if l.met { // else run.json and state come first, and then there is a link
		m.linked(l)
	}
	for {
		f, err := l.next()
		if err != nil {
			return err
		}
		if err := m.take(l, f); err != nil {
			return err
		}
	}
}

// linked tells that there is a link.
func (m *Mirror) linked(l *link) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.link = l
	m.copied.far.Link = ""
	m.publish()
}

// publish writes run.json. Where that fails the screen keeps what it had; the next change tries again.
func (m *Mirror) publish() {
	m.told = time.Now()
	if m.link != nil {
		m.copied.far.Seen = m.told.UTC().Truncate(time.Second)
	}
	_ = m.copied.publish(m.process)
}

// lost tells that there is no link, and why.
func (m *Mirror) lost(why error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	text := why.Error()
	if m.link == nil && m.copied.far.Link == text {
		return
	}
	if m.link != nil {
		m.copied.far.Seen = time.Now().UTC().Truncate(time.Second)
	}
	m.link = nil
	m.copied.far.Link = text
	m.publish()
}

// take takes one frame in.
func (m *Mirror) take(l *link, f frame) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch f.kind {
	case kindFile:
		return m.takeFile(f)
	case kindState:
		return m.takeState(l, f)
	case kindLog:
		head, piece, err := parseLogHead(f.data)
		if err != nil {
			return err
		}
		if err := m.copied.add(head, piece); err != nil {
			return err
		}
		l.took(len(f.data))
		m.progress()
	case kindVerify:
		var v verify
		if err := f.read(&v); err != nil {
			return err
		}
		return m.copied.verify(v)
	case kindImage:
		l.took(len(f.data))
		return m.takeImage(l, f)
	case kindAnswer:
		var a answer
		if err := f.read(&a); err != nil {
			return err
		}
		l.answered(a)
	case kindEnd:
		return f.end(m.o.Target.Host)
	}
	return nil
}

// progress tells once a second how much of the log has not come yet.
func (m *Mirror) progress() {
	behind := m.copied.behind()
	if behind < rawPiece {
		behind = 0
	}
	if behind == m.copied.far.Behind || behind > 0 && time.Since(m.told) < time.Second {
		return
	}
	m.copied.far.Behind = behind
	m.publish()
}

func (m *Mirror) takeFile(f frame) error {
	var got file
	if err := f.read(&got); err != nil {
		return err
	}
	switch got.Name {
	case followed[0]:
		if err := m.copied.replace(got.Text, nil); err != nil {
			return err
		}
	case followed[1]:
		if err := m.copied.replace(nil, got.Text); err != nil {
			return err
		}
	default:
		return nil
	}
	m.publish()
	return nil
}

func (m *Mirror) takeState(l *link, f frame) error {
	var s state
	if err := f.read(&s); err != nil {
		return err
	}
	if was := m.copied.far.Folder; s.Folder != was {
		return fmt.Errorf("%s on %s is %s now, and was %s; attach again", m.o.Target.Run, m.o.Target.Host, s.Folder, was)
	}
	m.copied.state(s)
	if l.met = true; m.link != l {
		m.link = l
		m.copied.far.Link = ""
	}
	m.publish()
	return nil
}

// Close ends the link; the copy stays.
func (m *Mirror) Close() error {
	m.stop()
	m.ended.Wait()
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.keeper {
		return nil
	}
	m.keeper = false
	if m.link != nil {
		m.copied.far.Link, m.copied.far.Seen = "no link", time.Now().UTC().Truncate(time.Second)
	}
	m.copied.far.Link = cmp.Or(m.copied.far.Link, "no link")
	return errors.Join(m.copied.publish(nil), m.copied.close())
}

// List asks for the runs on another machine: JSON, as its `ls --json` has it.
func List(ctx context.Context, o Options) ([]byte, error) {
	l, err := connect(ctx, o, true)
	if err != nil {
		return nil, err
	}
	defer l.close()
	f, err := l.next()
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s: %w", o.Target.Host, err)
	case f.kind == kindEnd:
		return nil, f.end(o.Target.Host)
	case f.kind != kindFile:
		return nil, fmt.Errorf("%s: frame %q, want the list of runs", o.Target.Host, f.kind)
	}
	return f.data, nil
}

// cached finds the copy of a run that was attached before.
func (o Options) cached() (run.Folder, bool) {
	if o.Target.Run == "" {
		return run.Folder{}, false // the newest: only the far end knows
	}
	hostDir, err := hostFolder(o.Cache, o.Target.Host)
	if err != nil {
		return run.Folder{}, false
	}
	places, err := os.ReadDir(hostDir)
	if err != nil {
		return run.Folder{}, false
	}
	var found []run.Folder
	for _, place := range places {
		found = append(found, copiesIn(hostDir, place.Name(), o.Target.Run)...)
	}
	if len(found) != 1 {
		return run.Folder{}, false
	}
	return found[0], true
}
