package sd

import "testing"

// TestUpcast: SDXL's VAE overflows in float16 even where its file does not say so; no other does but where
// it does.
func TestUpcast(t *testing.T) {
	for _, c := range []struct {
		text     string
		sd1, xl1 bool
	}{
		{`{}`, false, true},
		{`{"force_upcast": true}`, true, true},
		{`{"force_upcast": false}`, false, false}, // sdxl-vae-fp16-fix
	} {
		cfg, err := ParseVAEConfig("config.json", []byte(c.text))
		if err != nil {
			t.Fatal(err)
		}
		if got := cfg.overflows(false); got != c.sd1 {
			t.Errorf("%s: overflows in SD 1.x: %t, want %t", c.text, got, c.sd1)
		}
		if got := cfg.overflows(true); got != c.xl1 {
			t.Errorf("%s: overflows in SDXL: %t, want %t", c.text, got, c.xl1)
		}
	}
}
