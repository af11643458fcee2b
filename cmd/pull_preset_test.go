package cmd

import (
	"bytes"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"focusnfix/model/nn/nntest"
	"focusnfix/model/torch/torchtest"
	"focusnfix/model/weights"
	"focusnfix/presets"
)

// sources are a hub with its storage on another address, and GitHub, in miniature: tiny weights in the layout of
// the real files.
type sources struct {
	t     *testing.T
	repos map[string]map[string][]byte // files by repository
	hub   *httptest.Server
	cdn   *httptest.Server
	gated string // a repository that wants a token
	state int    // what it answers to another token

	mu     sync.Mutex
	busy   map[string]bool // paths that were answered with 429 once
	ranges int             // requests that went on where one broke off
	leaked int             // requests to the storage that carried a token
}

const hubToken = "hf_secret"

func newSources(t *testing.T) *sources {
	t.Helper()
	s := &sources{t: t, repos: map[string]map[string][]byte{}, busy: map[string]bool{}}
	clip := clipFiles(t)
	s.repos["stable-diffusion-v1-5/stable-diffusion-v1-5"] = readTree(t, tinyModel)
	s.repos["openai/clip-vit-large-patch14"] = clip
	s.repos["yuvalkirstain/PickScore_v1"] = pickled(t, clip)
	s.cdn = httptest.NewServer(http.HandlerFunc(s.store))
	s.hub = httptest.NewServer(http.HandlerFunc(s.answer))
	t.Cleanup(s.cdn.Close)
	t.Cleanup(s.hub.Close)
	t.Setenv("HF_ENDPOINT", s.hub.URL)
	t.Setenv("GITHUB_API_URL", s.hub.URL+"/github")
	t.Setenv("HF_TOKEN", hubToken)
	return s
}

func readTree(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	err := fs.WalkDir(os.DirFS(dir), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		files[path], err = os.ReadFile(filepath.Join(dir, path))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// clipFiles is a whole CLIP with its tokenizer.
func clipFiles(t *testing.T) map[string][]byte {
	t.Helper()
	text, err := os.ReadFile("../model/reward/testdata/ref/rewards.json")
	if err != nil {
		t.Fatal(err)
	}
	var reference struct {
		Cases map[string]struct{ Shapes map[string][]int64 }
	}
	if err := json.Unmarshal(text, &reference); err != nil {
		t.Fatal(err)
	}
	var entries []weights.Entry
	torchtest.Run(t, func() {
		for name, shape := range reference.Cases["clip"].Shapes {
			data := make([]byte, 4) // logit_scale, which is not read for what it is
			if len(shape) > 0 {
				data = nntest.Weight(name, shape...).Bytes()
			}
			entries = append(entries, weights.Entry{Name: name, DType: weights.F32, Shape: shape, Data: weights.FromBytes(data)})
		}
	})
	path := filepath.Join(t.TempDir(), "model.safetensors")
	if err := weights.Write(path, nil, entries); err != nil {
		t.Fatal(err)
	}
	files := readTree(t, "../model/clip/testdata/learned")
	for name, data := range readTree(t, "../model/reward/testdata/ref/clip") {
		files[name] = data
	}
	files["model.safetensors"] = readTree(t, filepath.Dir(path))["model.safetensors"]
	files["pytorch_model.bin"] = []byte("\x80\x02never fetched")
	return files
}

// pickled is a repository that has its weights as a PyTorch checkpoint only.
func pickled(t *testing.T, files map[string][]byte) map[string][]byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "model.safetensors")
	if err := os.WriteFile(path, files["model.safetensors"], 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := weights.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	checkpoint := []byte("\x80\x03}(")
	for _, tensor := range f.Tensors {
		checkpoint = append(checkpoint, 'X')
		checkpoint = binary.LittleEndian.AppendUint32(checkpoint, uint32(len(tensor.Name)))
		checkpoint = append(append(checkpoint, tensor.Name...), array(tensor.Shape, tensor.Bytes)...)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	only := maps.Clone(files)
	delete(only, "model.safetensors")
	only["pytorch_model.bin"] = append(checkpoint, "u."...)
	return only
}

// prompts is what Q16 has instead of prompts: two vectors in a pickled numpy array.
func prompts(width int) []byte {
	var data []byte
	for i := range 2 * width {
		data = binary.LittleEndian.AppendUint32(data, math.Float32bits(float32(math.Sin(float64(i)))))
	}
	return slices.Concat([]byte("\x80\x03"), array([]int64{2, int64(width)}, data), []byte("."))
}

// array is a numpy array of float32, as protocol 3 of pickle has it.
func array(shape []int64, data []byte) []byte {
	out := []byte("cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\x00\x85C\x01btR(K\x01(")
	for _, n := range shape {
		out = binary.LittleEndian.AppendUint32(append(out, 'J'), uint32(n))
	}
	out = append(out, "tcnumpy\ndtype\n(X\x02\x00\x00\x00f4K\x00K\x01tR(K\x03X\x01\x00\x00\x00<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89B"...)
	out = binary.LittleEndian.AppendUint32(out, uint32(len(data)))
	return append(append(out, data...), "tb"...)
}

func blob(data []byte) string {
	return fmt.Sprintf("%x", sha1.Sum(append(fmt.Appendf(nil, "blob %d\x00", len(data)), data...)))
}

// answer is the hub and GitHub.
func (s *sources) answer(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.URL.Path, "/github/") || strings.HasPrefix(r.URL.Path, "/raw/") || strings.HasPrefix(r.URL.Path, "/media/") {
		s.github(w, r)
		return
	}
	rest, listing := strings.CutPrefix(r.URL.Path, "/api/models/")
	for repo, files := range s.repos {
		if !strings.HasPrefix(strings.TrimPrefix(rest, "/"), repo+"/") {
			continue
		}
		if repo == s.gated && r.Header.Get("Authorization") != "Bearer "+hubToken {
			w.WriteHeader(s.state)
			return
		}
		if listing {
			s.list(w, files)
			return
		}
		path := strings.TrimPrefix(r.URL.Path, "/"+repo+"/resolve/abc/")
		s.mu.Lock()
		first := !s.busy[r.URL.Path]
		s.busy[r.URL.Path] = true
		s.mu.Unlock()
		if first && strings.HasSuffix(path, "config.json") {
			w.Header().Set("Retry-After", "0")
			w.WriteHeader(http.StatusTooManyRequests)
			return
		}
		w.Header().Set("X-Linked-Etag", `"x"`)
		http.Redirect(w, r, s.cdn.URL+"/"+repo+"/"+path, http.StatusFound)
		return
	}
	http.NotFound(w, r)
}

func (s *sources) list(w http.ResponseWriter, files map[string][]byte) {
	siblings := []any{}
	for name, data := range files {
		entry := map[string]any{"rfilename": name, "size": len(data), "blobId": blob(data)}
		if strings.HasSuffix(name, ".safetensors") {
			entry["blobId"], entry["lfs"] = "0bad", map[string]any{"sha256": fmt.Sprintf("%x", sha256.Sum256(data))}
		}
		siblings = append(siblings, entry)
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"sha": "abc", "siblings": siblings, "cardData": map[string]any{"license": "mit"}})
}

