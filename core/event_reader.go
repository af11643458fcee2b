package core

import (
	"bytes"
	"errors"
	"math"
	"reflect"
	"slices"
	"time"
	"unsafe"
)

// A long run's log is a million lines that differ in their numbers only: time, step, and what the step measured.
// EventReader learns the text between the numbers of such a line once. On a line that has the same text it reads the
// numbers alone; any other goes through [Event.ParseJSON], which knows what is right, and may be learned in turn.

// EventReader reads the lines of a log, one after the other. The zero value is ready.
type EventReader struct {
	shapes []*lineShape // at most maxLineShapes, the one used last first
	values []float64
	day    string    // "2026-11-24T"
	dawn   time.Time // when that day began

	steps  []TrainStep // allocated many at once and given away one by one
	scores []AspectScore
	slab   int // steps that were allocated last
}

// maxLineShapes is how many shapes are known at once: steps with and without what is measured now and then.
const maxLineShapes = 4

// slabSteps is how many steps are allocated at once, at most: first one, then each time twice as many.
const slabSteps = 256

// lineShape is the line of a training step without its numbers.
type lineShape struct {
	texts   []string // before each number, and after the last
	slots   []slot
	aspects []string
}

// slot is what a number of the line is.
type slot struct {
	as     slotKind
	aspect int     // of an aspectSlot: its index
	metric *Metric // of a stepSlot or an aspectSlot
}

type slotKind uint8

const (
	timeSlot   slotKind = iota
	countSlot           // Event.Step
	stepSlot            // a field of TrainStep
	aspectSlot          // a field of an AspectScore
)

// Parse is [Event.ParseJSON]: it reads one line into e, whatever e held.
func (r *EventReader) Parse(line []byte, e *Event) error {
	for i, s := range r.shapes {
		if r.match(s, line, e) {
			if i > 0 {
				r.shapes = slices.Insert(slices.Delete(r.shapes, i, i+1), 0, s)
			}
			return nil
		}
	}
	err := e.ParseJSON(line)
	if err == nil && e.Kind == "step" && e.Train != nil {
		if s := learn(line); s != nil {
			r.shapes = slices.Insert(r.shapes[:min(len(r.shapes), maxLineShapes-1)], 0, s)
		}
	}
	return err
}

// match reads a line that has the shape; otherwise it returns false and e is as before.
func (r *EventReader) match(s *lineShape, line []byte, e *Event) bool {
	at := 0
	r.values = r.values[:0]
	var when time.Time
	for i, slot := range s.slots {
		text := s.texts[i]
		if len(line)-at < len(text) || string(line[at:at+len(text)]) != text {
			return false
		}
		at += len(text)
		if slot.as == timeSlot {
			t, ok := r.time(line[at:])
			if !ok {
				return false
			}
			when, at = t, at+len(timeLayout)
			r.values = append(r.values, 0)
			continue
		}
		v, n := decimal(line[at:])
		if n == 0 || slot.as == countSlot && (v != math.Trunc(v) || math.Abs(v) > 1<<53) {
			return false
		}
		at += n
		r.values = append(r.values, v)
	}
	if string(line[at:]) != s.texts[len(s.slots)] {
		return false
	}
	*e = Event{Time: when, Kind: "step", Train: r.step(s)}
	r.fill(s, e)
	return true
}

// fill puts the values that match has read where they belong.
func (r *EventReader) fill(s *lineShape, e *Event) {
	for i := range s.slots {
		switch v, slot := r.values[i], &s.slots[i]; slot.as {
		case countSlot:
			e.Step = int(v)
		case stepSlot:
			*slot.metric.in(unsafe.Pointer(e.Train)) = v
		case aspectSlot:
			*slot.metric.in(unsafe.Pointer(&e.Train.Aspects[slot.aspect])) = v
		}
	}
}

var (
	blankStep  = newStructCodec(reflect.TypeFor[TrainStep]()).blank.Interface().(TrainStep)
	blankScore = newStructCodec(reflect.TypeFor[AspectScore]()).blank.Interface().(AspectScore)
)

