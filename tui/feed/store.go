package feed

import (
	"math"
	"slices"
	"strings"
	"time"

	"focusnfix/core"
)

// Bounds of what is kept of a run; older entries give way.
const (
	maxLog      = 4000
	maxPrompts  = 1000
	maxPictures = 20000 // images: their names, not their pixels
)

// Store is what the screen keeps of a run's events. Its memory has a bound however long the run is.
type Store struct {
	Steps       *table // of training steps; columns: see addStep
	Evaluations *table // columns as in steps: "reward/ASPECT", "held_out/ASPECT", ...
	Aspects     []string
	Log         []core.Event // all but steps and images, the oldest first

	Step           int // of the newest event
	Train          *core.TrainStep
	trained        time.Time
	evaluation     *core.Evaluation
	Alarms         []core.Event           // since the run last began or went on
	Pictures       map[int][]core.Picture // by step
	PictureSteps   []int                  // steps that have images, rising
	kept           int                    // images in all
	PictureChanges int                    // grows when images come or go
	Prompts        []core.Event           // results of quick prompts, the oldest first
	Fixes          []core.Event           // repairs, the oldest first

	GPUs []core.GPU // as the newest device event has them

	state, Doing string // the newest state event's state and message

	Lost    int // lines that could not be read
	changes int // grows with every event

	sinks   []sink // of Steps, for steps of these aspects
	sunk    []string
	numbers []float64
}

// sink is the column that a number of a step goes to, and by how much it is multiplied there.
type sink struct {
	*column
	scale float64
}

// NewStore returns a store without events.
func NewStore() *Store {
	return &Store{Steps: newTable(), Evaluations: newTable(), Pictures: map[int][]core.Picture{}}
}

// Add takes one event in.
func (s *Store) Add(e *core.Event) {
	s.changes++
	s.Step = e.Step
	if e.Kind == "step" && e.Train != nil {
		s.addStep(e)
		return
	}
	if e.Kind == "pictures" {
		s.addPictures(e.Step, e.Pictures)
		return
	}
	if e.Kind == "device" {
		s.GPUs = e.GPUs
		return
	}
	if e.Kind == "state" {
		if e.State != s.state {
			s.Alarms = nil
		}
		s.state, s.Doing = e.State, e.Message
	}
	if n := len(s.Log); n > 0 && isProgress(&s.Log[n-1], e) {
		s.Log[n-1] = *e
		return
	}
	if len(s.Log) >= maxLog {
		s.Log = slices.Delete(s.Log, 0, maxLog/4)
	}
	s.Log = append(s.Log, *e)
	s.keep(e)
}

// keep takes in what is kept of an event beside its line of the log.
func (s *Store) keep(e *core.Event) {
	switch {
	case e.Alarm != nil:
		s.Alarms = append(s.Alarms[max(0, len(s.Alarms)-99):], *e)
	case e.Evaluation != nil:
		s.addEvaluation(e)
	case e.Prompt != nil:
		s.Prompts = appended(s.Prompts, e)
	case e.Fix != nil:
		s.Fixes = appended(s.Fixes, e)
	}
}

// appended is a list with one event more; of a long one the oldest go.
func appended(list []core.Event, e *core.Event) []core.Event {
	if len(list) >= maxPrompts {
		list = slices.Delete(list, 0, maxPrompts/4)
	}
	return append(list, *e)
}

// isProgress reports whether an event only counts on what the one before has said: "image 3 of 48".
func isProgress(before, e *core.Event) bool {
	return e.Kind == "state" && before.Kind == "state" && e.State == before.State && e.Message != "" &&
		withoutDigits(e.Message) == withoutDigits(before.Message)
}

func withoutDigits(text string) string {
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return -1
		}
		return r
	}, text)
}

// blockSteps is how many steps are taken into the columns at once: their numbers fit the nearest cache.
const blockSteps = 64

// AddAll takes events in.
func (s *Store) AddAll(events []core.Event) {
	for len(events) > 0 {
		n := s.sameSteps(events[:min(len(events), blockSteps)])
		if n > 0 {
			s.changes += n
			s.addSteps(events[:n])
		} else {
			n = 1
			s.Add(&events[0])
		}
		events = events[n:]
	}
}

// sameSteps is how many of the first events are steps that need nothing but a row each: no new columns, and no older rows
// that make room or are void.
func (s *Store) sameSteps(events []core.Event) int {
	rows := s.Steps.Rows()
	if rows == 0 {
		return 0
	}
	last := s.Steps.Step[rows-1]
	for i := range events {
		e := &events[i]
		if e.Kind != "step" || e.Train == nil || float64(e.Step) <= last || rows+i >= maxRows || !s.sinksFit(e.Train.Aspects) {
			return i
		}
		last = float64(e.Step)
	}
	return len(events)
}

func (s *Store) addStep(e *core.Event) {
	if n := s.Steps.Rows(); n > 0 && float64(e.Step) <= s.Steps.Step[n-1] {
		s.dropPictures(e.Step)
	}
	if !s.sinksFit(e.Train.Aspects) {
		s.noteAspects(e.Train.Aspects)
		s.makeSinks(e.Train)
	}
	s.addSteps([]core.Event{*e})
}

