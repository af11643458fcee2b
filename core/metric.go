package core

import (
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"unsafe"
)

// Metric is one number that training measures. The tags of its field are all there is to say about it: a
// new field of [TrainStep] or [AspectScore] with these tags is written to the log, to TensorBoard and to
// --json, kept by the screen, drawn in its chart and printed with its unit.
//
//	json    name in events.jsonl, in the columns of `metrics` and the screen
//	title   label in a legend or table
//	unit    dB, s, MiB; % is of a share in [0,1]
//	digits  after the decimal point, as shown
//	chart   title of the chart it is drawn in; none is not drawn
//	better  higher or lower, where one of them is
//	group   TensorBoard's group of charts
type Metric struct {
	Name   string
	Title  string
	Unit   string
	Digits int
	Chart  string
	Better int // 1 where higher is better, -1 where lower is, 0 where neither is
	group  string
	offset uintptr // of the field in its struct
}

// in is the metric's number in p, a *TrainStep or *AspectScore as m is of StepMetrics or AspectMetrics. A million steps have
// thirty million numbers: by reflection they take as long as all else of reading them.
func (m *Metric) in(p unsafe.Pointer) *float64 { return (*float64)(unsafe.Add(p, m.offset)) }

// StepMetrics are the numbers of a [TrainStep], AspectMetrics those of an [AspectScore], in order.
var (
	StepMetrics   = metricsOf(reflect.TypeFor[TrainStep]())
	AspectMetrics = metricsOf(reflect.TypeFor[AspectScore]())
)

func metricsOf(t reflect.Type) []Metric {
	var all []Metric
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Type.Kind() != reflect.Float64 {
			continue
		}
		digits, err := strconv.Atoi(f.Tag.Get("digits"))
		better, known := map[string]int{"": 0, "higher": 1, "lower": -1}[f.Tag.Get("better")]
		if err != nil || !known || f.Tag.Get("title") == "" || f.Tag.Get("group") == "" {
			panic(fmt.Sprintf("core: %v.%s: want the tags of a Metric", t, f.Name))
		}
		all = append(all, Metric{
			Name: f.Tag.Get("json"), Title: f.Tag.Get("title"), Unit: f.Tag.Get("unit"), Digits: digits,
			Chart: f.Tag.Get("chart"), Better: better, group: f.Tag.Get("group"), offset: f.Offset,
		})
	}
	return all
}

// StepMetric returns the metric of a step by its name: "outside_psnr". It panics if there is none.
func StepMetric(name string) Metric { return metricNamed(StepMetrics, name) }

// AspectMetric returns the metric of an aspect by its name: "held_out". It panics if there is none.
func AspectMetric(name string) Metric { return metricNamed(AspectMetrics, name) }

func metricNamed(all []Metric, name string) Metric {
	for _, m := range all {
		if m.Name == name {
			return m
		}
	}
	panic(fmt.Sprintf("core: no metric %q", name))
}

// Numbers calls use with the name and value of every metric of the step, known or NaN: those of an aspect
// are named METRIC/ASPECT, "reward/violence".
func (t *TrainStep) Numbers(use func(m Metric, name string, v float64)) {
	for _, m := range StepMetrics {
		use(m, m.Name, *m.in(unsafe.Pointer(t)))
	}
	AspectNumbers(t.Aspects, use)
}

// Values appends what [TrainStep.Numbers] calls use with, in that order: for those who know the names already.
func (t *TrainStep) Values(all []float64) []float64 {
	for i := range StepMetrics {
		all = append(all, *StepMetrics[i].in(unsafe.Pointer(t)))
	}
	for i := range t.Aspects {
		for k := range AspectMetrics {
			all = append(all, *AspectMetrics[k].in(unsafe.Pointer(&t.Aspects[i])))
		}
	}
	return all
}

// AspectNumbers is [TrainStep.Numbers] for scores alone.
func AspectNumbers(aspects []AspectScore, use func(m Metric, name string, v float64)) {
	for i := range aspects {
		for _, m := range AspectMetrics {
			use(m, m.Name+"/"+aspects[i].Aspect, *m.in(unsafe.Pointer(&aspects[i])))
		}
	}
}

// Tag is the metric's name in TensorBoard, under its group: train/loss, seconds/sample, reward/violence.
// name is as [TrainStep.Numbers] has it.
func (m Metric) Tag(name string) string {
	if strings.HasPrefix(name, m.group+"/") {
		return name
	}
	return m.group + "/" + strings.TrimSuffix(strings.TrimPrefix(name, m.group+"_"), "_"+m.group)
}

// Shown is a value in the metric's unit: percent of a share.
func (m Metric) Shown(v float64) float64 {
	if m.Unit == "%" {
		return 100 * v
	}
	return v
}

// Text is a value as people read it, with its unit: "31.5 dB", "4.8 %"; "–" where it is not known.
func (m Metric) Text(v float64) string {
	text := m.Number(v)
	if m.Unit == "" || math.IsNaN(v) {
		return text
	}
	return text + " " + m.Unit
}

// Number is [Metric.Text] without the unit.
func (m Metric) Number(v float64) string {
	if math.IsNaN(v) {
		return "–"
	}
	text := strconv.FormatFloat(m.Shown(v), 'f', m.Digits, 64)
	if strings.Trim(text, "-0.") == "" { // no "-0.0"
		return strings.TrimPrefix(text, "-")
	}
	return text
}

// Judge reports whether a change of the metric is for the better, 1, or for the worse, -1. It is 0 where
// neither direction is better, and for a change of less than 5 in the last digit shown: that is noise of the batch.
func (m Metric) Judge(change float64) int {
	switch seen := math.Abs(m.Shown(change)) >= 4.999*math.Pow10(-m.Digits); {
	case !seen:
		return 0
	case change > 0:
		return m.Better
	}
	return -m.Better
}
