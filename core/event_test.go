package core

import (
	"encoding/json"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"
)

func fullEvent() Event {
	aspects := []AspectScore{{"violence", 0.25, 0.75, -1.5, 2, 0.5, 0.25, 1, 0, 0.5, 20}, {"ärtifacts \"x\"", 1e-9, 1e9, 0, -0, 1e-7, 0.1, 0.2, 0.3, 1, 0}}
	return Event{
		Time: time.Date(2026, 11, 23, 10, 11, 12, 345678000, time.UTC), Kind: "everything", Step: 50,
		State: "running", Message: "a b\\c 猫", Path: "checkpoints/step-000050",
		Train: &TrainStep{
			Loss: -0.125, Reward: 3, Aspects: aspects, Region: 0.03125, Coverage: 0.5, InsidePSNR: 12.5, OutsidePSNR: 30.25,
			GradNorm: 1e-7, LearningRate: 0.004, SampleSeconds: 0.25, DecodeSeconds: 0.5, RewardSeconds: 0.125,
			BackwardSeconds: 1, StepSeconds: 2, MemoryMiB: 1024, DeviceUse: 0.75, Skipped: true,
		},
		Pictures:   []Picture{{3, "a chef in the park", math.MaxUint64, "images/step-000050/003-7.png", "reference/ab", aspects}},
		Evaluation: &Evaluation{Pictures: 100, Aspects: aspects, OutsidePSNR: 31, Statistics: map[string]float64{"dark": 0.5, "e\"dges": -2}},
		Alarm:      &Alarm{"held-out", "violence", 0.25, 0.5, "rollback"},
		Control:    &Control{"region.weight", "12", "20"},
		Prompt: &PromptResult{
			Path:    "prompts/0007",
			Drawing: Drawing{"a cat", "blurry", 7, Sampling{"ddim", 10, 2.5, 0, 0.5, Size{512, 768}, ""}},
			Aspects: aspects, OutsidePSNR: 29, Seconds: 1.5, Fix: true, Unknown: "nebula",
		},
	}
}

func TestEventReadsBackEqual(t *testing.T) {
	want := fullEvent()
	line := want.AppendJSON(nil)
	var got Event
	if err := got.ParseJSON(line); err != nil {
		t.Fatalf("%v in %s", err, line)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v\n%s", got, want, line)
	}
	if !json.Valid(line) || strings.ContainsRune(string(line), '\n') {
		t.Errorf("no JSON on one line: %s", line)
	}
}

// encoding/json reads what we write, under the names that docs promise.
func TestEventIsPlainJSON(t *testing.T) {
	e := fullEvent()
	var tree map[string]any
	if err := json.Unmarshal(e.AppendJSON(nil), &tree); err != nil {
		t.Fatal(err)
	}
	train := tree["train"].(map[string]any)
	aspect := train["aspects"].([]any)[1].(map[string]any)
	if tree["time"] != "2026-11-23T10:11:12.345678Z" || tree["step"] != 50.0 || tree["message"] != e.Message ||
		train["outside_psnr"] != 30.25 || train["skipped"] != true || aspect["aspect"] != "ärtifacts \"x\"" || aspect["reward"] != 1e9 {
		t.Errorf("got %v", tree)
	}
}

// What is not a number is left out and reads back as not a number, zero stays zero.
func TestEventWithoutNumbers(t *testing.T) {
	inf := math.Inf(1)
	e := Event{Kind: "step", Train: &TrainStep{Loss: math.NaN(), Reward: inf, GradNorm: -inf}, Alarm: &Alarm{Name: "x", Value: math.NaN()}}
	line := e.AppendJSON(nil)
	var got Event
	if err := got.ParseJSON(line); err != nil {
		t.Fatal(err)
	}
	for name, v := range map[string]float64{"loss": got.Train.Loss, "reward": got.Train.Reward, "gradient": got.Train.GradNorm, "alarm": got.Alarm.Value} {
		if !math.IsNaN(v) {
			t.Errorf("%s: %v, want not a number", name, v)
		}
	}
	if got.Train.Coverage != 0 || got.Alarm.Limit != 0 || strings.Contains(string(line), "Na") {
		t.Errorf("got %s", line)
	}
}

