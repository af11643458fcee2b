package eval

import (
	"fmt"
	"maps"
	"math"
	"slices"
)

// Gate watches for a reward that is hacked rather than earned: the trained judge is satisfied while a held-out
// judge, or the images themselves, get worse. Held-out judges of aspects that are not trained count as well: what
// repairs one aspect may harm another.
//
// It compares tuned images of a fixed set of pairs with the base images. A mean that leaves the base model's by
// more than so many standard deviations of the base images is an alarm.
type Gate struct {
	HeldOutDrop     float64 // standard deviations that a held-out judge's mean may get worse; 0 is off
	StatisticsRange float64 // standard deviations that a statistic's mean may move; 0 is off
	DiversityLoss   float64 // share of the base images' diversity that may be lost; 0 is off
}

// leastRise is how far the mean probability of a fault may rise at least. Where the base images have next to no
// fault, standard deviations are next to nothing: over-sexualization on 12 images without a fault had scores of
// -.012 with a deviation of .014, so that half a deviation raised an alarm at a mean P(fault) of .019.
const leastRise = 0.10

// Alarm is one limit that was passed.
type Alarm struct {
	Name    string  // "P(fault)" for a probability, "held-out" for a score, "statistics"
	Subject string  // an aspect; "dark", "edges", "entropy" or "diversity"
	Base    float64 // mean over the base images
	Now     float64 // mean over the tuned images
	Limit   float64 // that Now has passed
}

func (a Alarm) String() string {
	what := a.Subject
	switch a.Name {
	case "P(fault)":
		what = "P(fault) by the " + Role{a.Subject, true}.String() + " judge"
	case "held-out":
		what = Role{a.Subject, true}.String()
	}
	return fmt.Sprintf("%s: %.4g, base model %.4g, limit %.4g", what, a.Now, a.Base, a.Limit)
}

// Check looks at evaluated images.
func (g Gate) Check(d Drawn) []Alarm {
	alarms := g.checkJudges(d.Images)
	if g.StatisticsRange > 0 {
		for _, s := range statistics {
			alarms = append(alarms, g.checkStatistic(s.name, columns(d.Images, s.of))...)
		}
	}
	base, now := d.Diversity()
	if limit := base * (1 - g.DiversityLoss); g.DiversityLoss > 0 && now < limit {
		alarms = append(alarms, Alarm{"statistics", "diversity", base, now, limit})
	}
	return alarms
}

func (g Gate) checkJudges(images []Image) (alarms []Alarm) {
	if g.HeldOutDrop == 0 {
		return nil
	}
	scores, faults := map[string]column{}, map[string]column{}
	for _, m := range images {
		for role, v := range m.Verdicts {
			if !role.HeldOut {
				continue
			}
			if math.IsNaN(v.BaseProbability) {
				scores[role.Aspect] = scores[role.Aspect].add(v.Base, v.Tuned)
			} else {
				faults[role.Aspect] = faults[role.Aspect].add(v.BaseProbability, v.TunedProbability)
			}
		}
	}
	for _, aspect := range slices.Sorted(maps.Keys(faults)) {
		mean, deviation := spread(faults[aspect].base)
		limit := mean + max(g.HeldOutDrop*deviation, leastRise)
		if now, _ := spread(faults[aspect].now); !(now <= limit) {
			alarms = append(alarms, Alarm{"P(fault)", aspect, mean, now, limit})
		}
	}
	for _, aspect := range slices.Sorted(maps.Keys(scores)) {
		mean, deviation := spread(scores[aspect].base)
		limit := mean - g.HeldOutDrop*deviation
		if now, _ := spread(scores[aspect].now); !(now >= limit) {
			alarms = append(alarms, Alarm{"held-out", aspect, mean, now, limit})
		}
	}
	return alarms
}

func (g Gate) checkStatistic(name string, c column) []Alarm {
	mean, deviation := spread(c.base)
	now, _ := spread(c.now)
	move := g.StatisticsRange * deviation
	switch {
	case now > mean+move:
		return []Alarm{{"statistics", name, mean, now, mean + move}}
	case !(now >= mean-move):
		return []Alarm{{"statistics", name, mean, now, mean - move}}
	}
	return nil
}

// Moved is how far each statistic's mean lies from the base images', in their standard deviations; a statistic
// in which these do not differ is left out.
func Moved(images []Image) map[string]float64 {
	moved := map[string]float64{}
	for _, s := range statistics {
		c := columns(images, s.of)
		mean, deviation := spread(c.base)
		if now, _ := spread(c.now); deviation > 0 {
			moved[s.name] = (now - mean) / deviation
		}
	}
	return moved
}

// column is one number of each base image and of each tuned one.
type column struct{ base, now []float64 }

func (c column) add(base, now float64) column {
	return column{append(c.base, base), append(c.now, now)}
}

func columns(images []Image, of func(Statistics) float64) (c column) {
	for _, m := range images {
		c = c.add(of(m.Base), of(m.Tuned))
	}
	return c
}
