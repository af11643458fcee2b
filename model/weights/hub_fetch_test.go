package weights

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestPullContinuesAfterDroppedConnections(t *testing.T) {
	h, o := newHub(t)
	o.Retries = 1 // every attempt gets further, which starts the count again
	h.serve = func(w http.ResponseWriter, r *http.Request, path string, count int) bool {
		if path != bigPath || count >= 5 {
			return false
		}
		hijackAfter(t, w, r, h, 100_000)
		return true
	}
	dir := t.TempDir()
	var last PullProgress
	o.Progress = func(p PullProgress) { last = p }
	if err := Pull(t.Context(), "some/model", dir, o); err != nil {
		t.Fatal(err)
	}
	h.checkFolder(dir, plainFiles)
	if last.Done != last.Total {
		t.Errorf("progress ended at %+v", last)
	}
	if n := h.count(bigPath); n != 6 {
		t.Errorf("%d requests, want 6", n)
	}
	if !slices.Contains(h.requests, bigPath+" bytes=100000-") {
		t.Errorf("no request continued at byte 100000: %q", h.requests)
	}
}

func TestPullWhenTheHubIgnoresRange(t *testing.T) {
	h, o := newHub(t)
	h.serve = func(w http.ResponseWriter, r *http.Request, path string, count int) bool {
		if path != bigPath {
			return false
		}
		r.Header.Del("Range")
		if count == 0 {
			hijackAfter(t, w, r, h, 300_000)
		}
		h.send(w, r, h.files[path])
		return true
	}
	dir := t.TempDir()
	if err := Pull(t.Context(), "some/model", dir, o); err != nil {
		t.Fatal(err)
	}
	h.checkFolder(dir, plainFiles)
}

func TestPullDropsABadPart(t *testing.T) {
	for name, part := range map[string][]byte{"wrong": make([]byte, 5000), "too long": make([]byte, 2<<20), "whole but wrong": make([]byte, 1<<20)} {
		h, o := newHub(t)
		dir := t.TempDir()
		target := filepath.Join(dir, bigPath)
		if err := os.MkdirAll(filepath.Dir(target), 0o700); err != nil {
			t.Fatal(err)
		}
		f := hubFile{sha256: fmt.Sprintf("%x", sha256.Sum256(h.files[bigPath]))}
		if err := os.WriteFile(f.partName(target), part, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := Pull(t.Context(), "some/model", dir, o); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		h.checkFolder(dir, plainFiles)
	}
}

func TestPullRefusesWrongBytes(t *testing.T) {
	for _, path := range []string{bigPath, "vae/config.json"} { // by SHA-256 and by git's sum
		h, o := newHub(t)
		h.serve = func(w http.ResponseWriter, r *http.Request, asked string, _ int) bool {
			if asked != path {
				return false
			}
			h.send(w, r, bytes.ToUpper(h.files[path]))
			return true
		}
		dir := t.TempDir()
		err := Pull(t.Context(), "some/model", dir, o)
		if err == nil || err.Error() != path+": wrong bytes: the sum is not the hub's; is there a proxy in between, or a broken disk?" {
			t.Errorf("%v", err)
		}
		for _, name := range []string{path, "model_index.json"} {
			if _, err := os.Stat(filepath.Join(dir, name)); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s is there: %v", name, err)
			}
		}
		if n := h.count(path); n != 1 {
			t.Errorf("%s: %d requests, want 1", path, n)
		}
	}
}

func TestPullRefusesMoreBytesThanAnnounced(t *testing.T) {
	h, o := newHub(t)
	h.serve = func(w http.ResponseWriter, r *http.Request, path string, _ int) bool {
		if path != "vae/config.json" {
			return false
		}
		h.send(w, r, append(slices.Clone(h.files[path]), "more"...))
		return true
	}
	o.Retries = -1
	err := Pull(t.Context(), "some/model", t.TempDir(), o)
	if err == nil || err.Error() != "vae/config.json: gave up after 1 attempts: the hub sent more than the 26 bytes it announced" {
		t.Errorf("%v", err)
	}
}

