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
