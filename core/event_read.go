package core

import (
	"errors"
	"fmt"
	"math"
)

// ParseJSON reads one line of a log into e, whatever it held. Unknown fields are skipped; what is of the
// wrong kind, and a line without a kind, is an error.
func (e *Event) ParseJSON(line []byte) error {
	*e = Event{}
	s := &scanner{text: line}
	if err := s.object(func(key []byte) error { return e.parse(s, key) }); err != nil {
		return err
	}
	if s.peek() != 0 || s.at < len(line) {
		return s.wrong("the end of the line")
	}
	if e.Kind == "" {
		return errors.New("an event without a kind")
	}
	return nil
}

func (e *Event) parse(s *scanner, key []byte) error {
	switch string(key) {
	case "time":
		return e.parseTime(s)
	case "kind":
		return parseKind(s, &e.Kind)
	case "step":
		return s.integer(&e.Step)
	case "state":
		return s.string(&e.State)
	case "message":
		return s.string(&e.Message)
	case "path":
		return s.string(&e.Path)
	case "train":
		e.Train = newTrainStep()
		return s.object(func(key []byte) error { return e.Train.parse(s, key) })
	case "pictures":
		e.Pictures = nil
		return s.list(func() error {
			var p Picture
			err := s.object(func(key []byte) error { return p.parse(s, key) })
			e.Pictures = append(e.Pictures, p)
			return err
		})
	case "evaluation":
		e.Evaluation = &Evaluation{OutsidePSNR: math.NaN()}
		return s.object(func(key []byte) error { return e.Evaluation.parse(s, key) })
	case "alarm":
		e.Alarm = &Alarm{Value: math.NaN(), Limit: math.NaN()}
		return s.object(func(key []byte) error { return e.Alarm.parse(s, key) })
	case "control":
		e.Control = new(Control)
		return s.object(func(key []byte) error { return e.Control.parse(s, key) })
	case "prompt":
		e.Prompt = &PromptResult{GuidanceScale: math.NaN(), OutsidePSNR: math.NaN(), Seconds: math.NaN()}
		return s.object(func(key []byte) error { return e.Prompt.parse(s, key) })
	}
	return s.skip(0)
}

// parseKind shares the text of the kind that nearly every event has.
func parseKind(s *scanner, kind *string) error {
	raw, err := s.raw()
	if string(raw) == "step" {
		*kind = "step"
		return err
	}
	*kind = Clean(string(raw))
	return err
}

func (e *Event) parseTime(s *scanner) error {
	raw, err := s.raw()
	if err != nil {
		return err
	}
	if err := e.Time.UnmarshalText(raw); err != nil {
		return fmt.Errorf("time: %w", err)
	}
	return nil
}

func newTrainStep() *TrainStep {
	no := math.NaN()
	return &TrainStep{
		Loss: no, Reward: no, Region: no, Coverage: no, InsidePSNR: no, OutsidePSNR: no, GradNorm: no, LearningRate: no,
		SampleSeconds: no, DecodeSeconds: no, RewardSeconds: no, BackwardSeconds: no, StepSeconds: no, MemoryMiB: no, DeviceUse: no,
	}
}

func (t *TrainStep) parse(s *scanner, key []byte) error {
	switch string(key) {
	case "aspects":
		return parseAspects(s, &t.Aspects)
	case "skipped":
		return s.truth(&t.Skipped)
	}
	if v := t.number(key); v != nil {
		return s.number(v)
	}
	return s.skip(0)
}

func (t *TrainStep) number(key []byte) *float64 {
	switch string(key) {
	case "loss":
		return &t.Loss
	case "reward":
		return &t.Reward
	case "region":
		return &t.Region
	case "coverage":
		return &t.Coverage
	case "inside_psnr":
		return &t.InsidePSNR
	case "outside_psnr":
		return &t.OutsidePSNR
	case "grad_norm":
		return &t.GradNorm
	case "learning_rate":
		return &t.LearningRate
	case "memory_mib":
		return &t.MemoryMiB
	case "device_use":
		return &t.DeviceUse
	}
	return t.seconds(key)
}

