package cmd

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"focusnfix/model/torch/torchtest"
	"focusnfix/model/weights"
)

func TestCheck(t *testing.T) {
	torchtest.Need(t)
	dir := t.TempDir()
	write := func(name string, entries ...weights.Entry) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := weights.Write(path, nil, entries); err != nil {
			t.Fatal(err)
		}
		return path
	}
	four := func(key string, data ...byte) weights.Entry {
		return weights.Entry{Name: key, DType: weights.F32, Shape: []int64{1}, Data: weights.FromBytes(data)}
	}
	flux := write("flux.safetensors", four("transformer.single_transformer_blocks.0.attn.to_q.lora_A.weight", 0, 0, 0, 0))
	nan := write("nan.safetensors", four("prompts", 0, 0, 0xc0, 0x7f))
	vae := write("vae.safetensors", four("encoder.conv_in.weight", 0, 0, 0, 0))
	if err := os.WriteFile(filepath.Join(dir, "old.ckpt"), []byte("\x80\x02cposix\nsystem\n(tR."), 0o600); err != nil {
		t.Fatal(err)
	}
	for line, want := range map[string][]string{
		tinyModel:                       {"0", "a model of SD 1, diffusers folder", "StableDiffusionPipeline", "epsilon", "PNDMScheduler", "M parameters, F32"},
		tinyModel + "_lora.safetensors": {"0", "a LoRA", "rank", "generate --lora", "unet "},
		vae:                             {"0", "a VAE", "generate --vae"},
		flux:                            {"1", "a LoRA for FLUX", "want one for SD 1, SD 2, SDXL, Stable Diffusion 3 or Z-Image"},
		nan:                             {"1", "the learned prompts of Q16", "odd", "prompts: holds NaN or infinity"},
		dir + "/old.ckpt":               {"1", "asks Python for posix.system"},
		"builtin:nsfw-mid":              {"0", "a reward", "reward.model"},
		"q16:/nowhere?clip=x":           {"1", "no such file"},
		"/nowhere":                      {"1", "no such file"},
	} {
		code, stdout, stderr := runCommand("check", line)
		if (code == exitDone) != (want[0] == "0") {
			t.Errorf("%s: exit code %d: %s", line, code, stderr)
		}
		for _, text := range want[1:] {
			if !strings.Contains(stdout+stderr, text) {
				t.Errorf("%s: %s%s, want %s", line, stdout, stderr, text)
			}
		}
	}
	code, stdout, _ := runCommand("check", "--json", tinyModel+"_lora.safetensors")
	var found checked
	if err := json.Unmarshal([]byte(stdout), &found); err != nil || code != exitDone || !found.Usable || found.LoRA == nil || len(found.LoRA.Ranks) == 0 {
		t.Errorf("exit code %d, %v: %s", code, err, stdout)
	}
}
