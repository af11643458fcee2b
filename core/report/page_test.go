package report

import (
	"bytes"
	"encoding/base64"
	"image"
	"image/color"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"focusnfix/core"
	"focusnfix/core/run"
)

// hostile closes whatever it stands in, and would be seen if it were carried out.
const hostile = `"'></title></script></style><script>document.title="owned"</script><img src=x onerror="document.title='owned'">{{.}}` + "`${1}\u2028"

// testRun is a run of so many steps with images, and with the text wherever a folder can hold it.
func testRun(t *testing.T, preset, text string, steps int) run.Folder {
	t.Helper()
	c := core.Default()
	c.Train.Steps = steps
	c.Reward = []core.Reward{{Aspect: "violence", Model: "scenes", Weight: 1, Threshold: 0.5, Heatmap: "head"}}
	f, err := run.Create(t.TempDir(), run.Info{Preset: preset, Model: "builtin:scenes" + text, Version: "test"}, c)
	if err != nil {
		t.Fatal(err)
	}
	log, err := f.OpenLog()
	if err != nil {
		t.Fatal(err)
	}
	scores := []core.AspectScore{{Aspect: "violence" + text, Base: 0.3, Reward: 0.8, BaseHeldOut: 0.35, HeldOut: 0.75, Fixed: 0.9}}
	add := func(e core.Event) {
		e.Time = time.Date(2026, 11, 27, 12, 0, e.Step, 0, time.UTC)
		if err := log.Append(e); err != nil {
			t.Fatal(err)
		}
	}
	for step := 1; step <= steps; step++ {
		x := float64(step) / float64(steps)
		psnr := 30 + 3*x
		if step == 1 {
			psnr = 100 // nothing has changed yet
		}
		add(core.Event{Kind: "step", Step: step, Train: &core.TrainStep{
			Loss: -x, Reward: x + 0.01*math.Sin(float64(7*step)), Region: 0.1, OutsidePSNR: psnr, InsidePSNR: math.NaN(),
			Aspects: []core.AspectScore{{Aspect: "violence" + text, Base: 0.3, Reward: 0.3 + x/2, HeldOut: math.NaN(), BaseHeldOut: math.NaN(), Fixed: math.NaN()}},
		}})
	}
	add(core.Event{Kind: "evaluation", Step: steps, Evaluation: &core.Evaluation{Pictures: 24, Aspects: scores, OutsidePSNR: 31.5}})
	add(core.Event{Kind: "alarm", Step: steps, Alarm: &core.Alarm{Name: "held-out" + text, Subject: text, Value: 1, Limit: 2, Action: "warn"}})
	picture := core.Picture{
		Index: 0, Prompt: "a chef in the park" + text, Seed: 7, Path: run.PicturePath(steps, 0, 7), Reference: "reference/ab", Aspects: scores,
	}
	add(core.Event{Kind: "pictures", Step: steps, Pictures: []core.Picture{picture, {Index: 1, Path: "../../etc/passwd", Reference: text}}})
	for name, c := range map[string]color.Color{
		picture.Path: color.RGBA{10, 200, 30, 255}, "reference/ab/base.png": color.RGBA{200, 10, 30, 255},
		"reference/ab/mask.png": color.Gray{255}, "reference/ab/heat-violence.png": color.Gray{128},
	} {
		if err := f.WriteFile(name, square(t, 64, c)); err != nil {
			t.Fatal(err)
		}
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	info, err := f.Info()
	if err != nil {
		t.Fatal(err)
	}
	info.State, info.Step = run.Done, steps
	if err := f.SetInfo(info); err != nil {
		t.Fatal(err)
	}
	return f
}

// square is an image with a square of a color in it, as PNG.
func square(t *testing.T, side int, c color.Color) []byte {
	t.Helper()
	img := image.NewRGBA(image.Rect(0, 0, side, side))
	for y := range side {
		for x := range side {
			img.Set(x, y, color.Black)
			if x > side/4 && x < side*3/4 && y > side/4 && y < side*3/4 {
				img.Set(x, y, c)
			}
		}
	}
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func pageOf(t *testing.T, o Options) string {
	t.Helper()
	o.Version, o.Now = "test", time.Date(2026, 11, 27, 13, 0, 0, 0, time.UTC)
	if o.MaxSize == 0 {
		o.MaxSize = 20 << 20
	}
	var b bytes.Buffer
	if err := Page(t.Context(), &b, o); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestPage(t *testing.T) {
	page := pageOf(t, Options{Runs: []run.Folder{testRun(t, "violence", "", 40)}})
	for _, want := range []string{
		"a chef in the park", "violence: reward", "± ", "90 %", "31.5 dB", "held-out", "train.learning_rate", "40 of 40", "gain over base",
		"data:image/png;base64,",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page has no %q", want)
		}
	}
	if urls := regexp.MustCompile(`(src|href|url\()\s*=?\s*["'(]?\s*(https?:|//)`).FindString(page); urls != "" {
		t.Errorf("the page asks the network: %s", urls)
	}
	if n := strings.Count(page, `class="pair"`); n != 1 {
		t.Errorf("%d images, want the one whose files are in the folder", n)
	}
}

// Of several runs the page has differences: a curve for each run, numbers beside each other, settings that differ.
// The page says which masks a person changed, and how.
func TestEditedMasks(t *testing.T) {
	f := testRun(t, "violence", "", 3)
	if page := pageOf(t, Options{Runs: []run.Folder{f}}); strings.Contains(page, "Masks changed by hand") {
		t.Error("it says so of a run without such masks")
	}
	if err := f.WriteFile("reference/ab/meta.json", []byte(`{"Prompt":"a chef in the dark","Seed":77,"MaskHash":1}`)); err != nil {
		t.Fatal(err)
	}
	if err := f.WriteFile("reference/ab/mask.png", square(t, 64, color.Black)); err != nil {
		t.Fatal(err)
	}
	page := pageOf(t, Options{Runs: []run.Folder{f}})
	for _, want := range []string{"Masks changed by hand", "a chef in the dark", "<td class=\"n\">77</td>", "excluded"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page has no %q", want)
		}
	}
}

func TestComparedPage(t *testing.T) {
	a, b := testRun(t, "violence", "", 30), testRun(t, "other", "", 20)
	c, err := b.Config()
	if err != nil {
		t.Fatal(err)
	}
	c.Region.Weight = 77
	if err := b.SetConfig(c); err != nil {
		t.Fatal(err)
	}
	page := pageOf(t, Options{Runs: []run.Folder{a, b}})
	_, settings, _ := strings.Cut(page, `<section id="settings">`)
	if !strings.Contains(page, "2 runs compared") || !strings.Contains(settings, "region.weight") || strings.Contains(settings, "train.learning_rate") || !strings.Contains(settings, "2 settings differ") {
		t.Errorf("settings:\n%s", settings[:min(len(settings), 2000)])
	}
	if n := strings.Count(page, "<li>"); n%2 != 0 || n == 0 {
		t.Errorf("%d curves in all, want two for each chart", n)
	}
}

// Whatever a stranger's run holds is text in the page.
func TestHostileRun(t *testing.T) {
	page := pageOf(t, Options{Runs: []run.Folder{testRun(t, "violence", hostile, 5)}})
	for _, bad := range []string{"<script>document", "<img src=x", "onerror=\"document"} {
		if strings.Contains(page, bad) {
			t.Errorf("the page has %q", bad)
		}
	}
	if n := strings.Count(page, "<script"); n != 2 {
		t.Errorf("%d scripts, want the data and ours", n)
	}
}

// Images are made smaller until the page has room for them, and those without room are counted.
func TestPageIsBounded(t *testing.T) {
	f := testRun(t, "violence", "", 3)
	noise := image.NewRGBA(image.Rect(0, 0, 700, 700))
	seed := uint32(1)
	for i := range noise.Pix {
		seed = seed*1664525 + 1013904223
		noise.Pix[i] = uint8(seed >> 24)
	}
	var b bytes.Buffer
	if err := png.Encode(&b, noise); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{run.PicturePath(3, 0, 7), "reference/ab/base.png"} {
		if err := os.WriteFile(filepath.Join(f.Dir, name), b.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	large := pageOf(t, Options{Runs: []run.Folder{f}})
	small := pageOf(t, Options{Runs: []run.Folder{f}, MaxSize: 100 << 10})
	none := pageOf(t, Options{Runs: []run.Folder{f}, MaxSize: 100})
	if len(small) > 250<<10 || len(large) < 2*len(small) || !strings.Contains(small, `class="pair"`) {
		t.Errorf("%d bytes with room, %d without", len(large), len(small))
	}
	if !strings.Contains(none, "2 more images are left out") {
		t.Error("images that were left out are not counted")
	}
	_, encoded, _ := strings.Cut(small, "data:image/jpeg;base64,")
	encoded, _, _ = strings.Cut(encoded, `"`)
	data, err := base64.StdEncoding.DecodeString(strings.ReplaceAll(encoded, "&#43;", "+"))
	if err != nil {
		t.Fatal(err)
	}
	if head, _, err := image.DecodeConfig(bytes.NewReader(data)); err != nil || head.Width >= 700 {
		t.Errorf("an image of %d pixels, %v", head.Width, err)
	}
}

func TestMean(t *testing.T) {
	m := &Measured{Of: map[string]core.Metric{}, column: map[string]int{}}
	if mean, half := m.Mean("loss"); !math.IsNaN(mean) || !math.IsNaN(half) {
		t.Errorf("of nothing: %v, %v", mean, half)
	}
	for i, v := range []float64{99, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10} {
		m.add(&core.Event{Kind: "step", Step: i + 1, Train: &core.TrainStep{Loss: v}})
	}
	// scipy.stats.t.interval(0.95, 9, 5.5, scipy.stats.sem(range(1, 11))) is 3.3341, 7.6659
	if mean, half := m.Mean("loss"); mean != 5.5 || math.Abs(half-2.1659) > 1e-3 {
		t.Errorf("%v ± %v, want 5.5 ± 2.166", mean, half)
	}
	m.add(&core.Event{Kind: "step", Step: 4, Train: &core.TrainStep{Loss: 4}}) // after a rollback
	if n := len(m.Rows); n != 4 {
		t.Errorf("%d rows after going back to step 4, want 4", n)
	}
}

// A long curve keeps its extremes, and one value far out does not flatten the rest.
func TestCurves(t *testing.T) {
	c := chartData{Series: []seriesData{{}}}
	for i := range 100_000 {
		v := math.Sin(float64(i) / 5000)
		if i == 0 {
			v = 100
		}
		if i == 77_777 {
			v = -1.3
		}
		c.Series[0].X, c.Series[0].Y = append(c.Series[0].X, float64(i)), append(c.Series[0].Y, v)
	}
	c.prepare()
	s := c.Series[0]
	lowest := 0.0
	for _, v := range s.Y {
		lowest = min(lowest, v)
	}
	if len(s.X) > mostPoints || lowest != -1.3 || s.Y[0] != 100 {
		t.Errorf("%d points from %v down to %v", len(s.X), s.Y[0], lowest)
	}
	if c.Y1 > 5 || c.beyond != 1 {
		t.Errorf("range %v to %v, %d outside", c.Y0, c.Y1, c.beyond)
	}
	for _, c := range []struct {
		lo, hi float64
		want   []float64
	}{{0, 10, []float64{0, 2, 4, 6, 8, 10}}, {-0.031, 0.052, []float64{-0.02, 0, 0.02, 0.04}}} {
		got := ticks(c.lo, c.hi, 5)
		if len(got) != len(c.want) || math.Abs(got[0]-c.want[0]) > 1e-9 {
			t.Errorf("ticks of %v to %v: %v, want %v", c.lo, c.hi, got, c.want)
		}
	}
}
