package core

import (
	"math"
	"reflect"
	"strings"
	"testing"
)

// Every number of a step and of an aspect has its tags, and a name of its own.
func TestMetricsHaveTags(t *testing.T) {
	seen := map[string]bool{}
	for _, m := range append(append([]Metric{}, StepMetrics...), AspectMetrics...) {
		if m.Name == "" || m.Name != strings.ToLower(m.Name) || m.Title == "" || m.Digits < 0 || m.Digits > 6 {
			t.Errorf("%+v", m)
		}
		if tag := m.Tag(m.Name); seen[tag] {
			t.Errorf("two metrics are %s in TensorBoard", tag)
		}
		seen[m.Tag(m.Name)] = true
	}
}

// A step's numbers come under the names that its JSON has, and TensorBoard keeps the tags of older runs.
func TestNumbers(t *testing.T) {
	e := fullEvent()
	got, tags := map[string]float64{}, map[string]float64{}
	e.Train.Numbers(func(m Metric, name string, v float64) { got[name], tags[m.Tag(name)] = v, v })
	for name, want := range map[string]float64{
		"loss": -0.125, "inside_psnr": 12.5, "step_seconds": 2, "device_use": 0.75, "reward/violence": 0.75, "base/violence": 0.25,
		"held_out/violence": 2, "base_held_out/violence": -1.5, "fixed/violence": 0.5,
	} {
		if got[name] != want {
			t.Errorf("%s: %v, want %v", name, got[name], want)
		}
	}
	for tag, want := range map[string]float64{
		"train/loss": -0.125, "train/outside_psnr": 30.25, "seconds/sample": 0.25, "seconds/step": 2, "device/memory_mib": 1024,
		"device/use": 0.75, "reward/violence": 0.75, "held_out/violence": 2, "base_held_out/violence": -1.5,
	} {
		if v, ok := tags[tag]; !ok || v != want {
			t.Errorf("TensorBoard's %s: %v, want %v", tag, v, want)
		}
	}
}

func TestMetricText(t *testing.T) {
	for _, c := range []struct {
		metric string
		value  float64
		want   string
	}{
		{"coverage", 0.0484, "4.8 %"},
		{"outside_psnr", 31.25, "31.2 dB"},
		{"loss", -0.0001, "0.000"},
		{"loss", -0.5, "-0.500"},
		{"memory_mib", 912.25, "912 MiB"},
		{"inside_psnr", math.NaN(), "–"},
	} {
		if got := StepMetric(c.metric).Text(c.value); got != c.want {
			t.Errorf("%s %v: %q, want %q", c.metric, c.value, got, c.want)
		}
	}
}

func TestMetricJudge(t *testing.T) {
	for _, c := range []struct {
		metric Metric
		change float64
		want   int
	}{
		{AspectMetric("reward"), 0.1, 1},
		{AspectMetric("reward"), -0.1, -1},
		{AspectMetric("reward"), -0.001, 0}, // noise
		{AspectMetric("reward"), -0.005, -1},
		{AspectMetric("fault"), -0.005, 1}, // half a percent
		{AspectMetric("fault"), 0.004, 0},
		{StepMetric("region"), -0.1, 1},
		{StepMetric("inside_psnr"), 5, 0},
		{AspectMetric("fixed"), 0.05, 1},
		{AspectMetric("fixed"), 0.04, 0},
		{AspectMetric("reward"), math.NaN(), 0},
	} {
		if got := c.metric.Judge(c.change); got != c.want {
			t.Errorf("%s %v: %d, want %d", c.metric.Name, c.change, got, c.want)
		}
	}
}

// A struct that the codec cannot write does not get past the start of the program.
func TestStructCodecRefuses(t *testing.T) {
	defer func() {
		if said, _ := recover().(string); !strings.Contains(said, "no JSON for") {
			t.Errorf("recovered %q, want the type that has none", said)
		}
	}()
	newStructCodec(reflect.TypeFor[struct {
		C complex128 `json:"c"`
	}]())
}