func TestPullReadsRefusals(t *testing.T) {
	for _, c := range []struct {
		code  int
		token string
		want  string
	}{
		{401, "", "401 Unauthorized: misspelled, private or gated; if HUB/some/model asks you to accept a license, do so, then set HF_TOKEN to a token of your account"},
		{401, "x", "401 Unauthorized: HF_TOKEN is expired, or may not read this; HUB/settings/tokens makes another"},
		{403, "", "403 Forbidden: gated; accept the license at HUB/some/model, then set HF_TOKEN to a token of your account"},
		{403, "x", "403 Forbidden: gated; accept the license at HUB/some/model with the token's account, and let the token read gated repositories"},
		{404, "x", "404 Not Found: no such repository, revision or file"},
		{418, "x", "418 I'm a teapot"},
		{500, "x", "500 Internal Server Error"},
	} {
		t.Setenv("HF_TOKEN", c.token)
		h, o := newHub(t)
		o.Token, o.Retries = "", 2
		asked := 0
		h.list = func(w http.ResponseWriter) bool {
			asked++
			w.WriteHeader(c.code)
			return true
		}
		want, times := "some/model: the hub answered "+strings.ReplaceAll(c.want, "HUB", o.Endpoint), 1
		if c.code == 500 {
			want, times = "some/model: gave up after 3 attempts: the hub answered "+c.want, 3
		}
		if err := Pull(t.Context(), "some/model", t.TempDir(), o); err == nil || err.Error() != want || asked != times {
			t.Errorf("%d: %v after %d requests, want %s after %d", c.code, err, asked, want, times)
		}
	}
}

func TestPullComesBackWhenTheHubIsBusy(t *testing.T) {
	h, o := newHub(t)
	h.serve = func(w http.ResponseWriter, _ *http.Request, _ string, count int) bool {
		if count >= 2 {
			return false
		}
		w.Header().Set("Retry-After", "0")
		w.WriteHeader([]int{429, 503}[count])
		return true
	}
	dir := t.TempDir()
	if err := Pull(t.Context(), "some/model", dir, o); err != nil {
		t.Fatal(err)
	}
	h.checkFolder(dir, plainFiles)
}

func TestPullGivesUpASilentConnection(t *testing.T) {
	h, o := newHub(t)
	o.Stall = 200 * time.Millisecond
	h.serve = func(w http.ResponseWriter, r *http.Request, path string, count int) bool {
		if path == bigPath && count == 0 {
			h.hang(w, r, path)
			return true
		}
		return false
	}
	dir := t.TempDir()
	if err := Pull(t.Context(), "some/model", dir, o); err != nil {
		t.Fatal(err)
	}
	h.checkFolder(dir, plainFiles)
	if !slices.Contains(h.requests, bigPath+" bytes=524288-") {
		t.Errorf("no request continued at the middle: %q", h.requests)
	}
}

func TestPullStopsAndContinuesLater(t *testing.T) {
	h, o := newHub(t)
	dir := t.TempDir()
	part := hubFile{sha256: fmt.Sprintf("%x", sha256.Sum256(h.files[bigPath]))}.partName(filepath.Join(dir, bigPath))
	ctx, cancel := context.WithCancelCause(t.Context())
	reason := errors.New("stopped by hand")
	h.serve = func(w http.ResponseWriter, r *http.Request, path string, count int) bool {
		if path != bigPath || count > 0 {
			return false
		}
		go func() {
			for range 500 { // until half of the file is on the disk
				if info, err := os.Stat(part); err == nil && info.Size() >= 1<<19 {
					break
				}
				time.Sleep(10 * time.Millisecond)
			}
			cancel(reason)
		}()
		h.hang(w, r, path)
		return true
	}
	if err := Pull(ctx, "some/model", dir, o); !errors.Is(err, reason) {
		t.Fatalf("%v, want %v", err, reason)
	}
	if err := Pull(t.Context(), "some/model", dir, o); err != nil {
		t.Fatal(err)
	}
	h.checkFolder(dir, plainFiles)
	if !slices.Contains(h.requests, bigPath+" bytes=524288-") {
		t.Errorf("the second Pull did not continue: %q", h.requests)
	}
}

// The token goes to the hub alone: not to another host, not to another port of the same one, and the
// hub gets it again where a redirect comes back.
func TestPullKeepsTheTokenAtTheHub(t *testing.T) {
	for name, host := range map[string]string{"other host": "localhost", "other port": "127.0.0.1"} {
		h, o := newHub(t)
		storage := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Authorization") != "" {
				t.Errorf("%s: the storage got the token", name)
			}
			if r.URL.Path == "/back" {
				http.Redirect(w, r, o.Endpoint+"/some/model/resolve/"+fakeCommit+"/vae/config.json", http.StatusFound)
				return
			}
			h.send(w, r, h.files[bigPath])
		}))
		defer storage.Close()
		there := strings.Replace(storage.URL, "127.0.0.1", host, 1)
		h.serve = func(w http.ResponseWriter, r *http.Request, path string, count int) bool {
			if r.Header.Get("Authorization") != "Bearer secret" {
				t.Errorf("%s: %s: authorization %q", name, path, r.Header.Get("Authorization"))
			}
			switch {
			case path == bigPath:
				http.Redirect(w, r, there+"/x", http.StatusFound)
			case path == "vae/config.json" && count == 0:
				http.Redirect(w, r, there+"/back", http.StatusFound)
			default:
				return false
			}
			return true
		}
		dir := t.TempDir()
		if err := Pull(t.Context(), "some/model", dir, o); err != nil {
			t.Fatal(err)
		}
		h.checkFolder(dir, plainFiles)
	}
}

