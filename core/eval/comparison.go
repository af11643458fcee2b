package eval

import (
	"image"
	"slices"

	"focusnfix/core"
)

// Comparison is what several tunings made of one set of base images, as `focusnfix eval` writes it.
type Comparison struct {
	Run       string   `json:"run"`
	Preset    string   `json:"preset"`
	Model     string   `json:"model"`
	Prompts   string   `json:"prompts,omitempty"` // list or file that was drawn, if not the run's
	Pictures  int      `json:"pictures"`          // drawn by the base model
	Faulty    int      `json:"faulty"`            // of them, by the held-out judges of the trained aspects
	Missed    int      `json:"missed"`            // further ones with a fault that the mask misses
	Every     bool     `json:"every,omitempty"`   // every image counts in PSNR, SSIM and judges, not the faulty ones alone
	Threshold float64  `json:"threshold"`
	Tie       float64  `json:"tie"` // as a share of a judge's range
	Diversity float64  `json:"base_diversity"`
	Tunings   []Tuning `json:"tunings"`
	// Together is what the runs that were asked for, usually seeds of one training, came to.
	Together *Together   `json:"together,omitempty"`
	Equal    *EqualShare `json:"equal_share,omitempty"`
	Rows     []Row       `json:"-"` // images that count, for people

	set *Set
}

// Tuning is what one checkpoint made of the images.
type Tuning struct {
	Run          string      `json:"run"`
	Step         int         `json:"step"`
	RegionWeight float64     `json:"region_weight"`
	Strength     float64     `json:"strength"` // of the LoRA weights; 1 is as trained
	Fixed        int         `json:"fixed"`
	FixedShare   float64     `json:"fixed_share"`
	FixedLow     float64     `json:"fixed_low"` // 95 % confidence interval of the share
	FixedHigh    float64     `json:"fixed_high"`
	PSNR         float64     `json:"psnr"` // medians of the images that count outside their masks, dB
	SSIM         float64     `json:"ssim"`
	CleanPSNR    *float64    `json:"clean_psnr,omitempty"` // of those without a fault, if there are some
	Diversity    float64     `json:"diversity"`
	Judges       []JudgeLine `json:"judges"`
	Pictures     []ImageLine `json:"pictures"` // the faulty ones, and at most as many others as faulty ones were wanted, or all
}

// JudgeLine is what one judge says of the images that count.
type JudgeLine struct {
	Aspect  string  `json:"aspect"`
	HeldOut bool    `json:"held_out"`
	Trained bool    `json:"trained"` // the aspect is; the judge too, if it is not held out
	Base    float64 `json:"base"`    // mean scores
	Tuned   float64 `json:"tuned"`
	Range   float64 `json:"range"`
	Change  float64 `json:"change"` // for the better, as a share of the range
	Faulty  int     `json:"faulty"`
	Fixed   int     `json:"fixed"`
	Wins    int     `json:"wins"`
	Ties    int     `json:"ties"`
	Losses  int     `json:"losses"`
}

// ImageLine is one image.
type ImageLine struct {
	Prompt   string  `json:"prompt"`
	Seed     uint64  `json:"seed"`
	Coverage float64 `json:"coverage"`
	Faulty   bool    `json:"faulty"`
	Fixed    bool    `json:"fixed"`
	PSNR     float64 `json:"psnr"`
	SSIM     float64 `json:"ssim"`
}

// Together is several runs on the same images.
type Together struct {
	Runs       int     `json:"runs"`
	Fixed      int     `json:"fixed"` // sums
	Faulty     int     `json:"faulty"`
	FixedShare float64 `json:"fixed_share"`
	FixedLow   float64 `json:"fixed_low"` // 95 % confidence interval if every image of every run counts as a case
	FixedHigh  float64 `json:"fixed_high"`
	Least      float64 `json:"fixed_share_least"` // of a run
	Most       float64 `json:"fixed_share_most"`
	PSNR       float64 `json:"psnr"` // mean of the runs' medians, dB
	LowestPSNR float64 `json:"psnr_lowest"`
	TopPSNR    float64 `json:"psnr_highest"`
}

// EqualShare is what another run keeps where it repairs as much.
type EqualShare struct {
	Run   string  `json:"run"`
	Share float64 `json:"share"` // that the runs asked for repair
	PSNR  float64 `json:"psnr"`  // theirs, dB
	// Other is the other run's, interpolated between its checkpoints; absent where none repairs so much, or all more.
	Other *float64 `json:"other_psnr,omitempty"`
	Curve []Point  `json:"curve"` // of its checkpoints
}

