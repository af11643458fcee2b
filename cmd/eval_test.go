package cmd

import (
	"encoding/json"
	"image"
	"image/color"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"focusnfix/core"
	"focusnfix/core/engine"
	"focusnfix/core/eval"
	"focusnfix/core/run"
	"focusnfix/model/torch/torchtest"
)

func testComparison() *eval.Comparison {
	flat := func(level uint8) *image.RGBA {
		m := image.NewRGBA(image.Rect(0, 0, 16, 8))
		for i := range m.Pix {
			m.Pix[i] = level | 0xff*uint8((i%4)/3)
		}
		return m
	}
	heat := core.Heatmap{Width: 16, Height: 8, Score: make([]float32, 16*8)}
	for i := range 16 * 4 {
		heat.Score[i] = 1 // the upper half
	}
	psnr, other := 41.26, 20.5
	ours := eval.Tuning{
		Run: "ours", Step: 60, RegionWeight: 12, Strength: 1, Fixed: 9, FixedShare: 0.9, FixedLow: 0.596, FixedHigh: 0.982, PSNR: 31.24, SSIM: 0.951, CleanPSNR: &psnr, Diversity: 0.3,
		Judges: []eval.JudgeLine{
			{Aspect: "violence", Trained: true, Base: -2, Tuned: -0.1, Change: 0.8, Faulty: 10, Fixed: 9, Wins: 9, Ties: 1},
			{Aspect: "violence", Trained: true, HeldOut: true, Base: -2, Tuned: -0.2, Change: 0.75, Faulty: 10, Fixed: 9, Wins: 8, Ties: 1, Losses: 1},
			{Aspect: "artifacts", HeldOut: true, Base: -0.1, Tuned: -0.12, Change: -0.0123, Wins: 0, Ties: 9, Losses: 1},
		},
	}
	draft := eval.Tuning{Run: "draft", Step: 20, Strength: 0.5, Fixed: 9, FixedShare: 0.9, FixedLow: 0.596, FixedHigh: 0.982, PSNR: 18, SSIM: 0.7, Diversity: 0.2}
	return &eval.Comparison{
		Run: "ours", Pictures: 12, Faulty: 10, Missed: 1, Diversity: 0.31, Tunings: []eval.Tuning{ours, draft},
		Together: &eval.Together{Runs: 2, Fixed: 18, Faulty: 20, FixedShare: 0.9, FixedLow: 0.699, FixedHigh: 0.972, Least: 0.9, Most: 0.9, PSNR: 24.6, LowestPSNR: 18, TopPSNR: 31.24},
		Equal:    &eval.EqualShare{Run: "draft", Share: 0.9, PSNR: 31.24, Other: &other, Curve: make([]eval.Point, 3)},
		Rows:     []eval.Row{{Pair: core.Pair{Prompt: "a chef", Seed: 7}, Base: flat(100), Heat: heat, Mask: heat.Threshold(0.5), Tuned: []*image.RGBA{flat(110), flat(100)}}},
	}
}

