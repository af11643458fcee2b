package eval

import (
	"encoding/json"
	"errors"
	"math"
	"testing"

	"focusnfix/core"
	"focusnfix/model/torch"
	"focusnfix/model/torch/torchtest"
)

const side = 16 // pixels

// squares is a Source whose base images have a square of a brightness that follows from the seed; tuned images
// have it darker.
type squares struct {
	darker float64
	drawn  int // batches of base images
}

func square(x torch.Tensor) torch.Tensor { return x.Narrow(2, 4, 8).Narrow(3, 4, 8) }

func (s *squares) draw(pairs []core.Pair, darker float64) torch.Tensor {
	images := torch.Full(0.5, torch.Float32, torch.CPU, int64(len(pairs)), 3, side, side)
	for i, p := range pairs {
		square(images.Narrow(0, int64(i), 1)).Fill(0.6 + 0.1*float64(p.Seed%4) - darker)
	}
	return images
}

func (s *squares) Base(pairs []core.Pair) (images, masks torch.Tensor, err error) {
	s.drawn++
	masks = torch.Zeros(torch.Float32, torch.CPU, int64(len(pairs)), 1, side, side)
	square(masks).Fill(1)
	return s.draw(pairs, 0), masks, nil
}

func (s *squares) Tuned(pairs []core.Pair) (torch.Tensor, error) { return s.draw(pairs, s.darker), nil }

// bright is a judge that finds a fault in the square, or in a corner, as strong as the square is bright.
type bright struct {
	corner bool
	asked  *int
}

func (b bright) Score(images torch.Tensor, _ []string) torch.Tensor {
	if b.asked != nil {
		*b.asked++
	}
	return square(images).Mean(1, 2, 3).Neg()
}

func (b bright) Heatmap(images torch.Tensor, _ []string) torch.Tensor {
	heat := images.NewZeros(images.Size(0), 1, side, side)
	if b.corner {
		heat.Narrow(2, 0, 2).Narrow(3, 0, 2).Fill(0.9)
		return heat
	}
	return images.MeanKeep(1)
}

func (bright) FaultProbability(score float64) float64 { return -score }
func (bright) Close()                                 {}

// TestSet: a fault counts where the mask is; one elsewhere is missed, and does not make an image faulty. What
// judges said of base images is asked once, and the drawing ends where it is told to.
func TestSet(t *testing.T) {
	torchtest.Need(t)
	asked := 0
	source := &squares{}
	held := Role{"spot", true}
	newSet := func(judge bright, progress func(faulty, drawn int) error) (*Set, error) {
		e := &Evaluator{Source: source, Batch: 2, Judges: []Judge{{Role{"spot", false}, bright{}}, {held, judge}}}
		return NewSet(e, SetOptions{
			Trained: []string{"spot"}, Next: func(i int) core.Pair { return core.Pair{Prompt: "a fox", Seed: 500 + uint64(i)} },
			Faulty: 3, Most: 5, Threshold: 0.65, Progress: progress,
		})
	}
	goOn := func(int, int) error { return nil }
	missing, err := newSet(bright{corner: true}, goOn)
	if err != nil || missing.Missed != 5 || missing.CountFaulty() != 0 || missing.Drawn != 5 || len(missing.Pairs) != 3 {
		t.Errorf("fault in a corner: %d missed, %v faulty (%v), want all 5 missed", missing.Missed, missing.Faulty, err)
	}
	set, err := newSet(bright{asked: &asked}, goOn) // squares of .6, .7, .8, .9
	if err != nil || set.CountFaulty() != 3 || set.Faulty[0] || len(set.Pairs) != 4 || set.Missed != 1 {
		t.Fatalf("faulty %v, %d missed (%v), want the last three of 4, and the first missed", set.Faulty, set.Missed, err)
	}
	asked = 0
	source.darker = 0.26 // leaves .64 of the last
	drawn, err := set.Draw(goOn)
	if err != nil || len(drawn.Images) != 4 || len(drawn.Tuned) != 4 || asked != 2 {
		t.Fatalf("%d images, judged in %d calls (%v), want 4 in 2", len(drawn.Images), asked, err)
	}
	source.darker = 0.25 // only one of three is below 1/2 then
	if p, err := set.Share(7, goOn); err != nil || p.Share != 1.0/3 || p.Step != 7 || p.Fixed != 1 || p.Faulty != 3 || p.PSNR != MaxPSNR {
		t.Errorf("darker: %+v (%v), want one of three", p, err)
	}
	if v := drawn.Images[3].Verdicts[held]; v.BaseFault <= 0.75 || v.TunedFault >= 0.65 || drawn.Images[3].PSNR != MaxPSNR {
		t.Errorf("the last image: %+v", drawn.Images[3])
	}
	if base, tuned := drawn.Diversity(); base <= 0 || tuned <= 0 {
		t.Errorf("diversity %g and %g of images of four seeds", base, tuned)
	}
	few, err := NewSet(&Evaluator{Source: source, Batch: 2, Judges: []Judge{{held, bright{}}}}, SetOptions{
		Trained: []string{"spot"}, Next: func(i int) core.Pair { return core.Pair{Prompt: "a fox", Seed: uint64(4*i + min(i/4, 1)*3)} },
		Faulty: 1, Most: 8, Threshold: 0.65, Progress: goOn,
	})
	if err != nil || few.CountFaulty() != 2 || len(few.Pairs) != 3 || few.Drawn != 6 {
		t.Errorf("four healthy images before two faulty ones: %d faulty of %d, %d drawn (%v), want one healthy image kept", few.CountFaulty(), len(few.Pairs), few.Drawn, err)
	}
	stop := errors.New("stop")
	if _, err := newSet(bright{}, func(int, int) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("told to stop: %v", err)
	}
}