func (t *TrainStep) seconds(key []byte) *float64 {
	switch string(key) {
	case "sample_seconds":
		return &t.SampleSeconds
	case "decode_seconds":
		return &t.DecodeSeconds
	case "reward_seconds":
		return &t.RewardSeconds
	case "backward_seconds":
		return &t.BackwardSeconds
	case "step_seconds":
		return &t.StepSeconds
	}
	return nil
}

func parseAspects(s *scanner, aspects *[]AspectScore) error {
	*aspects = (*aspects)[:0:0]
	return s.list(func() error {
		no := math.NaN()
		a := AspectScore{Base: no, Reward: no, BaseHeldOut: no, HeldOut: no, Fixed: no}
		err := s.object(func(key []byte) error {
			switch string(key) {
			case "aspect":
				return s.string(&a.Aspect)
			case "base":
				return s.number(&a.Base)
			case "reward":
				return s.number(&a.Reward)
			case "base_held_out":
				return s.number(&a.BaseHeldOut)
			case "held_out":
				return s.number(&a.HeldOut)
			case "fixed":
				return s.number(&a.Fixed)
			}
			return s.skip(0)
		})
		*aspects = append(*aspects, a)
		return err
	})
}

func (p *Picture) parse(s *scanner, key []byte) error {
	switch string(key) {
	case "index":
		return s.integer(&p.Index)
	case "prompt":
		return s.string(&p.Prompt)
	case "seed":
		return s.seed(&p.Seed)
	case "path":
		return s.string(&p.Path)
	case "reference":
		return s.string(&p.Reference)
	case "aspects":
		return parseAspects(s, &p.Aspects)
	}
	return s.skip(0)
}

func (e *Evaluation) parse(s *scanner, key []byte) error {
	switch string(key) {
	case "pictures":
		return s.integer(&e.Pictures)
	case "aspects":
		return parseAspects(s, &e.Aspects)
	case "outside_psnr":
		return s.number(&e.OutsidePSNR)
	case "statistics":
		e.Statistics = map[string]float64{}
		return s.object(func(key []byte) error {
			var v float64
			err := s.number(&v)
			e.Statistics[Clean(string(key))] = v
			return err
		})
	}
	return s.skip(0)
}

func (a *Alarm) parse(s *scanner, key []byte) error {
	switch string(key) {
	case "name":
		return s.string(&a.Name)
	case "subject":
		return s.string(&a.Subject)
	case "value":
		return s.number(&a.Value)
	case "limit":
		return s.number(&a.Limit)
	case "action":
		return s.string(&a.Action)
	}
	return s.skip(0)
}

func (c *Control) parse(s *scanner, key []byte) error {
	switch string(key) {
	case "key":
		return s.string(&c.Key)
	case "from":
		return s.string(&c.From)
	case "to":
		return s.string(&c.To)
	}
	return s.skip(0)
}

func (p *PromptResult) parse(s *scanner, key []byte) error {
	switch string(key) {
	case "path":
		return s.string(&p.Path)
	case "prompt":
		return s.string(&p.Prompt)
	case "negative":
		return s.string(&p.Negative)
	case "seed":
		return s.seed(&p.Seed)
	case "num_steps":
		return s.integer(&p.NumSteps)
	case "guidance_scale":
		return s.number(&p.GuidanceScale)
	case "aspects":
		return parseAspects(s, &p.Aspects)
	case "outside_psnr":
		return s.number(&p.OutsidePSNR)
	case "seconds":
		return s.number(&p.Seconds)
	case "fix":
		return s.truth(&p.Fix)
	case "unknown_words":
		return s.string(&p.Unknown)
	}
	return s.skip(0)
}
