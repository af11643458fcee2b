package core

import "testing"

func TestParametersString(t *testing.T) {
	full := Parameters{
		Drawing: Drawing{
			Prompt: "a chef, smiling", Negative: "blood", Seed: 18446744073709551615,
			Sampling: Sampling{NumSteps: 20, GuidanceScale: 7.5, Eta: 1, Size: Size{512, 768}},
		},
		LoRA: []LoRAUse{{"fix", 0.8}}, Sampler: "Euler a", Model: "v1-5, pruned", ClipSkip: 1, Version: "focusnfix 0.1",
	}
	for name, tc := range map[string]struct {
		p    Parameters
		want string
	}{
		"full": {full, "a chef, smiling <lora:fix:0.8>\nNegative prompt: blood\nSteps: 20, Sampler: Euler a, CFG scale: 7.5, " +
			`Seed: 18446744073709551615, Size: 512x768, Model: "v1-5, pruned", Eta: 1, Clip skip: 2, Version: focusnfix 0.1`},
		"least": {
			Parameters{Drawing: Drawing{Prompt: "猫", Sampling: Sampling{NumSteps: 1, GuidanceScale: 1, Size: Size{8, 8}}}, Sampler: "DDIM"},
			"猫\nSteps: 1, Sampler: DDIM, CFG scale: 1, Seed: 0, Size: 8x8",
		},
	} {
		if got := tc.p.String(); got != tc.want {
			t.Errorf("%s:\n got %q\nwant %q", name, got, tc.want)
		}
	}
}
