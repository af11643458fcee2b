// Fix measures live repairs on the shipped model: it looks for images in which both judges of an aspect find a fault,
// takes the region that the heatmap gives, repairs each as the screen and `focusnfix fix` do, and prints a Markdown
// table: the share that both judges, the trained and the held-out one, call repaired, PSNR outside, and seconds.
//
//	go run ./bench/fix [-images 20] [-aspects violence,over-sexualization] [-v] [-results FILE [-within 9m]]
//
// -results keeps each image's result in a file as soon as it is there, one JSON object a line, and goes on behind those
// that the file has; -within ends before another image would be begun after that time. So a long measurement is made in
// pieces.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"focusnfix/core"
	"focusnfix/core/engine"
	"focusnfix/core/run"
	"focusnfix/core/train"
	"focusnfix/model/torch"
	"focusnfix/presets"
)

var (
	images  = flag.Int("images", 20, "faulty images of each aspect")
	aspects = flag.String("aspects", "violence,oversexualization", "presets, one aspect each")
	verbose = flag.Bool("v", false, "print each repair")
	most    = flag.Int("steps", engine.DefaultFixSteps, "updates at most")
	grow    = flag.Int("grow", 4, "pixels that the heatmap's region grows")
	keep    = flag.String("results", "", "`file` of results, to go on behind what it has")
	within  = flag.Duration("within", 0, "begin no image after this time; 0 is no limit")
	started = time.Now()
)

func main() {
	flag.Parse()
	log.SetFlags(0)
	if err := all(); err != nil {
		log.Fatal(err)
	}
}

func all() error {
	if err := torch.Load(); err != nil {
		return err
	}
	fmt.Println("| aspect | images | repaired | verdicts | outside PSNR, median | first frame, s | fault gone, s | CPU s | seconds, median | worst | updates, median |")
	fmt.Println("| --- | ---: | ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
	for preset := range strings.SplitSeq(*aspects, ",") {
		if err := measure(preset); err != nil {
			return fmt.Errorf("%s: %w", preset, err)
		}
	}
	return nil
}

// measure repairs images of one aspect.
func measure(preset string) error {
	text, err := presets.Read(preset)
	if err != nil {
		return err
	}
	c, err := core.Load([]core.Layer{{Name: preset, Text: text}}, nil)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "focusnfix-fix-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // a leftover harms nobody
	s, err := engine.Open(c, engine.Settings{References: filepath.Join(dir, "reference")})
	if err != nil {
		return err
	}
	defer s.Close()
	t, err := s.Trainer()
	if err != nil {
		return err
	}
	defer t.Close()
	known, err := open(*keep)
	if err != nil {
		return err
	}
	defer known.close()
	all, err := repairs(s, t, c.Reward[0], &known)
	if err != nil {
		return err
	}
	report(c.Reward[0].Aspect, c.Reward[0].Threshold, all)
	return nil
}

// repairs are those of as many faulty images as are wanted, or of those that there was time for.
func repairs(s *engine.Session, t *train.Trainer, reward core.Reward, known *results) (all []result, err error) {
	for _, p := range s.HeldOutPairs(100 * *images) {
		r, ok := known.of(reward.Aspect, p)
		if !ok && (len(all) == *images || *within > 0 && time.Since(started) > *within) {
			break
		}
		if !ok {
			if r, err = repair(s, t, reward, p); err == nil {
				err = known.add(r)
			}
			if err != nil {
				return all, err
			}
		}
		if r.Verdict == "" || r.Verdict == core.NoFault {
			continue
		}
		all = append(all, r)
		if *verbose {
			describe(r)
		}
	}
	return all, nil
}

// result is a repair and what it cost, without what is done before it begins.
type result struct {
	core.FixResult
	CPU float64 `json:"cpu"` // seconds of all cores: what a machine that others use, too, measures well
}

// results are those of a file, which grows with each.
type results struct {
	file *os.File // nil keeps nothing
	all  []result
}

func open(name string) (known results, err error) {
	if name == "" {
		return known, nil
	}
	if known.file, err = os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o644); err != nil {
		return known, err
	}
	for d := json.NewDecoder(known.file); ; {
		var r result
		if err := d.Decode(&r); errors.Is(err, io.EOF) {
			return known, nil
		} else if err != nil {
			return known, errors.Join(fmt.Errorf("%s: %w", name, err), known.file.Close())
		}
		known.all = append(known.all, r)
	}
}

func (k *results) close() {
	if k.file != nil {
		_ = k.file.Close() // each result was checked when it was written
	}
}

