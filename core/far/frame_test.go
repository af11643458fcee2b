package far

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"focusnfix/core/run"
)

func TestFrames(t *testing.T) {
	var b bytes.Buffer
	sent := []frame{{kindPing, nil}, {kindImage, imageHead{id: 1 << 31, last: true, full: true}.append(nil)}, message(kindWant, want{3, "images/x.png", 64})}
	for _, f := range sent {
		if err := writeFrame(&b, f); err != nil {
			t.Fatal(err)
		}
	}
	whole := b.Bytes()
	r := &frameReader{in: bufio.NewReader(bytes.NewReader(whole))}
	for _, want := range sent {
		got, err := r.next()
		if err != nil || got.kind != want.kind || !bytes.Equal(got.data, want.data) {
			t.Errorf("%q %q, %v; want %q %q", got.kind, got.data, err, want.kind, want.data)
		}
	}
	if _, err := r.next(); !errors.Is(err, io.EOF) {
		t.Errorf("at the end: %v", err)
	}
	r = &frameReader{in: bufio.NewReader(bytes.NewReader(whole[:len(whole)-1]))}
	for {
		_, err := r.next()
		if errors.Is(err, io.ErrUnexpectedEOF) {
			break
		}
		if err != nil {
			t.Fatalf("cut short: %v", err)
		}
	}
	r = &frameReader{in: bufio.NewReader(strings.NewReader("l\xff\xff\xff\xff"))}
	if _, err := r.next(); err == nil || !strings.Contains(err.Error(), "want at most") {
		t.Errorf("an endless frame: %v", err)
	}
	if err := writeFrame(io.Discard, frame{kindLog, make([]byte, maxFrame+1)}); err == nil {
		t.Error("a frame that nobody reads was written")
	}
}

// FuzzNear feeds a far end's bytes to a mirror: nothing panics, and nothing is written outside of the copy.
func FuzzNear(f *testing.F) {
	far := func(frames ...frame) []byte {
		b := bytes.NewBuffer(greeting(farEnd, "v1"))
		for _, fr := range frames {
			if err := writeFrame(b, fr); err != nil {
				f.Fatal(err)
			}
		}
		return b.Bytes()
	}
	info := []byte(`{"format":1,"id":"x","steps":3,"state":"running"}`)
	tail := &logTail{}
	if err := tail.pack([]byte("{\"kind\":\"pictures\",\"pictures\":[{\"path\":\"images/../../x.png\"}]}\n")); err != nil {
		f.Fatal(err)
	}
	f.Add(far(message(kindFile, file{"run.json", info}), message(kindState, state{Folder: "/r/x", State: "running", Engine: true})))
	f.Add(far(frame{kindLog, append(logHead{size: 9}.append(nil), tail.packed.Bytes()...)}, frame{kindLog, logHead{log: 1, anew: true}.append(nil)}))
	f.Add(far(frame{kindImage, append(imageHead{id: 1, last: true, exact: true}.append(nil), "data"...)}, message(kindEnd, end{"gone", "x"})))
	f.Add(far(message(kindVerify, verify{7, -1, ""}), message(kindAnswer, answer{9, 999, nil}), frame{kindPong, []byte("x")}, frame{'?', nil}))
	f.Add([]byte("motd\nfocusnfix-relay x\nfocusnfix-relay 1\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := openCopy(run.Folder{Dir: t.TempDir() + "/x"}, true)
		if err != nil {
			t.Fatal(err)
		}
		defer c.close()
		if err := c.replace([]byte(`{"format":1,"id":"x","steps":3,"state":"running"}`), nil); err != nil {
			t.Fatal(err)
		}
		c.far.Folder = "/r/x"
		in := bufio.NewReader(bytes.NewReader(text))
		if _, _, _, err := readGreeting(in, farEnd); err != nil {
			return
		}
		l := &link{conn: &scripted{strings.NewReader("")}, in: &frameReader{in: in}, out: make(chan frame, 9), done: make(chan struct{}), answers: map[uint32]chan answer{}}
		m := &Mirror{keeper: true, copied: c, fetching: map[string]*fetching{}, folder: c.folder}
		m.fetching[l.key(1)] = &fetching{name: "images/step-000001/000-1.png", done: make(chan struct{})}
		for {
			got, err := l.next()
			if err != nil {
				return
			}
			if m.take(l, got) != nil {
				return
			}
		}
	})
}

// The window grows while answers come promptly, and shrinks when they come late.
func TestPace(t *testing.T) {
	var p pace
	now := time.Unix(0, 0)
	send := func(delay time.Duration) {
		for p.open() {
			p.send(16<<10, now)
		}
		now = now.Add(delay)
		p.ack(p.sent, now)
	}
	for range 12 {
		send(200 * time.Millisecond)
	}
	if p.window != mostWindow {
		t.Errorf("a fast line: window %d, want %d", p.window, mostWindow)
	}
	for range 12 {
		send(3 * time.Second)
	}
	if p.window != leastWindow {
		t.Errorf("a slow line: window %d, want %d", p.window, leastWindow)
	}
	p.ack(1<<60, now)
	if p.acked != p.sent {
		t.Errorf("acknowledged %d of %d", p.acked, p.sent)
	}
}
