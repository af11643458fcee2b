package torch_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"focusnfix/model/torch"
	"focusnfix/model/torch/torchtest"
)

// TestScript runs the module of testdata/script.py: -(mean of (x·[1,2,3])²) and its gradient.
func TestScript(t *testing.T) {
	torchtest.Need(t)
	s, err := torch.LoadScript("testdata/script.pt", torch.CPU)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if !s.Has("score") || s.Has("forget") {
		t.Errorf("has score %v, has forget %v; want true, false", s.Has("score"), s.Has("forget"))
	}
	before := torch.Live()
	torchtest.Run(t, func() {
		x := torch.From([]float32{1, 0, 0, 1, 2, 0}, 2, 3, 1, 1).Leaf()
		score := s.Run("score", x)
		if got := score.Floats(); got[0] != -1 || got[1] != -25 {
			t.Errorf("score %v, want -1, -25", got)
		}
		grad := torch.Grad([]torch.Tensor{score.Sum()}, []torch.Tensor{x}, nil)[0].Floats()
		for i, want := range []float32{-2, -4, -6, -10, -20, -30} {
			if grad[i] != want {
				t.Errorf("gradient %v, want %g at %d", grad, want, i)
			}
		}
		torch.NoGrad(func() {
			if heat := s.Run("heatmap", x); heat.RequiresGrad() {
				t.Error("a heatmap without gradient mode has gradients: the weights were not frozen")
			}
		})
	})
	if live := torch.Live(); live != before {
		t.Errorf("%d tensors alive, want %d", live, before)
	}
}

func TestScriptFailures(t *testing.T) {
	torchtest.Need(t)
	s, err := torch.LoadScript("testdata/script.pt", torch.CPU)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for method, want := range map[string]string{
		"pair":   "testdata/script.pt: pair: the result is of type Tuple, want a tensor",
		"refuse": "nothing pleases",
		"forget": "forget",
	} {
		err := torch.Run(func() { s.Run(method, torch.Zeros(torch.Float32, torch.CPU, 1)) })
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %q", method, err, want)
		}
	}
}

func TestLoadScriptFailures(t *testing.T) {
	torchtest.Need(t)
	dir := t.TempDir()
	text := filepath.Join(dir, "text.pt")
	if err := os.WriteFile(text, []byte("not an archive"), 0o600); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile("testdata/script.pt")
	if err != nil {
		t.Fatal(err)
	}
	half := filepath.Join(dir, "half.pt")
	if err := os.WriteFile(half, whole[:len(whole)/2], 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		filepath.Join(dir, "none.pt"): "no such file",
		dir:                           "is not a file",
		text:                          "not a TorchScript file",
		half:                          "not a TorchScript file",
	} {
		s, err := torch.LoadScript(path, torch.CPU)
		if s != nil || err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: error %v, want one line with %q", path, err, want)
		}
	}
}