// roundTrip answers requests in place of a network.
type roundTrip func(*http.Request) *http.Response

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r), nil }

func TestTokenIsForOneOrigin(t *testing.T) {
	hub, err := url.Parse("https://hub.example")
	if err != nil {
		t.Fatal(err)
	}
	for address, want := range map[string]bool{
		"https://hub.example/x": true, "https://HUB.example:443/x": true, "http://hub.example/x": false, "https://hub.example:8443/x": false,
		"https://cdn.hub.example/x": false, "https://hub.example.evil/x": false, "http://hub.example:443/x": false, "https://hub.example@evil/x": false,
	} {
		got := false
		transport := &tokenTransport{roundTrip(func(r *http.Request) *http.Response {
			got = r.Header.Get("Authorization") != ""
			return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody}
		}), hub, "secret"}
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := transport.RoundTrip(request)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if got != want || request.Header.Get("Authorization") != "" {
			t.Errorf("%s: token sent %v, want %v", address, got, want)
		}
	}
}

// From https to http, a redirect is not followed at all.
func TestPullRefusesARedirectToHTTP(t *testing.T) {
	plain := httptest.NewServer(http.NotFoundHandler())
	defer plain.Close()
	hub := httptest.NewTLSServer(http.RedirectHandler(plain.URL, http.StatusFound))
	defer hub.Close()
	p, err := newPuller("some/model", t.TempDir(), PullOptions{Endpoint: hub.URL})
	if err != nil {
		t.Fatal(err)
	}
	p.client.Transport.(*tokenTransport).RoundTripper = hub.Client().Transport
	if _, err := p.list(t.Context()); err == nil || !strings.Contains(err.Error(), "refused to be led from https to http://") {
		t.Errorf("got %v", err)
	}
}

// A hub that ignores Range and cuts every answer at the same place is given up.
func TestPullGivesUpWithoutProgress(t *testing.T) {
	h, o := newHub(t)
	o.Retries = 3
	h.serve = func(w http.ResponseWriter, r *http.Request, path string, _ int) bool {
		if path != bigPath {
			return false
		}
		r.Header.Del("Range")
		hijackAfter(t, w, r, h, 300_000)
		return true
	}
	err := Pull(t.Context(), "some/model", t.TempDir(), o)
	if err == nil || !strings.Contains(err.Error(), "gave up after 4 attempts") || h.count(bigPath) != 4 {
		t.Errorf("%v after %d requests", err, h.count(bigPath))
	}
}

// However long a hub asks to wait, it is a minute at most, and the user is told.
func TestPullBoundsRetryAfter(t *testing.T) {
	h, o := newHub(t)
	ctx, cancel := context.WithCancel(t.Context())
	told := ""
	o.Waiting = func(why string, wait time.Duration) {
		told = fmt.Sprintf("%s: %s", why, wait)
		cancel()
	}
	h.list = func(w http.ResponseWriter) bool {
		w.Header().Set("Retry-After", "31536000")
		w.WriteHeader(http.StatusServiceUnavailable)
		return true
	}
	_ = Pull(ctx, "some/model", t.TempDir(), o)
	if told != "the hub answered 503 Service Unavailable and asks to wait 8760h0m0s: 1m0s" {
		t.Errorf("told %q", told)
	}
	now := time.Date(2026, 11, 27, 10, 0, 0, 0, time.UTC)
	for header, want := range map[string]time.Duration{
		"": 0, "x": 0, "-5": 0, "7": 7 * time.Second, "99999999999999999999": math.MaxInt32 * time.Second,
		"Fri, 27 Nov 2026 10:00:30 GMT": 30 * time.Second, "Fri, 27 Nov 2020 10:00:30 GMT": 0,
	} {
		if got := retryAfter(header, now); got != want {
			t.Errorf("Retry-After %q: %v, want %v", header, got, want)
		}
	}
}
