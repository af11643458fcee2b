package far

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"focusnfix/core"
	"focusnfix/core/run"
)

// relayOf makes the test program the far end, of the run in this folder.
const relayOf = "FNF_TEST_RELAY"

func TestMain(m *testing.M) {
	if dir := os.Getenv(relayOf); dir != "" {
		r := Relay{Version: "test", Find: func() (run.Folder, error) { return run.Find("", dir) }}
		if slices.Contains(os.Args, "--list") {
			r.List = func() ([]byte, error) { return []byte(`[{"name":"x"}]`), nil }
		}
		if err := r.Serve(context.Background(), os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, "error:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// sshServer starts an sshd of its own on the loopback, and returns programs: an ssh that knows it as "gpu", and the
// far end. The far shell talks before it starts that.
func sshServer(t *testing.T, r run.Folder) (ssh, relay string) {
	t.Helper()
	sshd := "/usr/sbin/sshd"
	for _, program := range []string{sshd, "ssh", "ssh-keygen"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("OpenSSH is not installed: %v", err)
		}
	}
	dir := shortDir(t)
	at := func(name string) string { return filepath.Join(dir, name) }
	for _, key := range []string{"host", "user"} {
		if out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", at(key)).CombinedOutput(); err != nil {
			t.Fatalf("ssh-keygen: %v\n%s", err, out)
		}
	}
	port := freePort(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	public, err := os.ReadFile(at("user.pub"))
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"keys": string(public),
		"sshd": fmt.Sprintf("ListenAddress 127.0.0.1\nPort %d\nHostKey %s\nAuthorizedKeysFile %s\nStrictModes no\nUsePAM no\nPidFile none\n", port, at("host"), at("keys")),
		"config": fmt.Sprintf("Host gpu\n HostName 127.0.0.1\n Port %d\n IdentityFile %s\n IdentitiesOnly yes\n UserKnownHostsFile %s\n"+
			" StrictHostKeyChecking accept-new\n", port, at("user"), at("known")),
		"ssh":   "#!/bin/sh\nexec ssh -F " + at("config") + " \"$@\"\n",
		"relay": fmt.Sprintf("#!/bin/sh\necho 'Last login: today'\n%s='%s' exec '%s' \"$@\"\n", relayOf, r.Dir, self),
	} {
		if err := os.WriteFile(at(name), []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	log, err := os.Create(at("log"))
	if err != nil {
		t.Fatal(err)
	}
	server := exec.Command(sshd, "-D", "-e", "-f", at("sshd"))
	server.Stderr = log
	if err := server.Start(); err != nil {
		t.Skipf("sshd: %v", err)
	}
	t.Cleanup(func() {
		_ = server.Process.Kill()
		_ = server.Wait() // it was killed
		_ = log.Close()
	})
	for late := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			_ = conn.Close()
			return at("ssh"), at("relay")
		}
		if time.Now().After(late) {
			said, _ := os.ReadFile(at("log"))
			t.Skipf("sshd does not start here: %s", said)
		}
	}
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// Through a real ssh, whose process is killed at random moments, a log arrives byte for byte.
func TestOverSSH(t *testing.T) {
	r := newFarRun(t, 2000)
	r.serve(&engine{})
	program, relay := sshServer(t, r.Folder)
	s := SSH{Program: program, Host: "gpu", Remote: relay, Args: []string{"relay", "--", "it's; touch /tmp/no"}}
	var mu sync.Mutex
	var last Conn
	o := Options{Target: Target{"gpu", r.Name()}, Cache: t.TempDir(), Version: "test"}
	o.Dial = func(ctx context.Context, ask bool) (Conn, error) {
		c, err := s.Dial(ctx, ask)
		mu.Lock()
		defer mu.Unlock()
		last = c
		return c, err
	}
	saved := waits
	waits = []time.Duration{0}
	t.Cleanup(func() { waits = saved })
	m := open(t, o)
	for range 5 {
		time.Sleep(time.Duration(rand.IntN(300)) * time.Millisecond)
		r.steps(100)
		mu.Lock()
		_ = last.(*sshConn).cmd.Process.Kill()
		mu.Unlock()
	}
	wantSame(t, m, r, "events.jsonl", "config.toml")
	name := r.image(5, 300)
	eventually(t, "image", func() bool {
		got, err := m.Fetch(m.Folder(), name, 0)
		return err == nil && got == name
	})
	if ok, why := same(m.Folder(), r.Folder, name); !ok {
		t.Error(why)
	}
	reference := r.reference("aaaa", 10)
	eventually(t, "masks", func() bool { return m.Bring(t.Context(), m.Folder(), run.References) == nil })
	empty := core.Mask{Width: 10, Height: 10, Faulty: make([]bool, 100)}
	change, err := run.EditMask(reference, &empty)
	if err == nil {
		err = m.Apply(t.Context(), m.Folder(), change)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range []run.Folder{r.Folder, m.Folder()} {
		if got, edited := covers(t, f); !slices.Equal(got, []float64{0}) || edited != 1 {
			t.Errorf("an excluded image, %s: %v, %d by hand", f.Dir, got, edited)
		}
	}
	if list, err := List(t.Context(), Options{Target: o.Target, Version: "test", Dial: SSH{
		Program: program, Host: "gpu", Remote: relay, Args: []string{"relay", "--list"},
	}.Dial}); err != nil || string(list) != `[{"name":"x"}]` {
		t.Errorf("list: %s, %v", list, err)
	}
	for remote, want := range map[string]string{
		"/no/such/focusnfix": "gpu: no /no/such/focusnfix there",
		"/bin/true":          "gpu: no focusnfix relay answers there",
	} {
		_, err := List(t.Context(), Options{Target: o.Target, Version: "test", Dial: SSH{Program: program, Host: "gpu", Remote: remote}.Dial})
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v, want %q", remote, err, want)
		}
	}
}

// Nothing that a user or a stranger's configuration gives becomes an option or a command.
func TestCommand(t *testing.T) {
	s := SSH{Host: "gpu", Remote: "/opt/my focusnfix", Args: []string{"relay", "--runs=it's", "--", "$(reboot); x"}}
	line := s.command(false)
	i := slices.Index(line, "--")
	if line[0] != "ssh" || i < 0 || line[i+1] != "gpu" || len(line) != i+3 || !slices.Contains(line, "BatchMode=yes") {
		t.Errorf("%q", line)
	}
	if got, want := line[i+2], `'/opt/my focusnfix' relay '--runs=it'\''s' -- '$(reboot); x'`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if slices.Contains(s.command(true), "BatchMode=yes") {
		t.Error("a first link must be able to ask for a password")
	}
}

func TestParse(t *testing.T) {
	for text, want := range map[string]Target{
		"gpu:3aym": {"gpu", "3aym"}, "me@gpu:": {"me@gpu", ""}, "gpu:a/b": {"gpu", "a/b"}, "gpu:/runs/x:y": {"gpu", "/runs/x:y"},
		"[::1]:3aym": {"::1", "3aym"}, "me@[fe80::1%eth0]:x": {"me@fe80::1%eth0", "x"},
	} {
		if got, remote, err := Parse(text); got != want || !remote || err != nil {
			t.Errorf("%s: %+v, %v, %v", text, got, remote, err)
		}
	}
	for _, here := range []string{"", "3aym", "./a:b", "/runs/a:b", "runs/me@x:y", "[x"} {
		if got, remote, err := Parse(here); remote || err != nil {
			t.Errorf("%q: %+v, %v", here, got, err)
		}
	}
	for _, bad := range []string{":x", "-oProxyCommand=x:y", "me@:x", "a b:x", "$(x):y", "gpu:a\nb", "gpu:\x1b[2J", "'gpu':x"} {
		if got, remote, err := Parse(bad); err == nil {
			t.Errorf("%q: %+v, %v", bad, got, remote)
		}
	}
}

func TestCopyFolder(t *testing.T) {
	a, err := copyFolder("/c", "me@gpu", "/home/me/runs/2026-11-27-violence-3aym")
	if err != nil || a.Name() != "2026-11-27-violence-3aym" || !strings.HasPrefix(a.Dir, "/c/me@gpu/") {
		t.Errorf("%s, %v", a.Dir, err)
	}
	if b, err := copyFolder("/c", "../../etc", "/home/me/runs/x"); err != nil || !strings.HasPrefix(b.Dir, "/c/%2E.%2F..%2Fetc/") {
		t.Errorf("%s, %v", b.Dir, err)
	}
	for _, bad := range []string{"", "runs/x", "/", "/runs/..", "/runs/.hidden", "/runs/a\x1b[2J", `/runs/a\b`, "/runs/" + strings.Repeat("x", 300)} {
		if f, err := copyFolder("/c", "gpu", bad); err == nil {
			t.Errorf("%q: %s", bad, f.Dir)
		}
	}
}
