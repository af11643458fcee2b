package train

import (
	"errors"
	"testing"

	"focusnfix/model/torch"
	"focusnfix/model/torch/torchtest"
)

// blind is a judge that holds every picture for faulty and sees the fault in one corner, or nowhere.
type blind struct {
	spotted
	corner bool
}

func (blind) FaultProbability(float64) float64 { return 0.9 }

func (b blind) Heatmap(images torch.Tensor, _ []string) torch.Tensor {
	heat := images.NewZeros(images.Size(0), 1, tinySide, tinySide)
	if b.corner {
		heat.Narrow(2, 24, 8).Narrow(3, 24, 8).Fill(0.9)
	}
	return heat
}

// TestExam: a fault counts where the mask is; one elsewhere is missed, and does not make a picture faulty. A
// tuning that is none changes nothing, and the drawing ends where it is told to.
func TestExam(t *testing.T) {
	torchtest.Need(t)
	tr := newTrainer(t, tinyOptions(t.TempDir()))
	exam := func(judge Judge, progress func(faulty, drawn int) error) (*Exam, error) {
		return tr.NewExam(ExamOptions{
			Judges: []Judge{{"spot", spotted{}, false}, judge}, Next: func(i int) Pair { return Pair{"a fox", 500 + uint64(i)} },
			Faulty: 3, Most: 5, Threshold: 0.5, Progress: progress,
		})
	}
	goOn := func(int, int) error { return nil }
	missing, err := exam(Judge{"spot", blind{corner: true}, true}, goOn)
	if err != nil || missing.Missed != 5 || missing.faulty(5) != 0 || len(missing.Pairs) != 5 {
		t.Errorf("fault in a corner: %d missed, %v faulty (%v), want all 5 missed", missing.Missed, missing.Faulty, err)
	}
	seeing, err := exam(Judge{"spot", spotted{}, true}, goOn)
	if err != nil || seeing.Missed != 0 || len(seeing.Pairs) != 4 { // two batches of two
		t.Fatalf("fault in the mask: %d missed of %d (%v), want none of 4", seeing.Missed, len(seeing.Pairs), err)
	}
	sat, err := seeing.Sit("", 3, goOn)
	if err != nil || len(sat.All) != 3 || sat.All[2].PSNR < 90 || seeing.Repaired(sat.All[0]) {
		t.Errorf("no tuning: %+v (%v)", sat.All, err)
	}
	if d := seeing.Diversity(sat.Base); d <= 0 || d != seeing.Diversity(sat.Base[:3]) {
		t.Errorf("diversity %g of pictures of three seeds", d)
	}
	stop := errors.New("stop")
	if _, err := exam(Judge{"spot", spotted{}, true}, func(int, int) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("told to stop: %v", err)
	}
	if _, err := seeing.Sit("/nowhere.safetensors", 3, goOn); err == nil {
		t.Error("a LoRA file that is not there was taken")
	}
}