// store is the storage that the hub leads to. It breaks the first answer to every large file off.
func (s *sources) store(w http.ResponseWriter, r *http.Request) {
	parts := strings.SplitN(strings.TrimPrefix(r.URL.Path, "/"), "/", 3)
	data, ok := s.repos[parts[0]+"/"+parts[1]][parts[2]]
	s.mu.Lock()
	first := !s.busy["cdn"+r.URL.Path]
	s.busy["cdn"+r.URL.Path] = true
	if r.Header.Get("Authorization") != "" {
		s.leaked++
	}
	if r.Header.Get("Range") != "" {
		s.ranges++
	}
	s.mu.Unlock()
	switch {
	case !ok:
		http.NotFound(w, r)
	case first && len(data) > 1<<16:
		w.Header().Set("Content-Length", fmt.Sprint(len(data)))
		_, _ = w.Write(data[:len(data)/2])
	default:
		w.Header().Set("ETag", `"`+blob(data)+`"`)
		http.ServeContent(w, r, "", time.Unix(1, 0), bytes.NewReader(data))
	}
}

// github answers for Q16's prompts, which lie in git LFS.
func (s *sources) github(w http.ResponseWriter, r *http.Request) {
	const file = "/ml-research/Q16/main/data/ViT-L-14/prompts.p"
	data := prompts(24)
	pointer := fmt.Appendf(nil, "version https://git-lfs.github.com/spec/v1\noid sha256:%x\nsize %d\n", sha256.Sum256(data), len(data))
	switch r.URL.Path {
	case "/github/repos/ml-research/Q16/contents/data/ViT-L-14/prompts.p":
		_ = json.NewEncoder(w).Encode(map[string]any{"sha": blob(pointer), "size": len(pointer), "download_url": s.hub.URL + "/raw" + file})
	case "/raw" + file:
		_, _ = w.Write(pointer)
	case "/media/raw" + file:
		_, _ = w.Write(data)
	default:
		http.NotFound(w, r)
	}
}

