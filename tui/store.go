package tui

import (
	"slices"
	"strings"
	"time"

	"focusnfix/core"
)

// Bounds of what is kept of a run; older entries give way.
const (
	maxLog      = 4000
	maxPrompts  = 1000
	maxPictures = 20000 // pictures: their names, not their pixels
)

// store is what the screen keeps of a run's events. Its memory has a bound however long the run is.
type store struct {
	steps       *table // of training steps; columns: see addStep
	evaluations *table // columns as in steps: "reward/ASPECT", "held-out/ASPECT", ...
	aspects     []string
	log         []core.Event // all but steps and pictures, the oldest first

	step       int // of the newest event
	train      *core.TrainStep
	trained    time.Time
	evaluation *core.Evaluation
	alarms     []core.Event           // since the run last began or went on
	pictures   map[int][]core.Picture // by step
	withPics   []int                  // steps that have pictures, rising
	kept       int                    // pictures in all
	pictured   int                    // grows when pictures come or go
	prompts    []core.Event           // results of quick prompts and of repairs, the oldest first

	state, doing string // the newest state event's state and message

	lost    int // lines that could not be read
	changes int // grows with every event
}

func newStore() *store {
	return &store{steps: newTable(), evaluations: newTable(), pictures: map[int][]core.Picture{}}
}

// add takes one event in.
func (s *store) add(e *core.Event) {
	s.changes++
	s.step = e.Step
	if e.Kind == "step" && e.Train != nil {
		s.addStep(e)
		return
	}
	if e.Kind == "pictures" {
		s.addPictures(e.Step, e.Pictures)
		return
	}
	if e.Kind == "state" {
		if e.State != s.state {
			s.alarms = nil
		}
		s.state, s.doing = e.State, e.Message
	}
	if n := len(s.log); n > 0 && isProgress(&s.log[n-1], e) {
		s.log[n-1] = *e
		return
	}
	if len(s.log) >= maxLog {
		s.log = slices.Delete(s.log, 0, maxLog/4)
	}
	s.log = append(s.log, *e)
	switch {
	case e.Alarm != nil:
		s.alarms = append(s.alarms[max(0, len(s.alarms)-99):], *e)
	case e.Evaluation != nil:
		s.evaluation = e.Evaluation
		s.evaluations.begin(e.Step, e.Time)
		s.addAspects(s.evaluations, e.Evaluation.Aspects)
		s.evaluations.set("outside-psnr", e.Evaluation.OutsidePSNR)
	case e.Prompt != nil:
		if len(s.prompts) >= maxPrompts {
			s.prompts = slices.Delete(s.prompts, 0, maxPrompts/4)
		}
		s.prompts = append(s.prompts, *e)
	}
}

// isProgress says whether an event only counts on what the one before has said: "picture 3 of 48".
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

func (s *store) addStep(e *core.Event) {
	t := e.Train
	if n := s.steps.rows(); n > 0 && float64(e.Step) <= s.steps.step[n-1] {
		s.dropPictures(e.Step)
	}
	s.train, s.trained = t, e.Time
	s.steps.begin(e.Step, e.Time)
	s.steps.set("reward", t.Reward)
	s.steps.set("loss", t.Loss)
	s.steps.set("region", t.Region)
	s.steps.set("coverage", t.Coverage)
	s.steps.set("inside-psnr", t.InsidePSNR)
	s.steps.set("outside-psnr", t.OutsidePSNR)
	s.steps.set("grad-norm", t.GradNorm)
	s.steps.set("learning-rate", t.LearningRate)
	s.steps.set("step-seconds", t.StepSeconds)
	s.steps.set("memory", t.MemoryMiB)
	s.steps.set("device", t.DeviceUse)
	s.addAspects(s.steps, t.Aspects)
}

func (s *store) addAspects(t *table, aspects []core.AspectScore) {
	for i := range aspects {
		a := &aspects[i]
		if !slices.Contains(s.aspects, a.Aspect) {
			s.aspects = append(s.aspects, a.Aspect)
		}
		t.set("reward/"+a.Aspect, a.Reward)
		t.set("base/"+a.Aspect, a.Base)
		t.set("held-out/"+a.Aspect, a.HeldOut)
		t.set("base-held-out/"+a.Aspect, a.BaseHeldOut)
		t.set("fixed/"+a.Aspect, a.Fixed)
	}
}

func (s *store) addPictures(step int, pictures []core.Picture) {
	s.pictured++
	s.kept += len(pictures) - len(s.pictures[step])
	s.pictures[step] = pictures
	if i, found := slices.BinarySearch(s.withPics, step); !found {
		s.withPics = slices.Insert(s.withPics, i, step)
	}
	for s.kept > maxPictures && len(s.withPics) > 2 { // every second step goes, but the first and the last
		for i := 1; i < len(s.withPics)-1; i++ {
			s.kept -= len(s.pictures[s.withPics[i]])
			delete(s.pictures, s.withPics[i])
			s.withPics = slices.Delete(s.withPics, i, i+1)
		}
	}
}

// dropPictures forgets the pictures from a step on: training has gone back and makes them anew.
func (s *store) dropPictures(step int) {
	i, _ := slices.BinarySearch(s.withPics, step)
	s.pictured++
	for _, at := range s.withPics[i:] {
		s.kept -= len(s.pictures[at])
		delete(s.pictures, at)
	}
	s.withPics = s.withPics[:i]
}

// newestPictures is the step whose pictures are the newest; ok is false while there are none.
func (s *store) newestPictures() (step int, ok bool) {
	if len(s.withPics) == 0 {
		return 0, false
	}
	return s.withPics[len(s.withPics)-1], true
}

// newest is a column's newest value from training, or where that has none, from evaluations.
func (s *store) newest(column string) float64 {
	if v := s.steps.last(column); v == v {
		return v
	}
	return s.evaluations.last(column)
}

// evaluated is the reverse.
func (s *store) evaluated(column string) float64 {
	if v := s.evaluations.last(column); v == v {
		return v
	}
	return s.steps.last(column)
}
