package clip

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestConfigRefuses(t *testing.T) {
	for name, tc := range map[string]struct{ text, want string }{
		"not json":   {"{", "not JSON: the file is cut off"},
		"other kind": {`{"model_type": "t5"}`, `model_type "t5", want clip_text_model`},
		"heads":      {`{"hidden_size": 100, "num_attention_heads": 3}`, "hidden_size 100 with num_attention_heads 3"},
		"act":        {`{"hidden_act": "relu"}`, `hidden_act "relu", want quick_gelu or gelu`},
		"layers":     {`{"num_hidden_layers": 0}`, "num_hidden_layers 0, want 1 or more"},
		"tomorrow":   {`{"use_quantum": true}`, "use_quantum: unknown key"},
		"pruned":     {`{"pruned_heads": {"1": [0]}}`, "pruned_heads: an object is not supported"},
		"vocabulary": {`{"vocab_size": -1}`, "vocab_size -1, want 1 or more"},
	} {
		path := filepath.Join(t.TempDir(), "config.json")
		if err := os.WriteFile(path, []byte(tc.text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := LoadTextConfig(path)
		if err == nil || !strings.Contains(err.Error(), tc.want) || !strings.HasPrefix(err.Error(), path) {
			t.Errorf("%s: error %v, want %s: %s", name, err, path, tc.want)
		}
	}
	path := filepath.Join(t.TempDir(), "config.json")
	if err := os.WriteFile(path, []byte(`{"patch_size": 300}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadVisionConfig(path); err == nil || !strings.Contains(err.Error(), "patch_size 300, want at most image_size 224") {
		t.Errorf("vision: error %v", err)
	}
}

// A whole CLIP's config.json gives both encoders the same projection, whatever the nested ones say.
func TestVisionConfigOfWholeCLIP(t *testing.T) {
	cfg, err := LoadVisionConfig(filepath.Join("testdata", "ref", "clip_l", "config.json"))
	if err != nil {
		t.Fatal(err)
	}
	if cfg.HiddenSize != 32 || cfg.PatchSize != 7 || cfg.ProjectionDim != 24 {
		t.Errorf("got %+v", cfg)
	}
}
