package scenes

import (
	"math"
	"path/filepath"
	"testing"

	"focusnfix/model/nn"
	"focusnfix/model/torch"
	"focusnfix/model/torch/torchtest"
)

// writeTinyJudges writes judges of made-up weights into a model folder.
func writeTinyJudges(t *testing.T) string {
	t.Helper()
	o := PretrainOptions{Out: t.TempDir(), Device: torchtest.Device(), Threads: 1, sizes: tinySizes()}
	p, err := o.start()
	if err != nil {
		t.Fatal(err)
	}
	for _, stage := range []string{"judge", "alignment"} {
		for _, k := range []judgeKind{trained(stage), heldOut(stage)} {
			f, vector, err := newLayout(k.data, func(params nn.Params) {
				if stage == "judge" {
					newFaultJudge(k.kind, p.sizes.judge[k.kind], params)
				} else {
					newWordJudge(k.kind, p.sizes.judge[k.kind], params)
				}
			}, nil)
			if err != nil {
				t.Fatal(err)
			}
			if err := p.writeJudge(f, vector, k); err != nil {
				t.Fatal(err)
			}
			torch.Drop(vector)
		}
	}
	return p.folder()
}

// Every judge gives log-probabilities and heatmaps of the pictures' size, and gradients in the
// pictures; pictures need not be square or of the scenes' size.
func TestJudge(t *testing.T) {
	torchtest.Need(t)
	folder := writeTinyJudges(t)
	for _, heldOut := range []bool{false, true} {
		for a := range Aspect(NumAspects) {
			j, err := LoadJudge(folder, a, heldOut, torch.Float32, torchtest.Device())
			if err != nil {
				t.Fatal(err)
			}
			torchtest.Run(t, func() { checkJudge(t, j) })
			j.Close()
		}
	}
}

func checkJudge(t *testing.T, j *Judge) {
	t.Helper()
	g, err := torch.NewGenerator(torch.CPU, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	pictures := g.Rand(torch.Float32, 2, 3, 64, 96).Leaf()
	prompts := []string{"a chef in the park", "a chef and a tree at night"}
	score := j.Score(pictures, prompts)
	if got := score.Shape(); len(got) != 1 || got[0] != 2 || score.Max().Item() > 0 {
		t.Errorf("%v, held out %v: scores %v, want two of at most 0", j.Aspect, j.HeldOut, score.Doubles())
	}
	grad := torch.Grad([]torch.Tensor{score.Sum()}, []torch.Tensor{pictures}, nil)[0]
	if !grad.Defined() || grad.Abs().Max().Item() == 0 {
		t.Errorf("%v, held out %v: the score has no gradient in the pictures", j.Aspect, j.HeldOut)
	}
	heat := j.Heatmap(pictures, prompts)
	if got := torch.ShapeString(heat.Shape()); got != "[2,1,64,96]" || heat.Min().Item() < 0 || heat.Max().Item() > 1 {
		t.Errorf("%v, held out %v: heatmap %s from %g to %g, want [2,1,64,96] in [0,1]", j.Aspect, j.HeldOut, got, heat.Min().Item(), heat.Max().Item())
	}
	if j.Aspect != Misalignment {
		return
	}
	seen := j.Explain(pictures, prompts)
	if len(seen[0]) != 1 || len(seen[1]) != 2 || seen[1][1].Entity != "tree" {
		t.Errorf("explains %v, want the chef, then the chef and the tree", seen)
	}
}

// The score is the logarithm of the probability of no fault.
func TestFaultProbability(t *testing.T) {
	for score, want := range map[float64]float64{0: 0, math.Log(0.75): 0.25, -1e-9: 1e-9, -50: 1} {
		if got := new(Judge).FaultProbability(score); math.Abs(got-want) > 1e-15 {
			t.Errorf("score %g: %g, want %g", score, got, want)
		}
	}
}

func TestLoadJudgeMissing(t *testing.T) {
	torchtest.Need(t)
	_, err := LoadJudge(filepath.Join(t.TempDir(), "none"), Violence, false, torch.Float32, torchtest.Device())
	if err == nil {
		t.Fatal("a judge was read from nowhere")
	}
}

func TestLooseParse(t *testing.T) {
	for text, want := range map[string]Prompt{
		"a chef in the park":                    {First: "chef", Background: "park"},
		"photo of a Chef, with one tree; night": {First: "chef", Second: "tree", Background: "night"},
		"chef left of the car":                  {First: "chef", Second: "car", Relation: LeftOf},
		"nothing that is known":                 {},
	} {
		if got := looseParse(text); got != want {
			t.Errorf("%q: %+v, want %+v", text, got, want)
		}
	}
}

func TestMeasures(t *testing.T) {
	// By hand: of the four pairs (faulty, faultless) three are in order, one is a tie.
	if got := areaUnderCurve([]float64{0.9, 0.5, 0.5, 0.1}, []bool{true, true, false, false}); math.Abs(got-0.875) > 1e-12 {
		t.Errorf("area under the curve %g, want 0.875", got)
	}
	if got := intersectionOverUnion([]float32{0.9, 0.6, 0.1, 0.2}, []uint8{1, 0, 1, 0}); math.Abs(got-1.0/3) > 1e-12 {
		t.Errorf("intersection over union %g, want a third", got)
	}
	if got := correlation([]float64{1, 2, 3}, []float64{-2, -4, -6}); math.Abs(got+1) > 1e-12 {
		t.Errorf("correlation %g, want -1", got)
	}
}
