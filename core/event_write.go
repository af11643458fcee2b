package core

import (
	"maps"
	"slices"
)

const timeLayout = "2006-01-02T15:04:05.000000Z"

// AppendJSON appends the event as one JSON object, without a newline.
func (e *Event) AppendJSON(line []byte) []byte {
	o := &object{line: line}
	o.open()
	o.key("time")
	o.line = append(e.Time.UTC().AppendFormat(append(o.line, '"'), timeLayout), '"')
	o.text("kind", e.Kind)
	o.integer("step", uint64(max(e.Step, 0)))
	o.text("state", e.State)
	o.text("message", e.Message)
	o.text("path", e.Path)
	if e.Train != nil {
		o.sub("train", e.Train.append)
	}
	o.list("pictures", len(e.Pictures), func(i int) { e.Pictures[i].append(o) })
	if e.Evaluation != nil {
		o.sub("evaluation", e.Evaluation.append)
	}
	if e.Alarm != nil {
		o.sub("alarm", e.Alarm.append)
	}
	if c := e.Control; c != nil {
		o.sub("control", func(o *object) {
			o.text("key", c.Key)
			o.text("from", c.From)
			o.text("to", c.To)
		})
	}
	if e.Prompt != nil {
		o.sub("prompt", e.Prompt.append)
	}
	o.close()
	return o.line
}

func (t *TrainStep) append(o *object) {
	o.number("loss", t.Loss)
	o.number("reward", t.Reward)
	appendAspects(o, t.Aspects)
	o.number("region", t.Region)
	o.number("coverage", t.Coverage)
	o.number("inside_psnr", t.InsidePSNR)
	o.number("outside_psnr", t.OutsidePSNR)
	o.number("grad_norm", t.GradNorm)
	o.number("learning_rate", t.LearningRate)
	o.number("sample_seconds", t.SampleSeconds)
	o.number("decode_seconds", t.DecodeSeconds)
	o.number("reward_seconds", t.RewardSeconds)
	o.number("backward_seconds", t.BackwardSeconds)
	o.number("step_seconds", t.StepSeconds)
	o.number("memory_mib", t.MemoryMiB)
	o.number("device_use", t.DeviceUse)
	o.truth("skipped", t.Skipped)
}

func appendAspects(o *object, aspects []AspectScore) {
	o.list("aspects", len(aspects), func(i int) {
		a := &aspects[i]
		o.text("aspect", a.Aspect)
		o.number("base", a.Base)
		o.number("reward", a.Reward)
		o.number("base_held_out", a.BaseHeldOut)
		o.number("held_out", a.HeldOut)
		o.number("fixed", a.Fixed)
	})
}

func (p *Picture) append(o *object) {
	o.integer("index", uint64(max(p.Index, 0)))
	o.text("prompt", p.Prompt)
	o.integer("seed", p.Seed)
	o.text("path", p.Path)
	o.text("reference", p.Reference)
	appendAspects(o, p.Aspects)
}

func (e *Evaluation) append(o *object) {
	o.integer("pictures", uint64(max(e.Pictures, 0)))
	appendAspects(o, e.Aspects)
	o.number("outside_psnr", e.OutsidePSNR)
	if len(e.Statistics) > 0 {
		o.sub("statistics", func(o *object) {
			for _, name := range slices.Sorted(maps.Keys(e.Statistics)) {
				o.measured(name, e.Statistics[name])
			}
		})
	}
}

func (a *Alarm) append(o *object) {
	o.text("name", a.Name)
	o.text("subject", a.Subject)
	o.number("value", a.Value)
	o.number("limit", a.Limit)
	o.text("action", a.Action)
}

func (p *PromptResult) append(o *object) {
	o.text("path", p.Path)
	o.text("prompt", p.Prompt)
	o.text("negative", p.Negative)
	o.integer("seed", p.Seed)
	o.integer("num_steps", uint64(max(p.NumSteps, 0)))
	o.number("guidance_scale", p.GuidanceScale)
	appendAspects(o, p.Aspects)
	o.number("outside_psnr", p.OutsidePSNR)
	o.number("seconds", p.Seconds)
	o.truth("fix", p.Fix)
	o.text("unknown_words", p.Unknown)
}