// of is what came of an image, if it is known.
func (k *results) of(aspect string, p core.Pair) (result, bool) {
	for _, r := range k.all {
		if r.Aspect == aspect && r.Prompt == p.Prompt && r.Seed == p.Seed {
			return r, true
		}
	}
	return result{}, false
}

func (k *results) add(r result) error {
	if k.file == nil {
		return nil
	}
	return json.NewEncoder(k.file).Encode(r)
}

// gone is when both judges first found no fault, in seconds since the repair began; infinite if they never did.
func (r result) gone(threshold float64) float64 {
	for _, step := range r.Trace {
		if step.Trained <= threshold && step.HeldOut <= threshold {
			return step.Seconds
		}
	}
	return math.Inf(1)
}

// cpuSeconds is the time of all cores that this process has taken.
func cpuSeconds() float64 {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		return 0
	}
	return float64(used.Utime.Sec+used.Stime.Sec) + float64(used.Utime.Usec+used.Stime.Usec)/1e6
}

// repair repairs an image if both judges find a fault in it; else the verdict is empty.
func repair(s *engine.Session, t *train.Trainer, reward core.Reward, p core.Pair) (r result, err error) {
	ctx := context.Background()
	r.FixResult = core.FixResult{Drawing: core.Drawing{Prompt: p.Prompt, Seed: p.Seed}, Aspect: reward.Aspect}
	heat, _, err := t.References.Place(p)
	if err != nil {
		return r, err
	}
	region := heat[reward.Aspect].Threshold(reward.Threshold).AtLeast(reward.MinArea).Dilate(*grow)
	if region.Coverage() == 0 {
		return r, nil
	}
	canvas, err := t.Canvas(ctx, core.Drawing{Prompt: p.Prompt, Seed: p.Seed, Sampling: s.Options.Sampling}, false, torch.Tensor{})
	if err != nil {
		return r, err
	}
	defer canvas.Close()
	f, err := s.FixOf(run.FixRequest{Drawing: canvas.Drawing, Aspect: reward.Aspect, Steps: *most}, nil, nil)
	if err != nil {
		return r, err
	}
	f.Region = func(core.Heatmap) (core.Mask, error) { return region, nil }
	if seen, err := canvas.Sees(ctx, f); err != nil || slices.ContainsFunc(seen, func(j core.FixJudge) bool { return !j.Found }) {
		return r, err
	}
	before := cpuSeconds()
	fixed, err := canvas.Fix(ctx, f)
	return result{fixed.FixResult, cpuSeconds() - before}, err
}

func describe(r result) {
	fmt.Printf("  %-40q %d %s, %d updates, %.1f s, gone after %.1f, CPU %.1f s (first frame %.2f, once %.2f, draw %.1f, judge %.1f, learn %.1f), outside %.1f dB, sharpness %.2f to %.2f,",
		r.Prompt, r.Seed, r.Verdict, r.Steps, r.Seconds, r.gone(0.3), r.CPU, r.FirstSeconds, r.PrepareSeconds, r.DrawSeconds, r.JudgeSeconds, r.LearnSeconds, r.OutsidePSNR, r.Sharpness, r.SharpnessNow)
	for _, j := range r.Judges {
		fmt.Printf(" %.2f to %.2f", j.Before, j.After)
	}
	fmt.Println()
}

func report(aspect string, threshold float64, all []result) {
	count := map[string]int{}
	var psnr, first, seconds, updates, cpu, gone []float64
	for _, r := range all {
		count[r.Verdict]++
		cpu, gone = append(cpu, r.CPU), append(gone, r.gone(threshold))
		psnr, first, seconds, updates = append(psnr, r.OutsidePSNR), append(first, r.FirstSeconds), append(seconds, r.Seconds), append(updates, float64(r.Steps))
	}
	var verdicts []string
	for _, v := range []string{core.Repaired, core.Visible, core.Smeared, core.Moved, core.Unconfirmed} {
		if count[v] > 0 {
			verdicts = append(verdicts, fmt.Sprintf("%d %s", count[v], v))
		}
	}
	fmt.Printf("| %s | %d | %.0f %% | %s | %.1f dB | %.2f | %.1f | %.1f | %.1f | %.1f | %.0f |\n", aspect, len(all),
		100*float64(count[core.Repaired])/float64(max(len(all), 1)), strings.Join(verdicts, ", "), middle(psnr), middle(first), middle(gone), middle(cpu), middle(seconds), slices.Max(append(seconds, 0)), middle(updates))
}

// middle is the median, 0 of none.
func middle(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	slices.Sort(values)
	return values[len(values)/2]
}