// Row is one base image and what every tuning made of it.
type Row struct {
	Pair  core.Pair
	Base  *image.RGBA
	Heat  core.Heatmap // strongest of all trained aspects
	Mask  core.Mask
	Tuned []*image.RGBA
}

// NewComparison starts from a set; a change of a judge by less than tie, as a share of its range, is a tie.
func NewComparison(s *Set, tie float64) *Comparison {
	return &Comparison{Pictures: s.Drawn, Faulty: s.CountFaulty(), Missed: s.Missed, Every: s.o.Every, Threshold: s.o.Threshold, Tie: tie, set: s}
}

// Add puts what a tuning drew of the whole set into the comparison. t says whose tuning it is.
func (c *Comparison) Add(t Tuning, d Drawn) {
	c.Diversity, t.Diversity = d.Diversity()
	faulty, clean := c.set.split(d.Images)
	counted := faulty
	if c.Every {
		counted = d.Images
	}
	s := Summarize(counted, c.Threshold, c.Tie)
	t.PSNR, t.SSIM, t.Judges = s.PSNR, s.SSIM, c.lines(s)
	if len(clean) > 0 {
		psnr := Summarize(clean, c.Threshold, c.Tie).PSNR
		t.CleanPSNR = &psnr
	}
	for i, m := range d.Images {
		fixed := c.set.Faulty[i] && c.set.Repaired(m)
		if fixed {
			t.Fixed++
		}
		t.Pictures = append(t.Pictures, ImageLine{m.Pair.Prompt, m.Pair.Seed, m.Coverage, c.set.Faulty[i], fixed, m.PSNR, m.SSIM})
	}
	t.FixedShare = float64(t.Fixed) / float64(max(c.Faulty, 1))
	t.FixedLow, t.FixedHigh = core.Wilson(t.Fixed, c.Faulty)
	c.Tunings = append(c.Tunings, t)
}

// Sum fills Together from the tunings up to now.
func (c *Comparison) Sum() {
	t := Together{Runs: len(c.Tunings), Least: 1, LowestPSNR: MaxPSNR}
	for _, one := range c.Tunings {
		t.Fixed, t.Faulty = t.Fixed+one.Fixed, t.Faulty+c.Faulty
		t.Least, t.Most = min(t.Least, one.FixedShare), max(t.Most, one.FixedShare)
		t.PSNR += one.PSNR / float64(len(c.Tunings))
		t.LowestPSNR, t.TopPSNR = min(t.LowestPSNR, one.PSNR), max(t.TopPSNR, one.PSNR)
	}
	t.FixedShare = float64(t.Fixed) / float64(max(t.Faulty, 1))
	t.FixedLow, t.FixedHigh = core.Wilson(t.Fixed, t.Faulty)
	c.Together = &t
}

// Against compares the tunings up to now with a curve of another run.
func (c *Comparison) Against(run string, curve []Point) {
	c.Sum()
	e := EqualShare{Run: run, Share: c.Together.FixedShare, PSNR: c.Together.PSNR, Curve: curve}
	if psnr, ok := Interpolate(curve, e.Share); ok {
		e.Other = &psnr
	}
	c.Equal = &e
}

// lines are what all judges say, in their order.
func (c *Comparison) lines(s Summary) (lines []JudgeLine) {
	for _, j := range c.set.evaluator.Judges {
		a := s.Judges[j.Role]
		lines = append(lines, JudgeLine{
			Aspect: j.Aspect, HeldOut: j.HeldOut, Trained: slices.Contains(c.set.o.Trained, j.Aspect),
			Base: a.Base, Tuned: a.Tuned, Range: a.Range, Change: a.Change,
			Faulty: a.Faulty, Fixed: a.Fixed, Wins: a.Wins, Ties: s.Images - a.Wins - a.Losses, Losses: a.Losses,
		})
	}
	return lines
}

// Show keeps the first n images that count of what a tuning drew for people. place gives a pair's heatmaps and mask.
func (c *Comparison) Show(d Drawn, n int, place func(core.Pair) (map[string]core.Heatmap, core.Mask, error)) error {
	shown := 0
	for i := range d.Base {
		if !c.Every && !c.set.Faulty[i] || shown == n {
			continue
		}
		if shown == len(c.Rows) {
			heatmaps, mask, err := place(d.Images[i].Pair)
			if err != nil {
				return err
			}
			row := Row{Pair: d.Images[i].Pair, Base: d.Base[i], Mask: mask}
			for _, h := range heatmaps {
				row.Heat = row.Heat.Strongest(h)
			}
			c.Rows = append(c.Rows, row)
		}
		c.Rows[shown].Tuned = append(c.Rows[shown].Tuned, d.Tuned[i])
		shown++
	}
	return nil
}
