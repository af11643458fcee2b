package weights

import (
	"bytes"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// fakeHub serves files as a hub does, and misbehaves on demand.
type fakeHub struct {
	t     *testing.T
	files map[string][]byte
	large map[string]bool // listed with SHA-256, as files in LFS are

	mu       sync.Mutex
	requests []string // "PATH bytes=N-" of every file
	served   int64

	// serve may answer in place of the hub; false leaves it to the hub.
	serve func(w http.ResponseWriter, r *http.Request, path string, count int) bool
	list  func(w http.ResponseWriter) bool
}

const fakeCommit = "0123456789abcdef0123456789abcdef01234567"

func (h *fakeHub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/api/models/some/model/revision/main" && r.URL.RawQuery == "blobs=true" {
		if h.list == nil || !h.list(w) {
			h.writeList(w)
		}
		return
	}
	path, ok := strings.CutPrefix(r.URL.Path, "/some/model/resolve/"+fakeCommit+"/")
	data, known := h.files[path]
	if !ok || !known {
		http.NotFound(w, r)
		return
	}
	h.mu.Lock()
	count := 0
	for _, old := range h.requests {
		if strings.HasPrefix(old, path+" ") {
			count++
		}
	}
	h.requests = append(h.requests, path+" "+r.Header.Get("Range"))
	h.mu.Unlock()
	if h.serve != nil && h.serve(w, r, path, count) {
		return
	}
	h.send(w, r, data)
}

// send answers with data, or the range of it that was asked for.
func (h *fakeHub) send(w http.ResponseWriter, r *http.Request, data []byte) {
	status := http.StatusOK
	if from, ok := strings.CutPrefix(r.Header.Get("Range"), "bytes="); ok {
		start, err := strconv.Atoi(strings.TrimSuffix(from, "-"))
		if err != nil || start >= len(data) {
			w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
			return
		}
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", start, len(data)-1, len(data)))
		data, status = data[start:], http.StatusPartialContent
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(data)))
	w.WriteHeader(status)
	n, _ := w.Write(data)
	h.mu.Lock()
	h.served += int64(n)
	h.mu.Unlock()
}

func (h *fakeHub) writeList(w http.ResponseWriter) {
	siblings := []any{}
	for _, path := range sortedKeys(h.files) {
		data := h.files[path]
		s := map[string]any{"rfilename": path, "size": len(data)}
		s["blobId"] = fmt.Sprintf("%x", sha1.Sum(append(fmt.Appendf(nil, "blob %d\x00", len(data)), data...)))
		if h.large[path] {
			s["blobId"] = "0badc0de" // of the pointer
			s["lfs"] = map[string]any{"sha256": fmt.Sprintf("%x", sha256.Sum256(data)), "size": len(data)}
		}
		siblings = append(siblings, s)
	}
	if err := json.NewEncoder(w).Encode(map[string]any{"sha": fakeCommit, "siblings": siblings}); err != nil {
		h.t.Error(err)
	}
}

// count is the number of requests for path.
func (h *fakeHub) count(path string) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	n := 0
	for _, r := range h.requests {
		if strings.HasPrefix(r, path+" ") {
			n++
		}
	}
	return n
}

const bigPath = "unet/diffusion_pytorch_model.safetensors"

// newHub serves a diffusers folder with more in it than is needed.
func newHub(t *testing.T) (*fakeHub, PullOptions) {
	t.Helper()
	big := bytes.Repeat([]byte("0123456789abcdef"), 1<<16) // 1 MiB
	h := &fakeHub{t: t, files: map[string][]byte{}, large: map[string]bool{}}
	for _, path := range strings.Fields(`
		model_index.json README.md v1-5.safetensors v1-5.ckpt .gitattributes
		unet/config.json unet/diffusion_pytorch_model.bin unet/diffusion_pytorch_model.fp16.safetensors
		vae/config.json vae/diffusion_pytorch_model.safetensors
		text_encoder/config.json text_encoder/model.safetensors.index.json text_encoder/model.fp16.safetensors
		text_encoder/model-00001-of-00002.safetensors text_encoder/model-00002-of-00002.safetensors
		text_encoder/model.onnx text_encoder/flax_model.msgpack
		tokenizer/vocab.json tokenizer/merges.txt tokenizer/special_tokens_map.json tokenizer/tokenizer_config.json
		scheduler/scheduler_config.json safety_checker/model.safetensors feature_extractor/preprocessor_config.json`) {
		h.files[path] = []byte("content of " + path)
		h.large[path] = strings.HasSuffix(path, ".safetensors")
	}
	h.files[bigPath], h.large[bigPath] = big, true
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return h, PullOptions{Endpoint: server.URL, Token: "secret", Backoff: time.Millisecond}
}

var plainFiles = strings.Fields(`
	model_index.json scheduler/scheduler_config.json text_encoder/config.json
	text_encoder/model-00001-of-00002.safetensors text_encoder/model-00002-of-00002.safetensors
	text_encoder/model.safetensors.index.json
	tokenizer/merges.txt tokenizer/special_tokens_map.json tokenizer/tokenizer_config.json tokenizer/vocab.json
	unet/config.json unet/diffusion_pytorch_model.safetensors vae/config.json vae/diffusion_pytorch_model.safetensors`)

// checkFolder compares dir with the files of the hub that should be in it.
func (h *fakeHub) checkFolder(dir string, want []string) {
	h.t.Helper()
	var got []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(dir, path)
		got = append(got, name)
		if data, readErr := os.ReadFile(path); readErr != nil || !bytes.Equal(data, h.files[name]) {
			h.t.Errorf("%s differs from the hub's, %v", name, readErr)
		}
		return err
	})
	if err != nil {
		h.t.Fatal(err)
	}
	if !slices.Equal(got, want) {
		h.t.Errorf("files %q, want %q", got, want)
	}
}

// hijackAfter sends n bytes of what was asked for and cuts the line.
func hijackAfter(t *testing.T, w http.ResponseWriter, r *http.Request, h *fakeHub, n int) {
	recorder := httptest.NewRecorder()
	h.send(recorder, r, h.files[bigPath])
	for key, values := range recorder.Header() {
		w.Header()[key] = values
	}
	w.WriteHeader(recorder.Code)
	if _, err := w.Write(recorder.Body.Bytes()[:n]); err != nil {
		t.Error(err)
	}
	if err := http.NewResponseController(w).Flush(); err != nil {
		t.Error(err)
	}
	panic(http.ErrAbortHandler)
}

// hang sends the first half of what was asked for and then nothing.
func (h *fakeHub) hang(w http.ResponseWriter, r *http.Request, path string) {
	w.Header().Set("Content-Length", strconv.Itoa(len(h.files[path])))
	if _, err := w.Write(h.files[path][:len(h.files[path])/2]); err != nil {
		h.t.Error(err)
	}
	if err := http.NewResponseController(w).Flush(); err != nil {
		h.t.Error(err)
	}
	<-r.Context().Done() // until the client goes away
}
