package cmd

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// dropping serves the tiny model as a hub does and breaks the first answer to every large file off in
// the middle.
func dropping(t *testing.T) *httptest.Server {
	t.Helper()
	type sibling struct {
		Name string            `json:"rfilename"`
		Size int               `json:"size"`
		LFS  map[string]string `json:"lfs"`
	}
	files, list := map[string][]byte{}, []sibling{}
	err := fs.WalkDir(os.DirFS(tinyModel), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(filepath.Join(tinyModel, path))
		files[path] = data
		list = append(list, sibling{path, len(data), map[string]string{"sha256": fmt.Sprintf("%x", sha256.Sum256(data))}})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	broken := map[string]bool{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/api/models/owner/tiny/revision/") {
			_ = json.NewEncoder(w).Encode(map[string]any{"sha": "abc", "siblings": list})
			return
		}
		path := strings.TrimPrefix(r.URL.Path, "/owner/tiny/resolve/abc/")
		data, ok := files[path]
		mu.Lock()
		first := !broken[path]
		broken[path] = true
		mu.Unlock()
		switch {
		case !ok:
			http.NotFound(w, r)
		case first && len(data) > 1<<16:
			w.Header().Set("Content-Length", fmt.Sprint(len(data)))
			_, _ = w.Write(data[:len(data)/2])
		default:
			http.ServeContent(w, r, "", time.Unix(1, 0), bytes.NewReader(data))
		}
	}))
	t.Cleanup(server.Close)
	return server
}

// A pulled folder is the served one, though connections drop, and what lies in it can be drawn with.
func TestPull(t *testing.T) {
	t.Setenv("HF_ENDPOINT", dropping(t).URL)
	t.Setenv("HF_TOKEN", "")
	dir := filepath.Join(t.TempDir(), "tiny")
	code, stdout, stderr := runCommand("pull", "owner/tiny", "-o", dir)
	if code != exitDone || strings.TrimSpace(stdout) != dir {
		t.Fatalf("exit code %d, %q: %s", code, stdout, stderr)
	}
	for _, file := range []string{"model_index.json", "unet/diffusion_pytorch_model.safetensors", "tokenizer/vocab.json", "scheduler/scheduler_config.json"} {
		got, err := os.ReadFile(filepath.Join(dir, file))
		if err != nil {
			t.Fatal(err)
		}
		want, err := os.ReadFile(filepath.Join(tinyModel, file))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s differs, %v", file, err)
		}
	}
	if !strings.Contains(stderr, "1.1 MB of 1.1 MB") {
		t.Errorf("progress %q, want it to end at the whole", stderr)
	}
}

func TestPullRefuses(t *testing.T) {
	t.Setenv("HF_ENDPOINT", dropping(t).URL)
	code, _, stderr := runCommand("pull", "owner/other", "-o", filepath.Join(t.TempDir(), "x"))
	if code != exitFailed || !strings.Contains(stderr, "owner/other") {
		t.Errorf("exit code %d: %s", code, stderr)
	}
}
