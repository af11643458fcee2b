package weights

import (
	"encoding/binary"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestPullFetchesWhatIsNeeded(t *testing.T) {
	h, o := newHub(t)
	dir := t.TempDir()
	var last PullProgress
	o.Progress = func(p PullProgress) { last = p }
	if err := Pull(t.Context(), "some/model", dir, o); err != nil {
		t.Fatal(err)
	}
	h.checkFolder(dir, plainFiles)
	if last.Done != last.Total || last.Total < 1<<20 {
		t.Errorf("progress ended at %+v", last)
	}
	if final := h.requests[len(h.requests)-1]; final != "model_index.json " {
		t.Errorf("the last request was %s, want model_index.json", final)
	}
	before := len(h.requests)
	if err := os.WriteFile(filepath.Join(dir, "vae/config.json"), []byte("edited"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Pull(t.Context(), "some/model", dir, o); err != nil {
		t.Fatal(err)
	}
	h.checkFolder(dir, plainFiles)
	if again := h.requests[before:]; !slices.Equal(again, []string{"vae/config.json "}) {
		t.Errorf("fetched again: %q, want the edited file alone", again)
	}

	o.Variant = "fp16"
	half := t.TempDir()
	if err := Pull(t.Context(), "some/model", half, o); err != nil {
		t.Fatal(err)
	}
	want := slices.DeleteFunc(slices.Clone(plainFiles), func(f string) bool {
		return strings.HasPrefix(f, "text_encoder/model") || f == bigPath
	})
	want = append(want, "text_encoder/model.fp16.safetensors", "unet/diffusion_pytorch_model.fp16.safetensors")
	slices.Sort(want)
	h.checkFolder(half, want)
}

func TestPullWithoutWeights(t *testing.T) {
	h, o := newHub(t)
	o.NoWeights = true
	dir := t.TempDir()
	if err := Pull(t.Context(), "some/model", dir, o); err != nil {
		t.Fatal(err)
	}
	for path := range h.files {
		if strings.Contains(path, ".safetensors") && h.count(path) > 0 {
			t.Errorf("fetched %s", path)
		}
	}
	for _, path := range []string{"model_index.json", "unet/config.json", "tokenizer/vocab.json"} {
		if h.count(path) != 1 {
			t.Errorf("fetched %s %d times, want once", path, h.count(path))
		}
	}
}

func TestPullTakesTheTopOfOtherRepositories(t *testing.T) {
	h, o := newHub(t)
	h.files = map[string][]byte{}
	for _, path := range strings.Fields("config.json model.safetensors pytorch_model.bin tf_model.h5 vocab.json unet/config.json") {
		h.files[path] = []byte(path)
	}
	dir := t.TempDir()
	if err := Pull(t.Context(), "some/model", dir, o); err != nil {
		t.Fatal(err)
	}
	h.checkFolder(dir, []string{"config.json", "model.safetensors", "vocab.json"})
}

func TestPullRefusesWhatItCannotUse(t *testing.T) {
	for _, c := range []struct{ repo, files, want string }{
		{"../etc", "", `"../etc": not the name of a repository, want owner/name`},
		{"a/b/c", "", `"a/b/c": not the name of a repository, want owner/name`},
		{"some/model", "../x.safetensors", `some/model: the hub names a file "../x.safetensors", which is refused`},
		{"some/model", "/etc/x.safetensors", `some/model: the hub names a file "/etc/x.safetensors", which is refused`},
		{"some/model", "README.md", "some/model: holds no model that can be read: no model_index.json, no .safetensors, no PyTorch checkpoint"},
		{"some/model", "training_args.bin optimizer.pt", "some/model: holds no model that can be read: no model_index.json, no .safetensors, no PyTorch checkpoint"},
		{"some/model", "v1.ckpt v2.ckpt", "some/model: holds several PyTorch checkpoints (v1.ckpt, v2.ckpt) and no safetensors; download one and use focusnfix convert"},
	} {
		h, o := newHub(t)
		h.files = map[string][]byte{}
		for _, path := range strings.Fields(c.files) {
			h.files[path] = []byte(path)
		}
		if err := Pull(t.Context(), c.repo, t.TempDir(), o); err == nil || err.Error() != c.want {
			t.Errorf("%s %s: %v, want %s", c.repo, c.files, err, c.want)
		}
	}
	for answer, want := range map[string]string{
		"<html>": "does not answer as a hub does",
		`{"siblings":[{"rfilename":"model.safetensors","lfs":{"sha256":"../../x"}}]}`: `a file "model.safetensors", which is refused`,
	} {
		h, o := newHub(t)
		h.list = func(w http.ResponseWriter) bool {
			fmt.Fprint(w, answer)
			return true
		}
		if err := Pull(t.Context(), "some/model", t.TempDir(), o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", answer, err, want)
		}
	}
}

// A variant that no file has is refused before anything is fetched; one that some parts lack is not.
func TestPullVariantThatIsNowhere(t *testing.T) {
	h, o := newHub(t)
	dir := filepath.Join(t.TempDir(), "model")
	o.Variant = "fp8"
	if err := Pull(t.Context(), "some/model", dir, o); err == nil || err.Error() != `some/model: no files of variant "fp8"` {
		t.Errorf("%v", err)
	}
	if len(h.requests) > 0 {
		t.Errorf("fetched %v", h.requests)
	}
	o.Variant = "fp16"
	if err := Pull(t.Context(), "some/model", dir, o); err != nil {
		t.Error(err)
	}
}

// Where there are only PyTorch checkpoints, they are said, fetched and converted, and not fetched again.
func TestPullConvertsCheckpoints(t *testing.T) {
	named := func(name string, values ...float32) []byte {
		return slices.Concat([]byte("\x80\x03}(X"), binary.LittleEndian.AppendUint32(nil, uint32(len(name))), []byte(name), arrayPickle(true, values...), []byte("u."))
	}
	for _, c := range []struct {
		name, variant string
		files         map[string][]byte
		want          map[string]string // element type and values of the first tensor of each file
	}{
		{
			"transformers", "",
			map[string][]byte{"config.json": []byte("{}"), "pytorch_model.bin": named("w", 1, 2), "training_args.bin": []byte("x"), "flax_model.msgpack": nil},
			map[string]string{"model.safetensors": "w [1 2]"},
		},
		{
			"variant", "fp16",
			map[string][]byte{
				"model_index.json":                           []byte("{}"),
				"unet/diffusion_pytorch_model.bin":           named("w", 1),
				"unet/diffusion_pytorch_model.fp16.bin":      named("w", 2),
				"unet/diffusion_pytorch_model.non_ema.bin":   named("w", 3),
				"text_encoder/pytorch_model.fp16.bin":        named("t", 4),
				"vae/diffusion_pytorch_model.fp16.bin":       []byte("never fetched"),
				"vae/diffusion_pytorch_model.safetensors":    pack(`{"v":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`, 4),
				"scheduler/scheduler_config.json":            []byte("{}"),
				"safety_checker/pytorch_model.bin":           []byte("never fetched"),
				"feature_extractor/preprocessor_config.json": []byte("{}"),
			},
			map[string]string{
				"unet/diffusion_pytorch_model.fp16.safetensors": "w [2]", "text_encoder/model.fp16.safetensors": "t [4]",
				"vae/diffusion_pytorch_model.safetensors": "v [0]",
			},
		},
		{
			"shards", "",
			map[string][]byte{
				"pytorch_model.bin.index.json":     []byte(`{"metadata":{},"weight_map":{"a":"pytorch_model-00001-of-00002.bin","b":"pytorch_model-00002-of-00002.bin"}}`),
				"pytorch_model-00001-of-00002.bin": named("a", 6), "pytorch_model-00002-of-00002.bin": named("b", 7),
			},
			map[string]string{"model.safetensors.index.json": "a [6]"},
		},
		{"alone", "", map[string][]byte{"v1-5.ckpt": named("w", 8)}, map[string]string{"v1-5.safetensors": "w [8]"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			h, o := newHub(t)
			h.files, h.large = c.files, map[string]bool{}
			said := 0
			o.Variant, o.Converting = c.variant, func(file, becomes string) {
				if _, ok := c.files[file]; !ok || !strings.Contains(becomes, ".safetensors") {
					t.Errorf("%s becomes %s", file, becomes)
				}
				said++
			}
			dir := t.TempDir()
			for range 2 {
				if err := Pull(t.Context(), "some/model", dir, o); err != nil {
					t.Fatal(err)
				}
			}
			for name, want := range c.want {
				f := open(t, filepath.Join(dir, name))
				values, err := f.Tensors[0].Float32s()
				if got := fmt.Sprint(f.Tensors[0].Name, " ", values); err != nil || got != want {
					t.Errorf("%s: %s, %v, want %s", name, got, err, want)
				}
			}
			for path, data := range c.files {
				if n := h.count(path); n > 1 || n > 0 && string(data) == "never fetched" {
					t.Errorf("%s: fetched %d times", path, n)
				}
			}
			if said == 0 {
				t.Error("nothing is said of the conversion")
			}
			err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
				if strings.HasSuffix(path, ".bin") || strings.HasSuffix(path, ".ckpt") || strings.Contains(path, ".focusnfix-") {
					t.Errorf("left behind: %s", path)
				}
				return err
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	h, o := newHub(t)
	h.files = map[string][]byte{"pytorch_model.bin": []byte("\x80\x02cposix\nsystem\n(X\x02\x00\x00\x00lstR.")}
	if err := Pull(t.Context(), "some/model", t.TempDir(), o); err == nil || !strings.Contains(err.Error(), "asks Python for posix.system") {
		t.Errorf("os.system: %v", err)
	}
}
