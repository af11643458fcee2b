package engine

import (
	"context"
	"fmt"
	"image"
	"os"
	"path/filepath"

	"focusnfix/core"
	"focusnfix/core/run"
	"focusnfix/core/train"
	"focusnfix/model/reward"
)

// Compare draws held-out pictures with the base model and with tunings, and lets judges say what became of
// them. It trains nothing and changes nothing in the runs but the cache of references.
type Compare struct {
	Run        run.Folder
	Checkpoint run.Checkpoint
	Against    *run.Folder // a run with the same base model, or nil
	Pictures   int         // faulty pictures of the base model that are wanted
	Shown      int         // pictures that Comparison.Rows has

	Warn     func(line string)
	Progress func(what string, done, of int) // may be nil
	Kinds    []reward.Kind                   // further rewards
}

// faultThreshold is where a held-out judge's heatmap says fault rather than not.
const faultThreshold = 0.5

const (
	mostPerFaulty = 4  // pictures that are drawn at most for each faulty one that is wanted
	trialPictures = 24 // by which a checkpoint of the other run is chosen
	tie           = 0.05
	examSeeds     = 1 << 40 // beyond those of any training
)

// Comparison is the result.
type Comparison struct {
	Run       string   `json:"run"`
	Preset    string   `json:"preset"`
	Model     string   `json:"model"`
	Pictures  int      `json:"pictures"` // drawn by the base model
	Faulty    int      `json:"faulty"`   // of them, by the held-out judges of the trained aspects
	Missed    int      `json:"missed"`   // further ones with a fault that the mask misses
	Threshold float64  `json:"threshold"`
	Tie       float64  `json:"tie"` // as a share of a judge's range
	Diversity float64  `json:"base_diversity"`
	Tunings   []Tuning `json:"tunings"`
	Rows      []Row    `json:"-"` // faulty pictures, for people
}

// Tuning is what one checkpoint made of the pictures.
type Tuning struct {
	Run          string   `json:"run"`
	Step         int      `json:"step"`
	RegionWeight float64  `json:"region_weight"`
	Fixed        int      `json:"fixed"`
	FixedShare   float64  `json:"fixed_share"`
	PSNR         float64  `json:"psnr"` // medians of the faulty pictures outside their masks, dB
	SSIM         float64  `json:"ssim"`
	CleanPSNR    *float64 `json:"clean_psnr,omitempty"` // of those without fault, if there are some
	Diversity    float64  `json:"diversity"`
	Judges       []Voice  `json:"judges"`
	Pictures     []Result `json:"pictures"`
}