// From nothing to two steps of training: what the preset needs is said, shown, fetched over a hub that is busy,
// breaks off and leads elsewhere, converted, and trained with.
func TestPullPreset(t *testing.T) {
	torchtest.Need(t)
	s := newSources(t)
	dir := t.TempDir()
	t.Chdir(dir)
	ran := func(want int, line string) (stdout, stderr string) {
		t.Helper()
		code, stdout, stderr := runCommand(strings.Fields(line)...)
		if code != want {
			t.Fatalf("%s: exit code %d: %s", line, code, stderr)
		}
		return stdout, stderr
	}
	_, stderr := ran(exitFailed, "start -p sd1-violence")
	for _, want := range []string{"not in this folder: stable-diffusion-v1-5, q16.safetensors, clip-vit-large-patch14, PickScore_v1", "focusnfix pull -p sd1-violence"} {
		if !strings.Contains(stderr, want) {
			t.Errorf("start: %s, want %s", stderr, want)
		}
	}
	stdout, _ := ran(exitDone, "pull -p sd1-violence --dry-run")
	for _, want := range []string{"stabl", "github.com/ml-research/Q16/data/ViT-L-14/prompts.p", "mit", "to download: ", "PickScore_v1: pytorch_model.bin becomes safetensors; nothing in it is executed"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("dry run: %s, want %s", stdout, want)
		}
	}
	if left, _ := os.ReadDir("."); len(left) > 0 {
		t.Errorf("the dry run left %v", left)
	}
	stdout, _ = ran(exitDone, "pull -p sd1-violence --yes")
	if !strings.Contains(stdout, "ready: focusnfix start -p sd1-violence") {
		t.Errorf("pull: %s", stdout)
	}
	if s.ranges == 0 || s.leaked > 0 {
		t.Errorf("%d requests went on where one broke off, %d told the storage the token", s.ranges, s.leaked)
	}
	if left, _ := filepath.Glob("*/pytorch_model.bin"); len(left) > 0 {
		t.Errorf("fetched %v", left)
	}
	stdout, _ = ran(exitDone, "pull -p sd1-violence --dry-run")
	if strings.Count(stdout, " here") != 4 || !strings.Contains(stdout, "to download: 0.0 kB") {
		t.Errorf("afterwards: %s", stdout)
	}
	_, stderr = ran(exitDone, "train -p sd1-violence --steps 2 --run there --set sample.size=64x64 --set sample.num_steps=2 --set lora.rank=2 "+
		"--set train.accumulate=1 --set train.batch=1 --set train.images_every=10 --set model.device=cpu")
	if !strings.Contains(stderr, "done at step 2 of 2") {
		t.Errorf("training: %s", stderr)
	}
}

// What a hub refuses is said with what to do about it.
func TestPullPresetRefused(t *testing.T) {
	torchtest.Need(t)
	s := newSources(t)
	t.Chdir(t.TempDir())
	s.gated = "yuvalkirstain/PickScore_v1"
	page := s.hub.URL + "/yuvalkirstain/PickScore_v1"
	for _, c := range []struct {
		token string
		state int
		want  string
	}{
		{"", 401, "PickScore_v1: yuvalkirstain/PickScore_v1: the hub answered 401 Unauthorized: misspelled, private or gated; if " + page},
		{"", 403, "gated; accept the license at " + page + ", then set HF_TOKEN to a token of your account"},
		{"other", 401, "HF_TOKEN is expired, or may not read this; " + s.hub.URL + "/settings/tokens makes another"},
		{"other", 403, "gated; accept the license at " + page + " with the token's account"},
	} {
		s.state = c.state
		t.Setenv("HF_TOKEN", c.token)
		if code, _, stderr := runCommand("pull", "-p", "sd1-violence", "--yes"); code != exitFailed || !strings.Contains(stderr, c.want) {
			t.Errorf("token %q, %d: exit code %d, %s, want %s", c.token, c.state, code, stderr, c.want)
		}
	}
	for line, want := range map[string]string{
		"pull":                      "or -p PRESET",
		"pull a/b --dry-run":        "belong to -p PRESET",
		"pull a/b -p sd1-violence":  "goes without a repository",
		"pull -p nothing":           `no preset "nothing"`,
		"pull -p sd1-violence -o x": "--to names the folder",
	} {
		if code, _, stderr := runCommand(strings.Fields(line)...); code != exitUsage || !strings.Contains(stderr, want) {
			t.Errorf("%s: exit code %d, %s, want %s", line, code, stderr, want)
		}
	}
	if code, stdout, _ := runCommand("pull", "-p", "violence"); code != exitDone || !strings.Contains(stdout, "needs no files") {
		t.Errorf("exit code %d, %s", code, stdout)
	}
}

// Whatever a preset names can be fetched.
func TestPresetsAreSupplied(t *testing.T) {
	for _, name := range presets.Names() {
		config, _, err := loadConfig(name, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range namedBy(config) {
			if _, ok := supplyOf(file); !ok {
				t.Errorf("%s: no source for %s", name, file)
			}
		}
	}
}
