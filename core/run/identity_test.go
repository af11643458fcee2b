package run

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// claims makes a folder say that this process is its engine, behind a socket.
func claims(t *testing.T, f Folder, socket string) {
	t.Helper()
	info, err := f.Info()
	if err != nil {
		t.Fatal(err)
	}
	info.Engine, info.State = ours(t, f), Running
	info.Engine.Socket = socket
	if err := f.SetInfo(info); err != nil {
		t.Fatal(err)
	}
}

// A stranger's folder can name any process and any socket: nothing but a question for its name is sent
// to what is not the engine of that run.
func TestCommandsGoToTheRunsOwnEngine(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	asked := make(chan string, 10)
	go http.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { //nolint:gosec // of this test
		asked <- r.Method + " " + r.URL.Path
		fmt.Fprint(w, `{"run":"\u001b]52;c;QQ==\u0007another","state":"running"}`)
	}))
	f := newRun(t)
	claims(t, f, socket)
	c, err := f.Dial()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for range 2 {
		if err := c.Stop(t.Context()); err == nil || !strings.HasSuffix(err.Error(), "what answers at its socket is not the engine of this run") {
			t.Errorf("stop: %v", err)
		}
		if got := <-asked; got != "GET /status" {
			t.Errorf("the other program was sent %s", got)
		}
	}
	if len(asked) > 0 || c.PID() != 0 {
		t.Errorf("it was sent %s, and its process %d taken for the engine's", <-asked, c.PID())
	}

	// The engine of another run is not this one's either.
	other := newRun(t)
	serve(t, other, new(recorder))
	info, _ := other.Info()
	claims(t, f, info.Engine.Socket)
	if c, err = f.Dial(); err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Checkpoint(t.Context()); err == nil || !strings.Contains(err.Error(), "is not the engine of this run") {
		t.Errorf("another run's engine: %v", err)
	}
}

// The process that may be advised to be killed is the one that has answered.
func TestPIDIsThatOfTheEngine(t *testing.T) {
	f := newRun(t)
	c := serve(t, f, new(recorder))
	if c.PID() != 0 {
		t.Errorf("process %d before it has answered", c.PID())
	}
	if err := c.Pause(t.Context()); err != nil {
		t.Fatal(err)
	}
	if pid := c.PID(); pid != os.Getpid() && pid != 0 { // 0 where the system does not tell
		t.Errorf("process %d, want %d", pid, os.Getpid())
	}
}

// What is not a socket of this user's is not opened.
func TestSocketIsOwn(t *testing.T) {
	f := newRun(t)
	for _, path := range []string{f.path("run.json"), f.Dir, "/dev/null"} {
		claims(t, f, path)
		if _, err := f.Dial(); err == nil || !strings.Contains(err.Error(), "is not a socket of yours") {
			t.Errorf("%s: %v", path, err)
		}
	}
	link := filepath.Join(t.TempDir(), "link")
	listener, err := net.Listen("unix", link+".real")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	if err := os.Symlink(link+".real", link); err != nil {
		t.Fatal(err)
	}
	claims(t, f, link)
	if _, err := f.Dial(); err == nil {
		t.Error("a link to a socket was opened")
	}
}

// A request whose body does not come is given up.
func TestSlowBodies(t *testing.T) {
	t.Parallel()
	f := newRun(t)
	c := serve(t, f, new(recorder))
	info, _ := f.Info()
	const slow = 100
	var open []net.Conn
	for range slow {
		conn, err := net.Dial("unix", info.Engine.Socket)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprint(conn, "POST /set HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{")
		open = append(open, conn)
	}
	if err := c.Pause(t.Context()); err != nil {
		t.Errorf("meanwhile: %v", err)
	}
	deadline := time.Now().Add(bodyTime + 20*time.Second)
	for i, conn := range open {
		conn.SetReadDeadline(deadline)
		for buffer := make([]byte, 1000); ; {
			_, err := conn.Read(buffer)
			if errors.Is(err, os.ErrDeadlineExceeded) {
				t.Fatalf("connection %d is still open", i)
			}
			if err != nil {
				break
			}
		}
	}
}