// Voice is what one judge says of the faulty pictures.
type Voice struct {
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

// Result is one picture.
type Result struct {
	Prompt   string  `json:"prompt"`
	Seed     uint64  `json:"seed"`
	Coverage float64 `json:"coverage"`
	Faulty   bool    `json:"faulty"`
	Fixed    bool    `json:"fixed"`
	PSNR     float64 `json:"psnr"`
	SSIM     float64 `json:"ssim"`
}

// Row is one picture of the base model and what every tuning made of it.
type Row struct {
	Base  *image.RGBA
	Heat  core.Heatmap // strongest of all trained aspects
	Mask  core.Mask
	Tuned []*image.RGBA
}

// Do runs the comparison. When ctx ends, so does it.
func (c Compare) Do(ctx context.Context) (*Comparison, error) {
	config, err := c.Run.Config()
	if err == nil {
		err = c.fits(config)
	}
	if err != nil {
		return nil, err
	}
	references, drop, err := c.references()
	if err != nil {
		return nil, err
	}
	defer drop()
	s, err := Open(config, Settings{References: references, Warn: c.Warn, Kinds: c.Kinds})
	if err != nil {
		return nil, err
	}
	defer s.Close()
	t, err := s.Trainer()
	if err != nil {
		return nil, err
	}
	defer t.Close()
	others, err := s.OtherJudges()
	if err != nil {
		return nil, err
	}
	x := &comparing{Compare: c, ctx: ctx, judges: append(s.Judges, others...)}
	x.exam, err = t.NewExam(train.ExamOptions{
		Judges: x.judges, Next: s.examPair, Faulty: c.Pictures, Most: c.Pictures * mostPerFaulty, Threshold: faultThreshold,
		Progress: func(faulty, _ int) error { return x.progress("base model, faulty pictures", faulty, c.Pictures) },
	})
	if err != nil {
		return nil, err
	}
	return x.all(config)
}

// references is the run's folder of them, or a passing one where that cannot be written.
func (c Compare) references() (dir string, drop func(), err error) {
	dir = filepath.Join(c.Run.Dir, run.References)
	if c.Run.Sound() == nil && os.MkdirAll(dir, 0o755) == nil {
		if try, err := os.MkdirTemp(dir, ".new-"); err == nil {
			return dir, func() {}, os.Remove(try)
		}
	}
	dir, err = os.MkdirTemp("", "focusnfix-references-")
	return dir, func() { _ = os.RemoveAll(dir) }, err
}

// examPair is picture i of an exam: held-out prompts in turn, each with two seeds at a time, so that seeds
// can be compared. All runs of a model get the same ones, whatever seed they are trained with.
func (s *Session) examPair(i int) train.Pair {
	return train.Pair{Prompt: s.HeldOut[i/2%len(s.HeldOut)], Seed: examSeeds + uint64(i)}
}

// fits checks that the other run starts from the same pictures.
func (c Compare) fits(config core.Config) error {
	if c.Against == nil {
		return nil
	}
	other, err := c.Against.Config()
	if err != nil {
		return err
	}
	ours, err := c.Run.Info()
	if err != nil {
		return err
	}
	theirs, err := c.Against.Info()
	if err != nil {
		return err
	}
	if ours.ModelHash != theirs.ModelHash || other.Sample != config.Sample {
		return fmt.Errorf("%s and %s draw with other models or samplers: their base pictures differ", c.Run.Name(), c.Against.Name())
	}
	return nil
}

// comparing is a comparison under way.
type comparing struct {
	Compare
	ctx    context.Context
	judges []train.Judge
	exam   *train.Exam
	result *Comparison
}

func (x *comparing) progress(what string, done, of int) error {
	if x.Progress != nil && what != "" {
		x.Progress(what, done, of)
	}
	return x.ctx.Err()
}

// all lets the tunings sit the exam, one after the other.
func (x *comparing) all(config core.Config) (*Comparison, error) {
	info, err := x.Run.Info()
	if err != nil {
		return nil, err
	}
	x.result = &Comparison{
		Run: x.Run.Name(), Preset: info.Preset, Model: info.Model, Pictures: len(x.exam.Pairs), Missed: x.exam.Missed,
		Threshold: faultThreshold, Tie: tie,
	}
	for _, faulty := range x.exam.Faulty {
		if faulty {
			x.result.Faulty++
		}
	}
	if x.result.Faulty < x.Pictures && x.Warn != nil {
		x.Warn(fmt.Sprintf("%d of %d pictures of the base model are faulty, %d were wanted", x.result.Faulty, x.result.Pictures, x.Pictures))
	}
	if x.result.Faulty == 0 {
		return nil, fmt.Errorf("none of %d pictures of the base model has a fault: nothing to compare", x.result.Pictures)
	}
	if err := x.sit(config, x.Run, x.Checkpoint); err != nil || x.Against == nil {
		return x.result, err
	}
	if config, err = x.Against.Config(); err != nil {
		return nil, err
	}
	checkpoint, err := x.choose(*x.Against)
	if err != nil {
		return nil, err
	}
	return x.result, x.sit(config, *x.Against, checkpoint)
}

// sit adds one tuning to the result.
func (x *comparing) sit(config core.Config, f run.Folder, c run.Checkpoint) error {
	sat, err := x.exam.Sit(train.LoRAFile(c.Dir), len(x.exam.Pairs), func(done, of int) error {
		return x.progress(fmt.Sprintf("%s step %d", f.Name(), c.Step), done, of)
	})
	if err != nil {
		return err
	}
	t := Tuning{Run: f.Name(), Step: c.Step, RegionWeight: config.Region.Weight, Diversity: x.exam.Diversity(sat.Tuned)}
	faulty, clean := x.exam.Split(sat.All)
	s := train.Summarize(faulty, faultThreshold, tie)
	t.PSNR, t.SSIM = s.PSNR, s.SSIM
	if len(clean) > 0 {
		psnr := train.Summarize(clean, faultThreshold, tie).PSNR
		t.CleanPSNR = &psnr
	}
	for i, one := range sat.All {
		fixed := x.exam.Faulty[i] && x.exam.Repaired(one)
		if fixed {
			t.Fixed++
		}
		t.Pictures = append(t.Pictures, Result{one.Pair.Prompt, one.Pair.Seed, one.Coverage, x.exam.Faulty[i], fixed, one.PSNR, one.SSIM})
	}
	t.FixedShare = float64(t.Fixed) / float64(x.result.Faulty)
	t.Judges = x.voices(s)
	x.result.Diversity = x.exam.Diversity(sat.Base)
	x.result.Tunings = append(x.result.Tunings, t)
	return x.show(sat)
}

// voices are what all judges say, those of trained aspects first.
func (x *comparing) voices(s train.Summary) (voices []Voice) {
	trained := map[string]bool{}
	for _, j := range x.judges {
		trained[j.Aspect] = trained[j.Aspect] || !j.HeldOut
	}
	for _, j := range x.judges {
		a := s.Aspects[j.Name()]
		voices = append(voices, Voice{
			Aspect: j.Aspect, HeldOut: j.HeldOut, Trained: trained[j.Aspect], Base: a.Base, Tuned: a.Tuned, Range: a.Range, Change: a.Change,
			Faulty: a.Faulty, Fixed: a.Fixed, Wins: a.Wins, Ties: s.Pictures - a.Wins - a.Losses, Losses: a.Losses,
		})
	}
	return voices
}

// show keeps the first faulty pictures for people.
func (x *comparing) show(sat train.Sat) error {
	shown := 0
	for i := range sat.Base {
		if !x.exam.Faulty[i] || shown == x.Shown {
			continue
		}
		if shown == len(x.result.Rows) {
			place, err := x.exam.Place(i)
			if err != nil {
				return err
			}
			row := Row{Base: sat.Base[i], Mask: place.Mask}
			for _, h := range place.Heatmaps {
				row.Heat = strongest(row.Heat, h)
			}
			x.result.Rows = append(x.result.Rows, row)
		}
		x.result.Rows[shown].Tuned = append(x.result.Rows[shown].Tuned, sat.Tuned[i])
		shown++
	}
	return nil
}

// strongest is the larger of two heatmaps at each pixel.
func strongest(a, b core.Heatmap) core.Heatmap {
	if len(a.Score) == 0 {
		return b
	}
	all := core.Heatmap{Width: a.Width, Height: a.Height, Score: make([]float32, len(a.Score))}
	for i := range all.Score {
		all.Score[i] = max(a.Score[i], b.Score[i])
	}
	return all
}
