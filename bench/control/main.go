// Control asks whether the mask matters. It runs the same training several times, from the same base images and the
// same choice of images, with other masks:
//
//	mask       as Focus-N-Fix has it: the faulty region is free, the rest is held
//	shuffled   each faulty image has the mask of another one
//	nothing    nothing is free: the whole image is held
//	draft      nothing is held (region weight 0): plain DRaFT
//
// At several steps each draws the same faulty held-out images, and their held-out judges say what is repaired. It writes
// curves of the repaired share against PSNR outside the true mask to DIR/control.json, and to DIR/control.png for people,
// and prints both a Markdown table and what each method keeps at an equal share. What is in DIR is not done again.
//
//	go run ./bench/control -out DIR [-methods mask,draft] [-preset violence] [-steps 24] [-points 3] [-pictures 16]
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"focusnfix/core"
	"focusnfix/core/engine"
	"focusnfix/core/eval"
	"focusnfix/model/torch"
	"focusnfix/presets"
)

var (
	preset   = flag.String("preset", "violence", "whose training it is")
	steps    = flag.Int("steps", 24, "training steps of each method")
	points   = flag.Int("points", 3, "points on each curve")
	training = flag.Int("pool", 32, "prompts that are trained on")
	pictures = flag.Int("pictures", 16, "faulty held-out images")
	prompts  = flag.String("prompts", "", "held-out prompts: a list or a file (default: the preset's)")
	only     = flag.String("methods", "mask,shuffled,nothing,draft", "which trainings")
	out      = flag.String("out", "", "folder of what is written")
	set      = flag.String("set", "", "settings of the preset that are other, KEY=VALUE with spaces between")
)

func main() {
	flag.Parse()
	log.SetFlags(0)
	if *out == "" {
		log.Fatal("-out is missing")
	}
	if err := run(); err != nil {
		log.Fatal(err)
	}
}

// heldOutSeeds is far beyond the seeds of any training.
const heldOutSeeds = 1 << 41

func run() error {
	if err := torch.Load(); err != nil {
		return err
	}
	s, err := open()
	if err != nil {
		return err
	}
	defer s.Close()
	judges, err := s.OtherJudges()
	if err != nil {
		return err
	}
	evaluator, references, err := s.Evaluator(append(judges, s.Judges...))
	if err != nil {
		return err
	}
	defer references.Close()
	images, err := eval.NewSet(evaluator, eval.SetOptions{
		Trained: []string{s.Options.Aspects[0].Name}, Faulty: *pictures, Most: 8 * *pictures, Threshold: 0.5,
		Next: func(i int) core.Pair {
			return core.Pair{Prompt: s.HeldOut[i%len(s.HeldOut)], Seed: heldOutSeeds + uint64(i)}
		},
		Progress: func(faulty, drawn int) error {
			log.Printf("%d of %d held-out images are faulty", faulty, drawn)
			return nil
		},
	})
	if err != nil {
		return err
	}
	pool, err := drawPool(s)
	if err != nil {
		return err
	}
	var curves []curve
	for _, m := range methods {
		if !slices.Contains(strings.Split(*only, ","), m.name) {
			continue
		}
		c, err := m.curve(s, pool, evaluator, images)
		if err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
		curves = append(curves, c)
	}
	if err := writeJSON(filepath.Join(*out, "control.json"), curves); err != nil {
		return err
	}
	report(curves)
	return writeChart(filepath.Join(*out, "control.png"), curves)
}

// open loads the preset with fewer prompts to train on.
func open() (*engine.Session, error) {
	text, err := presets.Read(*preset)
	if err != nil {
		return nil, err
	}
	c, err := core.Load([]core.Layer{{Name: *preset, Text: text}}, append(strings.Fields(*set), fmt.Sprintf("train.steps=%d", *steps)))
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(*out, 0o755); err != nil {
		return nil, err
	}
	s, err := engine.Open(c, engine.Settings{References: filepath.Join(*out, "reference")})
	if err != nil {
		return nil, err
	}
	s.Options.Prompts = s.Options.Prompts[:min(*training, len(s.Options.Prompts))]
	if *prompts != "" {
		if s.HeldOut, err = engine.ReadPrompts(*prompts); err != nil {
			s.Close()
			return nil, err
		}
	}
	return s, nil
}

func writeJSON(path string, v any) error {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(text, '\n'), 0o644)
}

// report prints the points, and what each method keeps where it repairs as much as the first.
func report(curves []curve) {
	fmt.Println("| method | step | repaired | 95 % | PSNR outside |\n|---|---|---|---|---|")
	for _, c := range curves {
		for _, p := range c.Points {
			low, high := core.Wilson(p.Fixed, p.Faulty)
			fmt.Printf("| %s | %d | %d of %d | %.0f-%.0f %% | %.1f dB |\n", c.Method, p.Step, p.Fixed, p.Faulty, 100*low, 100*high, p.PSNR)
		}
	}
	head, rule := "\n| repaired |", "\n|---|"
	for _, c := range curves {
		head, rule = head+" "+c.Method+" |", rule+"---|"
	}
	fmt.Println(head + rule)
	for share := 10; share <= 100; share += 10 {
		row := fmt.Sprintf("| %d %% |", share)
		for _, c := range curves {
			cell := ""
			if psnr, ok := eval.Interpolate(c.Points, float64(share)/100); ok {
				cell = fmt.Sprintf("%.1f dB", psnr)
			}
			row += " " + cell + " |"
		}
		fmt.Println(row)
	}
}
