package far

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"
)

// SSH starts the relay on another machine through the system's ssh.
type SSH struct {
	Program string   // "" is ssh
	Host    string   // see Target
	Remote  string   // the program there; "" is focusnfix, by its PATH
	Args    []string // of the program there
}

// sshOptions keep a link from doing anything but carrying the relay: no terminal, no forwarding, no command of
// the user's configuration. A dead link ends within 15 seconds.
var sshOptions = []string{
	"-T", "-a", "-x", "-e", "none", "-o", "ClearAllForwardings=yes", "-o", "RemoteCommand=none", "-o", "PermitLocalCommand=no",
	"-o", "ForkAfterAuthentication=no", "-o", "ServerAliveInterval=5", "-o", "ServerAliveCountMax=3", "-o", "ConnectTimeout=15",
}

// command is the command line: nothing in it that a user gave can be taken for an option, here or there.
func (s SSH) command(ask bool) []string {
	line := append([]string{cmp.Or(s.Program, "ssh")}, sshOptions...)
	if !ask {
		line = append(line, "-o", "BatchMode=yes")
	}
	far := []string{quote(cmp.Or(s.Remote, "focusnfix"))}
	for _, arg := range s.Args {
		far = append(far, quote(arg))
	}
	return append(line, "--", s.Host, strings.Join(far, " "))
}

// quote makes a word that a shell takes as it is.
func quote(word string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_./@%+=:,", r)
	}
	if word != "" && !strings.ContainsFunc(word, func(r rune) bool { return !plain(r) }) {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

// Dial starts ssh. With ask it may ask the user at the terminal; its messages go there then, too.
func (s SSH) Dial(_ context.Context, ask bool) (Conn, error) {
	line := s.command(ask)
	c := &sshConn{remote: cmp.Or(s.Remote, "focusnfix"), cmd: exec.Command(line[0], line[1:]...), ended: make(chan struct{})}
	var err error
	if c.WriteCloser, err = c.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	if c.out, err = c.cmd.StdoutPipe(); err != nil {
		return nil, err
	}
	c.cmd.Stderr = &c.said
	c.cmd.WaitDelay = time.Second // a master connection that ssh leaves behind keeps standard error open
	if err := c.cmd.Start(); err != nil {
		if errors.Is(err, exec.ErrNotFound) {
			return nil, fmt.Errorf("%s is not on the PATH; attach needs OpenSSH", line[0])
		}
		return nil, err
	}
	return c, nil
}

// sshConn is a running ssh.
type sshConn struct {
	io.WriteCloser
	remote string
	out    io.ReadCloser
	cmd    *exec.Cmd
	said   tailWriter // on its standard error
	once   sync.Once
	ended  chan struct{}
	err    error
}

func (c *sshConn) Read(p []byte) (int, error) { return c.out.Read(p) }

// Close ends ssh.
func (c *sshConn) Close() error {
	err := c.cmd.Process.Kill()
	if errors.Is(err, os.ErrProcessDone) {
		err = nil
	}
	c.wait()
	return err
}

// wait collects the process, once.
func (c *sshConn) wait() {
	c.once.Do(func() {
		c.err = c.cmd.Wait()
		close(c.ended)
	})
	<-c.ended
}

// Why is what ssh said, or the far shell.
func (c *sshConn) Why() error {
	kill := time.AfterFunc(2*time.Second, func() { _ = c.cmd.Process.Kill() })
	c.wait()
	kill.Stop()
	last := problemIn(c.said.String())
	var exit *exec.ExitError
	switch {
	case errors.As(c.err, &exit) && exit.ExitCode() == 127:
		return hintedError{fmt.Errorf("no %s there", c.remote), "--remote-program says where it is on that machine"}
	case strings.Contains(last, `no command "relay"`):
		return errors.New("focusnfix there is too old: it has no relay; install the same version on both")
	case last != "":
		return errors.New(last)
	case exit != nil && exit.ExitCode() > 0:
		return fmt.Errorf("ssh ended: %w", exit)
	}
	return nil
}

// problemIn is the line that says what went wrong: this program's error, or the last.
func problemIn(said string) string {
	for line := range strings.Lines(said) {
		if problem, found := strings.CutPrefix(line, "error: "); found {
			return lastLine(problem)
		}
	}
	return lastLine(said)
}

// tailWriter keeps the end of what is written to it.
type tailWriter struct {
	mu   sync.Mutex
	text []byte
}

func (t *tailWriter) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, p...)
	t.text = t.text[max(0, len(t.text)-4096):]
	return len(p), nil
}

func (t *tailWriter) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.text)
}
