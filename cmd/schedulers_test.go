package cmd

import (
	"slices"
	"testing"

	"focusnfix/core"
	"focusnfix/model/sd"
)

// config.toml takes the names that --scheduler takes; core cannot ask model/sd.
func TestSchedulerNames(t *testing.T) {
	c := core.Default()
	keys := c.Keys()
	i := slices.IndexFunc(keys, func(k core.Key) bool { return k.Name == "sample.scheduler" })
	if got, want := keys[i].Options, sd.SchedulerNames(); !slices.Equal(got, want) {
		t.Errorf("sample.scheduler takes %v, want %v", got, want)
	}
}

// Every scheduler has a name in the PNG's text, and those to train with are named in sample.scheduler's help.
func TestSamplerNames(t *testing.T) {
	for _, name := range sd.SchedulerNames() {
		cfg, err := sd.ParseSchedulerConfig("s.json", []byte("{}"), name)
		if err != nil || samplerName(cfg) == "" {
			t.Errorf("%s: %q, %v", name, samplerName(cfg), err)
		}
	}
	single := sd.SingleStepSchedulers()
	for _, name := range []string{"ddim", "ddpm", "euler", "euler_a", "lcm", "tcd", "dpm++_1", "dpm++_sde"} {
		if want := name != "dpm++_sde"; slices.Contains(single, name) != want {
			t.Errorf("%s among single-step samplers: %v, want %v", name, !want, want)
		}
	}
}
