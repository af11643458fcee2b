package core

import (
	"bytes"
	"math"
	"slices"
	"strings"
	"testing"
	"time"
)

// sameEvent reports whether two events are equal to the last bit of every number.
func sameEvent(a, b *Event) bool {
	bits := func(e *Event) (all []uint64) {
		if e.Train != nil {
			e.Train.Numbers(func(_ Metric, _ string, v float64) { all = append(all, math.Float64bits(v)) })
		}
		return all
	}
	return bytes.Equal(a.AppendJSON(nil), b.AppendJSON(nil)) && slices.Equal(bits(a), bits(b)) && a.Time == b.Time
}

// readBoth reads lines with one reader and each by itself.
func readBoth(t *testing.T, log []byte) {
	t.Helper()
	var r EventReader
	for range 2 { // at the second time all shapes have been met
		for line := range bytes.Lines(log) {
			line = bytes.TrimSuffix(line, []byte("\n"))
			var got, want Event
			gotErr, wantErr := r.Parse(line, &got), want.ParseJSON(line)
			if (gotErr == nil) != (wantErr == nil) || gotErr == nil && !sameEvent(&got, &want) {
				t.Fatalf("%q:\n%s, %v; want\n%s, %v", line, got.AppendJSON(nil), gotErr, want.AppendJSON(nil), wantErr)
			}
		}
	}
}

func TestEventReaderReadsWhatParseJSONReads(t *testing.T) {
	var log []byte
	for i := range 300 {
		e := stepEvent(i)
		switch {
		case i%50 == 0:
			e = Event{Time: e.Time, Kind: "state", State: "paused", Step: i}
		case i%10 == 0:
			e.Train.Aspects = append(e.Train.Aspects, AspectScore{"artifacts", 0.5, 0.7, 0.1, 0.3, 0.9, 0.4, 0.8, math.NaN(), 12, 20})
		case i%7 == 0:
			e.Train.Loss, e.Train.GradNorm = math.NaN(), 1e-7
		}
		log = append(e.AppendJSON(log), '\n')
	}
	readBoth(t, log)
	line := stepEvent(1)
	text := string(line.AppendJSON(nil))
	for _, change := range []string{ // of one line that was learned
		`"step":1,`, `"step":1.5,`, `"step":-1,`, `"step":01,`, `"step":1e2,`, `"step":null,`, `"step":9007199254740993,`, `"step":"1",`, `"step":,`, `"step":1,"step":2,`,
		`"step":1,"kind":"state",`, `"step":1,"train":{},`, `"step":1,"message":"x",`, `"step":1 ,`, `"step":1,"aspects":[],`, `"step":--1,`, `"step":1e400,`,
	} {
		readBoth(t, []byte(text+"\n"+strings.Replace(text, `"step":1,`, change, 1)+"\n"+text))
	}
	for _, change := range []string{"T", " ", "2026-02-30T", "2026-13-01T"} {
		readBoth(t, []byte(text+"\n"+strings.Replace(text, "T", change, 1)))
	}
	for _, when := range []string{"24:00:00.000000", "23:60:00.000000", "23:59:60.000000", "1a:00:00.000000", "00:00:00.00000", "00:00:00,000000"} {
		at := strings.IndexByte(text, 'T') + 1
		readBoth(t, []byte(text+"\n"+text[:at]+when+text[at+len(when):]))
	}
}

// Events that were given away are not written to again.
func TestEventReaderGivesEventsAway(t *testing.T) {
	var r EventReader
	var events []Event
	for i := range 3 * slabSteps {
		e := stepEvent(i)
		var got Event
		if err := r.Parse(e.AppendJSON(nil), &got); err != nil {
			t.Fatal(err)
		}
		got.Train.Aspects = append(got.Train.Aspects, AspectScore{}) // must not be that of the next
		events = append(events, got)
	}
	for i := range events {
		want := stepEvent(i)
		if got := events[i].Train; got.OutsidePSNR != want.Train.OutsidePSNR || got.Aspects[0].Aspect != "violence" || events[i].Step != i {
			t.Fatalf("event %d has become %+v", i, got)
		}
	}
}

// Times are in UTC, as those that encoding/json reads.
func TestEventReaderTime(t *testing.T) {
	var r EventReader
	for _, text := range []string{"2026-11-24T23:59:59.999999Z", "2026-11-25T00:00:00.000001Z", "2024-02-29T12:34:56.000000Z"} {
		got, ok := r.time([]byte(text))
		var want time.Time
		if err := want.UnmarshalText([]byte(text)); err != nil || !ok || got != want {
			t.Errorf("%s: %v, want %v, %v", text, got, want, err)
		}
	}
}

// Any two lines after each other are read as each by itself.
func FuzzEventReader(f *testing.F) {
	e := stepEvent(3)
	f.Add(e.AppendJSON(nil))
	f.Add([]byte(`{"time":"2026-11-23T10:11:12.000000Z","kind":"step","step":3,"train":{"aspects":[{"aspect":"a","base":1},{"base":2}],"loss":null}}`))
	f.Add([]byte("{\"kind\":\"step\",\"train\":{}}\n{\"kind\":\"step\",\"step\":4,\"train\":{\"loss\":1}}"))
	f.Fuzz(func(t *testing.T, log []byte) {
		if len(log) < 4000 {
			readBoth(t, log)
		}
	})
}

func BenchmarkEventReader(b *testing.B) {
	e := stepEvent(12345)
	line := e.AppendJSON(nil)
	b.SetBytes(int64(len(line)))
	b.ReportAllocs()
	var r EventReader
	for b.Loop() {
		if err := r.Parse(line, &e); err != nil {
			b.Fatal(err)
		}
	}
}