// step is a step of the shape in which no number is known yet.
func (r *EventReader) step(s *lineShape) *TrainStep {
	if len(r.steps) == 0 {
		r.slab = min(max(1, 2*r.slab), slabSteps)
		r.steps = make([]TrainStep, r.slab)
	}
	t := &r.steps[0]
	r.steps = r.steps[1:]
	*t = blankStep
	n := len(s.aspects)
	if n == 0 {
		return t
	}
	if len(r.scores) < n {
		r.scores = make([]AspectScore, r.slab*n)
	}
	t.Aspects, r.scores = r.scores[:n:n], r.scores[n:]
	for i, name := range s.aspects {
		t.Aspects[i] = blankScore
		t.Aspects[i].Aspect = name
	}
	return t
}

// time reads a time as events are written with it. Most lines are of the same day.
func (r *EventReader) time(text []byte) (time.Time, bool) {
	const day = len("2006-01-02T")
	if len(text) < len(timeLayout) || text[13] != ':' || text[16] != ':' || text[19] != '.' || text[26] != 'Z' {
		return time.Time{}, false
	}
	if string(text[:day]) != r.day {
		dawn, err := time.Parse("2006-01-02T", string(text[:day]))
		if err != nil {
			return time.Time{}, false
		}
		r.day, r.dawn = string(text[:day]), dawn
	}
	hour, minute, second, micro := digits(text[11:13]), digits(text[14:16]), digits(text[17:19]), digits(text[20:26])
	if hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 59 || micro < 0 {
		return time.Time{}, false
	}
	return r.dawn.Add(time.Duration(((hour*60+minute)*60+second)*1_000_000+micro) * time.Microsecond), true
}

// digits is the number that text is, or -1.
func digits(text []byte) int {
	n := 0
	for _, c := range text {
		if c < '0' || c > '9' {
			return -1
		}
		n = 10*n + int(c-'0')
	}
	return n
}

// errShapeless is the error of a line that is not learned: it has keys twice, or of another kind than numbers.
var errShapeless = errors.New("no shape")

// learn returns the lineShape of a step's line that ParseJSON has accepted, or nil.
func learn(line []byte) *lineShape {
	l := learner{scanner: scanner{text: line}}
	if l.event() != nil {
		return nil
	}
	l.shape.texts = append(l.shape.texts, string(line[l.from:]))
	return &l.shape
}

// learner reads a line and notes where its numbers are.
type learner struct {
	scanner
	shape lineShape
	from  int // behind the last number
}

// once is object; a key that comes twice is an error.
func (l *learner) once(field func(key string) error) error {
	var seen []string
	return l.object(func(key []byte) error {
		if slices.Contains(seen, string(key)) {
			return errShapeless
		}
		seen = append(seen, string(key))
		return field(string(key))
	})
}

func (l *learner) event() error {
	return l.once(func(key string) error {
		switch key {
		case "time":
			l.peek()
			l.at++
			if bytes.IndexByte(l.text[l.at:], '"') != len(timeLayout) {
				return errShapeless
			}
			l.note(slot{as: timeSlot}, len(timeLayout))
			l.at++
			return nil
		case "kind":
			_, err := l.raw()
			return err
		case "step":
			return l.decimal(slot{as: countSlot})
		case "train":
			return l.train()
		}
		return errShapeless
	})
}

func (l *learner) train() error {
	return l.once(func(key string) error {
		if key == "aspects" {
			return l.list(l.score)
		}
		return l.metric(StepMetrics, key, slot{as: stepSlot})
	})
}

func (l *learner) score() error {
	i := len(l.shape.aspects)
	l.shape.aspects = append(l.shape.aspects, "")
	return l.once(func(key string) error {
		if key == "aspect" {
			name, err := l.string()
			l.shape.aspects[i] = name
			return err
		}
		return l.metric(AspectMetrics, key, slot{as: aspectSlot, aspect: i})
	})
}

// metric reads the number of a metric with that name.
func (l *learner) metric(all []Metric, name string, s slot) error {
	i := slices.IndexFunc(all, func(m Metric) bool { return m.Name == name })
	if i < 0 {
		return errShapeless
	}
	s.metric = &all[i]
	return l.decimal(s)
}

// decimal notes the number that comes next. A null belongs to the text.
func (l *learner) decimal(s slot) error {
	if l.peek() == 'n' {
		return l.word("null")
	}
	_, n := decimal(l.text[l.at:])
	if n == 0 {
		return errShapeless
	}
	l.note(s, n)
	return nil
}

// note notes that the next n bytes are a number.
func (l *learner) note(s slot, n int) {
	l.shape.texts = append(l.shape.texts, string(l.text[l.from:l.at]))
	l.shape.slots = append(l.shape.slots, s)
	l.at += n
	l.from = l.at
}
