// Package flowtest writes tiny models of the families that model/flow draws with, for tests.
package flowtest

import (
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"focusnfix/model/nn/nntest"
	"focusnfix/model/torch/torchtest"
	"focusnfix/model/weights"
)

// References is testdata/ref/pipelines.json, made by the script beside it.
type References struct {
	Models map[string]Reference
	Levels map[string]struct {
		Config json.RawMessage
		Steps  int
		Tokens int64
		Levels []float64
	}
}

// Reference is a tiny model and what diffusers drew with it.
type Reference struct {
	model string // the folder model of the repository

	ClassName string `json:"class_name"`
	Scheduler json.RawMessage
	Parts     map[string]struct {
		Config json.RawMessage
		File   string
		Shapes map[string][]int64
	}
	Cases []struct {
		Name          string
		Prompts       []string
		Seeds         []uint64
		Height, Width int64
		NumSteps      int      `json:"num_inference_steps"`
		Guidance      float64  `json:"guidance_scale"`
		Negative      []string `json:"negative_prompt"`
	}
}

// Read reads the references; model is the way to the repository's folder of that name.
func Read(t testing.TB, model string) References {
	t.Helper()
	var g References
	text, err := os.ReadFile(filepath.Join(model, "flow/testdata/ref/pipelines.json"))
	if err == nil {
		err = json.Unmarshal(text, &g)
	}
	if err != nil {
		t.Fatal(err)
	}
	for name, r := range g.Models {
		r.model = model
		g.Models[name] = r
	}
	return g
}

// WriteFolder writes the model as a diffusers folder with hashed weights.
func (r Reference) WriteFolder(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	write := func(text []byte, names ...string) {
		t.Helper()
		path := filepath.Join(append([]string{dir}, names...)...)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, text, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	write([]byte(`{"_class_name":"`+r.ClassName+`"}`), "model_index.json")
	write(r.Scheduler, "scheduler", "scheduler_config.json")
	for name, part := range r.Parts {
		write(part.Config, name, "config.json")
		var entries []weights.Entry
		torchtest.Run(t, func() {
			for key, shape := range part.Shapes {
				bytes := nntest.Weight(name+"."+key, shape...).Bytes()
				entries = append(entries, weights.Entry{Name: key, DType: weights.F32, Shape: shape, Data: weights.FromBytes(bytes)})
			}
		})
		if err := weights.Write(filepath.Join(dir, name, part.File), nil, entries); err != nil {
			t.Fatal(err)
		}
	}
	if r.ClassName == "ZImagePipeline" {
		write(r.unzip(t, "bpe.json.gz"), "tokenizer", "tokenizer.json")
		return dir
	}
	for _, folder := range []string{"tokenizer", "tokenizer_2"} {
		if err := os.CopyFS(filepath.Join(dir, folder), os.DirFS(filepath.Join(r.model, "clip/testdata/learned"))); err != nil {
			t.Fatal(err)
		}
	}
	write(r.unzip(t, "unigram.json.gz"), "tokenizer_3", "tokenizer.json")
	return dir
}

func (r Reference) unzip(t testing.TB, name string) []byte {
	t.Helper()
	file, err := os.Open(filepath.Join(r.model, "tokenizer/testdata/ref", name))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close() //nolint:errcheck // read only
	z, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return text
}
