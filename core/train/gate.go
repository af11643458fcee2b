package train

import (
	"fmt"
	"math"
)

// Gate watches for a reward that is hacked rather than earned: the trained judge is satisfied while a
// judge that was never trained on, or the pictures themselves, get worse.
//
// It compares the tuned model's pictures of a fixed set of pairs with the base model's. A mean that
// leaves the base's by more than so many of its standard deviations is an alarm.
type Gate struct {
	HeldOutDrop     float64 // standard deviations that a held-out judge's mean score may fall; 0 is off
	StatisticsRange float64 // standard deviations that a statistic's mean may move; 0 is off
	DiversityLoss   float64 // share of the base's seed diversity that may be lost; 0 is off

	base View
}

// View is what the gate looks at: numbers of the same pictures, one each.
type View struct {
	HeldOut    map[string][]float64 // scores of held-out judges, by aspect
	Statistics []Statistics
	Diversity  float64
}

// Alarm is one limit that was passed.
type Alarm struct {
	What  string  // "held-out violence", "dark", "diversity" say
	Base  float64 // mean over the base model's pictures
	Now   float64 // mean over the tuned model's
	Limit float64 // that Now has passed
}

func (a Alarm) String() string {
	return fmt.Sprintf("%s: %.4g, base model %.4g, limit %.4g", a.What, a.Now, a.Base, a.Limit)
}

// NewGate starts from the base model's pictures.
func NewGate(g Gate, base View) *Gate {
	g.base = base
	return &g
}

// Check compares the tuned model's pictures with the base model's.
func (g *Gate) Check(now View) []Alarm {
	var alarms []Alarm
	if g.HeldOutDrop > 0 {
		for _, aspect := range sortedKeys(g.base.HeldOut) {
			mean, deviation := spread(g.base.HeldOut[aspect])
			limit := mean - g.HeldOutDrop*deviation
			if m, _ := spread(now.HeldOut[aspect]); !(m >= limit) {
				alarms = append(alarms, Alarm{"held-out " + aspect, mean, m, limit})
			}
		}
	}
	if g.StatisticsRange > 0 {
		for _, s := range statistics {
			alarms = append(alarms, g.checkStatistic(s.name, column(g.base.Statistics, s.of), column(now.Statistics, s.of))...)
		}
	}
	if limit := g.base.Diversity * (1 - g.DiversityLoss); g.DiversityLoss > 0 && now.Diversity < limit {
		alarms = append(alarms, Alarm{"diversity", g.base.Diversity, now.Diversity, limit})
	}
	return alarms
}

func (g *Gate) checkStatistic(name string, base, now []float64) []Alarm {
	mean, deviation := spread(base)
	m, _ := spread(now)
	move := g.StatisticsRange * deviation
	switch {
	case m > mean+move:
		return []Alarm{{name, mean, m, mean + move}}
	case !(m >= mean-move):
		return []Alarm{{name, mean, m, mean - move}}
	}
	return nil
}

var statistics = []struct {
	name string
	of   func(Statistics) float64
}{
	{"dark", func(s Statistics) float64 { return s.Dark }},
	{"edges", func(s Statistics) float64 { return s.Edges }},
	{"entropy", func(s Statistics) float64 { return s.Entropy }},
}

func column(all []Statistics, of func(Statistics) float64) []float64 {
	values := make([]float64, len(all))
	for i, s := range all {
		values[i] = of(s)
	}
	return values
}

// spread is the mean and the standard deviation; NaN for no values.
func spread(values []float64) (mean, deviation float64) {
	n := float64(len(values))
	for _, v := range values {
		mean += v / n
	}
	if n == 0 {
		return math.NaN(), math.NaN()
	}
	for _, v := range values {
		deviation += (v - mean) * (v - mean) / n
	}
	return mean, math.Sqrt(deviation)
}