func TestComparisonTable(t *testing.T) {
	var b strings.Builder
	printComparison(&b, testComparison())
	got := strings.Join(strings.Fields(b.String()), " ")
	for _, want := range []string{
		"ours: 12 held-out images of the base model, 10 of them faulty, and 1 with a fault that the mask misses", "BASE ours step 60 draft step 20 at 0.5",
		"region weight 12 0 faults repaired (95 %) 9 of 10, 90 % (60-98) 9 of 10, 90 % (60-98)", "PSNR 31.2 dB 18.0 dB", "images without fault, PSNR 41.3 dB none",
		"2 runs together: 18 of 20, 90 % (70-97); by run 90 to 90 %, PSNR 18.0 to 31.2 dB, mean 24.6 dB",
		"at 90 % repaired: 31.2 dB outside the mask, draft 20.5 dB (interpolated between its 3 checkpoints), +10.7 dB",
		"difference between seeds 0.310 0.300 0.200", "violence trained on -2.000 → -0.100 +80.0 % 10 90 % (60-98) 9/1/0",
		"violence held-out -2.000 → -0.200 +75.0 % 10 90 % (60-98) 8/1/1", "artifacts not trained -0.100 → -0.120 -1.2 % 0/9/1",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
	if strings.Contains(b.String(), "\x1b") {
		t.Error("escape sequences where there is no terminal")
	}
}

// TestComparisonFiles: the numbers read back, and the sheet has labels, base, heat, mask, and two columns a tuning.
func TestComparisonFiles(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new")
	e, r := evalFlags{out: dir, prompts: "lists/fresh.txt"}, testComparison()
	text, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	against := run.Folder{Dir: "runs/draft"}
	saved, err := e.save(engine.Compare{Runs: []engine.Tuned{{Checkpoint: run.Checkpoint{Step: 60}}}, Against: &against}, r, text)
	if err != nil || len(saved) != 2 || filepath.Base(saved[0]) != "evaluation-step-000060-on-fresh-against-draft.json" {
		t.Fatalf("%v %v", saved, err)
	}
	data, err := os.ReadFile(saved[0])
	var back eval.Comparison
	if err != nil || json.Unmarshal(data, &back) != nil || back.Tunings[0].Judges[2].Change != -0.0123 || *back.Tunings[0].CleanPSNR != 41.26 {
		t.Errorf("%v %s", err, data)
	}
	file, err := os.Open(saved[1])
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	m, err := png.Decode(file)
	if err != nil || m.Bounds().Dx() != 7*(16+sheetGap)+sheetGap || m.Bounds().Dy() != 8+2*sheetGap+2*sheetLine {
		t.Fatalf("sheet %v %v", m.Bounds(), err)
	}
	at := func(column, x, y int) color.RGBA {
		return color.RGBAModel.Convert(m.At(sheetGap+column*(16+sheetGap)+x, 2*sheetLine+y)).(color.RGBA)
	}
	grey := func(v uint8) color.RGBA { return color.RGBA{v, v, v, 255} }
	for i, want := range []color.RGBA{grey(100), {}, grey(255), grey(110), grey(40), grey(100), grey(0)} {
		if got := at(i, 8, 1); i != 1 && got != want {
			t.Errorf("column %d is %v, want %v", i, got, want)
		}
	}
	ink := 0
	for y := range 2 * sheetLine {
		for x := range m.Bounds().Dx() {
			if r, _, _, _ := m.At(x, y).RGBA(); r == 0 {
				ink++
			}
		}
	}
	if ink < 50 {
		t.Errorf("%d black pixels where labels are", ink)
	}
	if at(1, 8, 1) == grey(100) || at(1, 8, 7) != grey(100) {
		t.Errorf("heat: %v in the upper half, %v in the lower", at(1, 8, 1), at(1, 8, 7))
	}
}

// TestEvalWithoutFaults: the tiny model draws nothing that the judges mind, which is said, and nothing is
// written.
func TestEvalWithoutFaults(t *testing.T) {
	torchtest.Need(t)
	runs := t.TempDir()
	dir := filepath.Join(runs, "mine")
	if code, _, problems := inRuns(t, runs, "train --steps 1 -p "+tinyPreset(t)+" --run "+dir); code != exitDone {
		t.Fatal(problems)
	}
	code, out, problems := inRuns(t, runs, "eval mine --pictures 1")
	for _, want := range []string{
		"warning: 0 of 8 images of the base model are faulty, 1 were wanted", "error: none of 8 images of the base model has a fault",
	} {
		if code != exitFailed || out != "" || !strings.Contains(problems, want) {
			t.Errorf("%d %q %q, want %q", code, out, problems, want)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "evaluation-*")); len(left) > 0 {
		t.Errorf("there are %v", left)
	}
}

func TestEvalRefuses(t *testing.T) {
	runs := t.TempDir()
	f := tinyRun(t, runs)
	newTestRun(t, runs, "empty")
	for want, c := range map[string]struct {
		args string
		code int
	}{
		"--pictures 0 --show 8: want 1 or more":           {"eval violence --pictures 0", exitUsage},
		"no run \"zebra\"":                                {"eval zebra", exitFailed},
		"no checkpoint yet":                               {"eval empty", exitFailed},
		"hint:  focusnfix train -p violence --set region": {"eval violence --against draft", exitFailed},
		"no run \"giraffe\"":                              {"eval violence --against giraffe", exitFailed},
		"no checkpoint of step 7, want one of 20, 40":     {"eval " + f.Name() + " --checkpoint 7", exitFailed},
	} {
		code, _, problems := inRuns(t, runs, c.args)
		if code != c.code || !strings.Contains(problems, want) {
			t.Errorf("%s: %d, %q; want %d, %q", c.args, code, problems, c.code, want)
		}
	}
}