// addSteps adds a row for each step and fills in its numbers, column by column.
func (s *Store) addSteps(steps []core.Event) {
	s.numbers = s.numbers[:0]
	for i := range steps {
		e := &steps[i]
		s.Step, s.Train, s.trained = e.Step, e.Train, e.Time
		s.Steps.begin(e.Step, e.Time)
		s.numbers = e.Train.Values(s.numbers)
		for a := range e.Train.Aspects {
			g := gains(&e.Train.Aspects[a])
			s.numbers = append(s.numbers, g[:]...)
		}
	}
	first := s.Steps.Rows() - len(steps) + 1
	for at := range s.sinks {
		to := &s.sinks[at]
		for i := range steps {
			to.set(first+i, s.numbers[i*len(s.sinks)+at]*to.scale)
		}
	}
}

// sinksFit reports whether the sinks are for steps of these aspects.
func (s *Store) sinksFit(scores []core.AspectScore) bool {
	return s.sinks != nil && slices.EqualFunc(s.sunk, scores, func(name string, a core.AspectScore) bool { return name == a.Aspect })
}

// makeSinks finds the columns for steps of t's aspects once: a million steps come after each other.
func (s *Store) makeSinks(t *core.TrainStep) {
	s.sinks, s.sunk = nil, nil
	to := func(name string, scale float64) { s.sinks = append(s.sinks, sink{s.Steps.column(name), scale}) }
	t.Numbers(func(m core.Metric, name string, _ float64) { to(name, m.Shown(1)) })
	for i := range t.Aspects {
		s.sunk = append(s.sunk, t.Aspects[i].Aspect)
		for _, name := range gainNames {
			to(name+t.Aspects[i].Aspect, 1)
		}
	}
}

func (s *Store) addEvaluation(e *core.Event) {
	v := e.Evaluation
	s.evaluation = v
	s.Evaluations.begin(e.Step, e.Time)
	s.noteAspects(v.Aspects)
	core.AspectNumbers(v.Aspects, func(m core.Metric, name string, v float64) { s.Evaluations.set(name, m.Shown(v)) })
	s.Evaluations.set("outside_psnr", v.OutsidePSNR)
	for i := range v.Aspects {
		for k, g := range gains(&v.Aspects[i]) {
			s.Evaluations.set(gainNames[k]+v.Aspects[i].Aspect, g)
		}
	}
}

// gainNames are the columns of gains, before the aspect.
var gainNames = [4]string{"gain/", "held_out_gain/", "fewer/", "held_out_fewer/"}

// gains are what tuning changed in the same images, by the judge of training and by the held-out judge: how much their
// rewards rose, and by how many percent points faults are less probable. They vary far less from batch to batch than
// what they are differences of.
func gains(a *core.AspectScore) [4]float64 {
	return [4]float64{a.Reward - a.Base, a.HeldOut - a.BaseHeldOut, 100 * (a.BaseFault - a.Fault), 100 * (a.BaseHeldOutFault - a.HeldOutFault)}
}

// Final is a column's value in the last evaluation, else its mean over the last steps.
func (s *Store) Final(column string) float64 {
	if v := s.Evaluations.Last(column); !math.IsNaN(v) {
		return v
	}
	return s.Steps.Recent(column, 10)
}

// KnowsFaults reports whether the judge of an aspect says how probable faults are.
func (s *Store) KnowsFaults(aspect string) bool {
	return len(s.Steps.Column("fault/"+aspect)) > 0 || len(s.Evaluations.Column("fault/"+aspect)) > 0
}

// noteAspects remembers aspects in the order in which they come up.
func (s *Store) noteAspects(scores []core.AspectScore) {
	for i := range scores {
		if !slices.Contains(s.Aspects, scores[i].Aspect) {
			s.Aspects = append(s.Aspects, scores[i].Aspect)
		}
	}
}

func (s *Store) addPictures(step int, pictures []core.Picture) {
	s.PictureChanges++
	s.kept += len(pictures) - len(s.Pictures[step])
	s.Pictures[step] = pictures
	if i, found := slices.BinarySearch(s.PictureSteps, step); !found {
		s.PictureSteps = slices.Insert(s.PictureSteps, i, step)
	}
	for s.kept > maxPictures && len(s.PictureSteps) > 2 { // every second step goes, but the first and the last
		for i := 1; i < len(s.PictureSteps)-1; i++ {
			s.kept -= len(s.Pictures[s.PictureSteps[i]])
			delete(s.Pictures, s.PictureSteps[i])
			s.PictureSteps = slices.Delete(s.PictureSteps, i, i+1)
		}
	}
}

// dropPictures forgets the images from a step on: training has gone back and makes them anew.
func (s *Store) dropPictures(step int) {
	i, _ := slices.BinarySearch(s.PictureSteps, step)
	s.PictureChanges++
	for _, at := range s.PictureSteps[i:] {
		s.kept -= len(s.Pictures[at])
		delete(s.Pictures, at)
	}
	s.PictureSteps = s.PictureSteps[:i]
}

// NewestPictures is the step whose images are the newest; ok is false while there are none.
func (s *Store) NewestPictures() (step int, ok bool) {
	if len(s.PictureSteps) == 0 {
		return 0, false
	}
	return s.PictureSteps[len(s.PictureSteps)-1], true
}

// Evaluated is a column's newest value from evaluations, or where those have none, from training.
func (s *Store) Evaluated(column string) float64 {
	if v := s.Evaluations.Last(column); v == v {
		return v
	}
	return s.Steps.Last(column)
}
