package scenes

import (
	"math"
	"os"
	"path/filepath"
	"testing"

	"focusnfix/model/nn/nntest"
	"focusnfix/model/weights"

	"focusnfix/model/nn"
	"focusnfix/model/torch"
	"focusnfix/model/torch/torchtest"
)

// writeTinyJudges writes judges of made-up weights into a model folder.
func writeTinyJudges(t *testing.T) string {
	t.Helper()
	folder, widths := t.TempDir(), JudgeWidths{8, 8, 16, 16}
	if err := os.Mkdir(filepath.Join(folder, "judges"), 0o700); err != nil {
		t.Fatal(err)
	}
	for kind, suffix := range []string{"", "-heldout"} {
		for name, build := range map[string]func(nn.Params){
			"judge":     func(p nn.Params) { NewFaultNet(kind, widths, p) },
			"alignment": func(p nn.Params) { NewWordNet(kind, widths, p) },
		} {
			params := nntest.NewHashed(name)
			if err := torch.Run(func() { build(params) }); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(folder, "judges", name+suffix+".safetensors")
			if err := weights.Write(path, widths.Metadata(), params.Entries()); err != nil {
				t.Fatal(err)
			}
			params.Drop()
		}
	}
	return folder
}

// Every judge gives log-probabilities and heatmaps of the images' size, and gradients in the
// images; images need not be square or of the scenes' size.
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
	images := torchtest.Place(g.Rand(torch.Float32, 2, 3, 64, 96)).Leaf()
	prompts := []string{"a chef in the park", "a chef and a tree at night"}
	score := j.Score(images, prompts)
	if got := score.Shape(); len(got) != 1 || got[0] != 2 || score.Max().Item() > 0 {
		t.Errorf("%v, held out %v: scores %v, want two of at most 0", j.Aspect, j.HeldOut, score.Doubles())
	}
	grad := torch.Grad([]torch.Tensor{score.Sum()}, []torch.Tensor{images}, nil)[0]
	if !grad.Defined() || grad.Abs().Max().Item() == 0 {
		t.Errorf("%v, held out %v: the score has no gradient in the images", j.Aspect, j.HeldOut)
	}
	heat := j.Heatmap(images, prompts)
	if got := torch.ShapeString(heat.Shape()); got != "[2,1,64,96]" || heat.Min().Item() < 0 || heat.Max().Item() > 1 {
		t.Errorf("%v, held out %v: heatmap %s from %g to %g, want [2,1,64,96] in [0,1]", j.Aspect, j.HeldOut, got, heat.Min().Item(), heat.Max().Item())
	}
	if j.Aspect != Misalignment {
		return
	}
	seen := j.Read(images, []Prompt{{First: "chef", Background: "park"}, {First: "chef", Second: "tree", Background: "night"}})
	if got := torch.ShapeString(seen.Words.Shape()); got != "[2,28,8,12]" {
		t.Errorf("held out %v: reads entities %s, want [2,28,8,12]", j.HeldOut, got)
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
