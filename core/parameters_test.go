package core

import "testing"

func TestParametersString(t *testing.T) {
	full := Parameters{
		Prompt: "a chef, smiling", Negative: "blood", LoRA: []LoRAUse{{"fix", 0.8}}, Steps: 20, Sampler: "Euler a",
		GuidanceScale: 7.5, Seed: 18446744073709551615, Width: 512, Height: 768, Model: "v1-5, pruned", Eta: 1,
		ClipSkip: 1, Version: "focusnfix 0.1",
	}
	for name, tc := range map[string]struct {
		p    Parameters
		want string
	}{
		"full": {full, "a chef, smiling <lora:fix:0.8>\nNegative prompt: blood\nSteps: 20, Sampler: Euler a, CFG scale: 7.5, " +
			`Seed: 18446744073709551615, Size: 512x768, Model: "v1-5, pruned", Eta: 1, Clip skip: 2, Version: focusnfix 0.1`},
		"least": {
			Parameters{Prompt: "猫", Steps: 1, Sampler: "DDIM", GuidanceScale: 1, Width: 8, Height: 8},
			"猫\nSteps: 1, Sampler: DDIM, CFG scale: 1, Seed: 0, Size: 8x8",
		},
	} {
		if got := tc.p.String(); got != tc.want {
			t.Errorf("%s:\n got %q\nwant %q", name, got, tc.want)
		}
	}
}