func TestParseTakesAndRefuses(t *testing.T) {
	for _, line := range []string{
		` { "kind" : "step" , "train" : { "loss" : null, "new" : [ { "a" : [ ] } , true, false, null, "x\"", -1e-3 ] } , "step" : 7 } `,
		`{"kind":"step","pictures":[],"later":{}}`, `{"kind":"\u0073tep"}`,
	} {
		var e Event
		if err := e.ParseJSON([]byte(line)); err != nil || e.Kind != "step" {
			t.Errorf("%s: %v", line, err)
		}
	}
	for _, line := range []string{
		``, `{`, `{}`, `[]`, `{"kind":"step"`, `{"kind":"step",}`, `{"kind":"step"}x`, `{"kind":7}`, `{"kind":"step","step":1.5}`,
		`{"kind":"step","step":01}`, `{"kind":"step","train":{"loss":-}}`, `{"kind":"step","train":{"loss":.5}}`, `{"kind":"a` + "\n" + `"}`,
		`{"kind":"step","time":"yesterday"}`, `{"kind":"step","train":[]}`, `{"kind":"step" "step":1}`, `{"kind":"a\x"}`,
		`{"kind":"step","x":` + strings.Repeat("[", 100000), `{"kind":"step","x":tru}`, `{"kind":"step","pictures":[{"seed":-1}]}`,
	} {
		var e Event
		if err := e.ParseJSON([]byte(line)); err == nil {
			t.Errorf("%.60s is read without error: %+v", line, e)
		}
	}
}

// The quick way to read a number gives what the slow one does.
func FuzzNumber(f *testing.F) {
	for _, seed := range []string{"0", "-0", "0.1", "123456.789012345", "999999999999999", "1e300", "-.5", "00", "1.", "0.30000000000000004"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var want float64
		wantErr := json.Unmarshal([]byte(text), &want)
		s := &scanner{text: []byte(text)}
		got, err := s.number()
		if err == nil && (s.peek() != 0 || s.at < len(text)) {
			return // a number with something behind it
		}
		if text == "null" {
			return
		}
		if (err == nil) != (wantErr == nil) && strings.TrimSpace(text) != "null" {
			t.Errorf("%q: %v, encoding/json says %v", text, err, wantErr)
		}
		if err == nil && wantErr == nil && got != want && !math.IsNaN(got) {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	})
}

// What is read is JSON by encoding/json's judgment too, and reads back equal once written.
func FuzzEvent(f *testing.F) {
	for _, seed := range []string{ // short: Go spends its time on making what it finds shorter
		`{"kind":"step","time":"2026-11-23T10:11:12Z","step":3,"train":{"loss":-1e-3}}`, `{"kind":"x","train":{"aspects":[{"aspect":"a","base":1}]}}`,
		`{"kind":"pictures","pictures":[{"index":1,"seed":18446744073709551615}]}`, `{"kind":"prompt","prompt":{"fix":true,"seed":7}}`,
		`{"kind":"evaluation","evaluation":{"statistics":{"dark":0.5}}}`, `{"kind":"alarm","alarm":{"value":null}}`, `{"kind":"\u001b\ud83d","x":[{},"",null,1e9]}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		if len(line) > 2000 {
			return
		}
		var e, again Event
		if e.ParseJSON(line) != nil {
			return
		}
		if !json.Valid(line) {
			t.Errorf("read, but no JSON: %q", line)
		}
		once := e.AppendJSON(nil)
		if err := again.ParseJSON(once); err != nil {
			t.Fatalf("%v in %q", err, once)
		}
		if twice := again.AppendJSON(nil); string(twice) != string(once) {
			t.Errorf("written again:\n%s\n%s", once, twice)
		}
	})
}

func stepEvent(i int) Event {
	v := float64(i%1000) / 1000
	return Event{
		Time: time.Unix(1795000000+int64(i), 123456000), Kind: "step", Step: i,
		Train: &TrainStep{
			Loss: -v, Reward: v, Aspects: []AspectScore{{"violence", 0.31, 0.31 + v/3, math.NaN(), math.NaN(), 0.4, 0.4 - v/3, math.NaN(), math.NaN(), math.NaN(), math.NaN()}}, Region: v / 7,
			Coverage: 0.1834, InsidePSNR: 17.25 + v, OutsidePSNR: 31.5 + v, GradNorm: v * 3, LearningRate: 0.004, SampleSeconds: 0.21,
			DecodeSeconds: 0.043, RewardSeconds: 0.029, BackwardSeconds: 0.31, StepSeconds: 0.0021, MemoryMiB: 912.25, DeviceUse: 0.97,
		},
	}
}

func BenchmarkAppendEvent(b *testing.B) {
	e, line := stepEvent(12345), []byte(nil)
	for b.Loop() {
		line = e.AppendJSON(line[:0])
	}
	b.SetBytes(int64(len(line)))
	b.ReportAllocs()
}

func BenchmarkParseEvent(b *testing.B) {
	e := stepEvent(12345)
	line := e.AppendJSON(nil)
	b.SetBytes(int64(len(line)))
	b.ReportAllocs()
	for b.Loop() {
		if err := e.ParseJSON(line); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParseEventEncodingJSON(b *testing.B) {
	e := stepEvent(12345)
	line := e.AppendJSON(nil)
	b.SetBytes(int64(len(line)))
	for b.Loop() {
		var tree struct {
			Time  time.Time
			Kind  string
			Step  int
			Train *TrainStep
		}
		if err := json.Unmarshal(line, &tree); err != nil {
			b.Fatal(err)
		}
	}
}