// TestEvery: every image counts once, though none or few are faulty.
func TestEvery(t *testing.T) {
	torchtest.Need(t)
	source := &squares{}
	e := &Evaluator{Source: source, Batch: 3, Judges: []Judge{{Role{"spot", false}, bright{}}}}
	var last [2]int
	set, err := NewSet(e, SetOptions{
		Trained: []string{"spot"}, Next: func(i int) core.Pair { return core.Pair{Prompt: string(rune('a' + i)), Seed: uint64(i)} },
		Most: 5, Every: true, Threshold: 0.65, Progress: func(found, drawn int) error { last = [2]int{found, drawn}; return nil },
	})
	if err != nil || len(set.Pairs) != 5 || set.Drawn != 5 || last != [2]int{5, 5} || set.CountFaulty() >= 5 {
		t.Fatalf("%d images, %d drawn, %d faulty, told of %v (%v); want all 5", len(set.Pairs), set.Drawn, set.CountFaulty(), last, err)
	}
	source.darker = 0.25
	drawn, err := set.Draw(func(int, int) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	c := NewComparison(set, 0.05)
	c.Add(Tuning{Run: "x"}, drawn)
	base := 0.0
	for _, m := range drawn.Images {
		base += m.Verdicts[Role{"spot", false}].Base / 5
	}
	if j := c.Tunings[0].Judges[0]; math.Abs(j.Base-base) > 1e-6 || j.Wins+j.Ties+j.Losses != 5 {
		t.Errorf("%+v, want the mean of all five, %g", j, base)
	}
	if _, err := json.Marshal(c); err != nil {
		t.Error(err)
	}
	place := func(core.Pair) (map[string]core.Heatmap, core.Mask, error) { return nil, core.Mask{}, nil }
	if err := c.Show(drawn, 9, place); err != nil || len(c.Rows) != 5 {
		t.Errorf("%d rows for people (%v), want 5", len(c.Rows), err)
	}
}

// TestComparison: what is written of two tunings, and the rows for people.
func TestComparison(t *testing.T) {
	torchtest.Need(t)
	source := &squares{}
	e := &Evaluator{Source: source, Batch: 3, Judges: []Judge{{Role{"spot", false}, bright{}}, {Role{"other", true}, bright{}}}}
	set, err := NewSet(e, SetOptions{
		Trained: []string{"spot"}, Next: func(i int) core.Pair { return core.Pair{Prompt: "a fox", Seed: uint64(i)} },
		Faulty: 3, Most: 6, Threshold: 0.65, Progress: func(int, int) error { return nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	c := NewComparison(set, 0.05)
	place := func(core.Pair) (map[string]core.Heatmap, core.Mask, error) {
		return map[string]core.Heatmap{"spot": {Width: 1, Height: 1, Score: []float32{0.5}}}, core.Mask{}, nil
	}
	for _, darker := range []float64{0, 0.5} {
		source.darker = darker
		drawn, err := set.Draw(func(int, int) error { return nil })
		if err != nil {
			t.Fatal(err)
		}
		c.Add(Tuning{Run: "x", Step: 7}, drawn)
		if err := c.Show(drawn, 2, place); err != nil {
			t.Fatal(err)
		}
	}
	none, all := c.Tunings[0], c.Tunings[1]
	if c.Faulty < 3 || none.Fixed != 0 || none.PSNR != MaxPSNR || all.Fixed != c.Faulty || all.FixedShare != 1 || all.Step != 7 {
		t.Errorf("%d faulty: %+v and %+v", c.Faulty, none, all)
	}
	if j := all.Judges; len(j) != 2 || !j[0].Trained || j[1].Trained || !j[1].HeldOut || j[0].Wins != c.Faulty || none.Judges[0].Ties != c.Faulty {
		t.Errorf("judges %+v", all.Judges)
	}
	if c.Sum(); c.Together.Fixed != c.Faulty || c.Together.FixedShare != 0.5 || c.Together.Least != 0 || c.Together.Most != 1 || c.Together.FixedLow >= 0.5 {
		t.Errorf("together %+v", c.Together)
	}
	if c.Against("x", []Point{{Share: 0.4, PSNR: 30}, {Share: 0.6, PSNR: 20}}); c.Equal.Other == nil || math.Abs(*c.Equal.Other-25) > 1e-9 {
		t.Errorf("at equal share %+v", c.Equal)
	}
	if len(c.Rows) != 2 || len(c.Rows[0].Tuned) != 2 || c.Rows[0].Heat.Score[0] != 0.5 || len(all.Pictures) != len(set.Pairs) {
		t.Errorf("%d rows", len(c.Rows))
	}
}
