package main

import (
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"strings"
	"time"

	"focusnfix/bench/peer"
	"focusnfix/core/train"
	"focusnfix/model/nn"
	"focusnfix/model/torch"
	"focusnfix/model/weights"
)

// check compares the Python judge, and the first step's loss and reward, with ours: the ratios below would
// mean nothing for another method. The base images are the first step's.
func (o *ours) check(python *peer.Process, dir string) error {
	judge, first := o.session.Judges[0], o.trainer.Next()
	judgeFile, stepFile := filepath.Join(dir, "judge.safetensors"), filepath.Join(dir, "step.safetensors")
	var failed error
	err := torch.Run(func() {
		base, _, err := o.trainer.References.Base(first)
		if err != nil {
			failed = err
			return
		}
		images := base.Leaf()
		score := judge.Score(images, make([]string, len(first)))
		grad := torch.Grad([]torch.Tensor{score.Sum()}, []torch.Tensor{images}, nil)[0]
		reward := score.Mean().Item()
		failed = errors.Join(
			weights.Write(judgeFile, nil, []weights.Entry{
				nn.Entry("images", images.Detach()), nn.Entry("score", score.Detach()), nn.Entry("grad", grad),
				nn.Entry("heat", judge.Heatmap(images.Detach(), make([]string, len(first)))),
			}),
			weights.Write(stepFile, nil, []weights.Entry{
				nn.Entry("loss", torch.From([]float32{float32(-reward * o.session.Options.Aspects[0].Weight)})),
				nn.Entry("reward", torch.From([]float32{float32(reward)})),
			}))
	})
	if err = errors.Join(err, failed); err != nil {
		return err
	}
	for _, c := range []struct {
		what, file string
		names      []string
		most       float64 // float32 sums in another order; rewards are logarithms, of size 1 to 10
	}{
		{"judge", judgeFile, []string{"score", "heatmap", "gradient"}, 1e-3},
		{"step", stepFile, []string{"loss", "reward"}, 1e-2},
	} {
		answer, err := python.Ask(c.what, c.file)
		if err != nil {
			return err
		}
		for i, word := range answer {
			var off float64
			if _, err := fmt.Sscan(word, &off); err != nil || !(off <= c.most) {
				return fmt.Errorf("the Python %s has another %s: off by %s, want at most %g", c.what, c.names[i], word, c.most)
			}
			answer[i] = c.names[i] + " " + word
		}
		fmt.Printf("the Python %s differs from ours by: %s\n", c.what, strings.Join(answer, ", "))
	}
	fmt.Println()
	return nil
}

// compare lets all sides take turns and prints what came of it.
func (o *ours) compare(python *peer.Process) error {
	var own, alignprop, cached []float64
	for round := range *rounds + 1 {
		mine, err := o.measure()
		if err != nil {
			return err
		}
		theirs, err := ask(python, "alignprop")
		if err != nil {
			return err
		}
		kept, err := ask(python, "cached")
		if err != nil {
			return err
		}
		if round > 0 { // the first warms up and draws the references
			own, alignprop, cached = append(own, mine), append(alignprop, theirs), append(cached, kept)
		} else {
			o.seconds, o.counted = train.Seconds{}, 0
		}
	}
	seconds := func(s float64) string { return fmt.Sprintf("%.3f s", s) }
	fmt.Println("| a step beside | Go, median | Python, median | Go / Python, median (min - max) |\n|---|---|---|---|")
	fmt.Println(peer.Row("the loop as AlignProp writes it", own, alignprop, seconds))
	fmt.Println(peer.Row("the loop with kept base images", own, cached, seconds))
	o.phases()
	return o.floor(python)
}

// measure is the seconds of a step of ours.
func (o *ours) measure() (float64, error) {
	start := now()
	for range *steps {
		r, err := o.trainer.Step()
		if err != nil {
			return 0, err
		}
		o.count(r.Measured.Seconds)
	}
	return (now() - start) / float64(*steps), nil
}

// now is the time of the measurements' clock, in seconds.
func now() float64 {
	if *wall || *scaling {
		return float64(time.Now().UnixNano()) / 1e9
	}
	seconds, _ := peer.Usage()
	return seconds
}

func (o *ours) count(s train.Seconds) {
	o.counted++
	for _, pair := range []struct {
		sum *float64
		one float64
	}{
		{&o.seconds.Sample, s.Sample},
		{&o.seconds.Decode, s.Decode},
		{&o.seconds.Reward, s.Reward},
		{&o.seconds.Backward, s.Backward},
		{&o.seconds.Step, s.Step},
	} {
		*pair.sum += pair.one
	}
}

func ask(python *peer.Process, what string) (seconds float64, err error) {
	answer, err := python.Ask(what, *steps)
	if err != nil {
		return 0, err
	}
	if _, err := fmt.Sscan(strings.Join(answer, " "), &seconds); err != nil {
		return 0, fmt.Errorf("the Python peer answered %q, want seconds", answer)
	}
	return seconds, nil
}

// phases prints where the time of our steps goes.
func (o *ours) phases() {
	s, n := o.seconds, float64(max(o.counted, 1))
	rest := s.Step - s.Sample - s.Decode - s.Reward - s.Backward
	fmt.Printf("\nours, wall seconds of a step: sample %.3f, decode %.3f, reward %.3f, backward %.3f, the rest %.3f, together %.3f\n",
		s.Sample/n, s.Decode/n, s.Reward/n, s.Backward/n, rest/n, s.Step/n)
}

// floor prints how many operations a step has and how many bytes its operators move, and how long one core would take
// for either: at the speed of a large matrix product, and of a copy too large for caches.
func (o *ours) floor(python *peer.Process) error {
	answer, err := python.Ask("work", 0)
	if err != nil {
		return err
	}
	var alignprop, cached, alignpropBytes, cachedBytes float64
	if _, err := fmt.Sscan(strings.Join(answer, " "), &alignprop, &cached, &alignpropBytes, &cachedBytes); err != nil {
		return fmt.Errorf("the Python peer answered %q, want four numbers", answer)
	}
	if cached == 0 {
		fmt.Println("this Python's torch counts no operations: take 2.1 or newer")
		return nil
	}
	product, copied, err := machineSpeed()
	if err != nil {
		return err
	}
	fmt.Printf("operations of a step: %.1f GFLOP as AlignProp writes it, %.1f with kept base images; at one core's %.1f GFLOP/s in a 1024x1024 product that is %.3f and %.3f s\n",
		alignprop/1e9, cached/1e9, product/1e9, alignprop/product, cached/product)
	fmt.Printf("bytes that operators read and write: %.1f and %.1f GB; at one core's %.1f GB/s in a copy of 256 MiB that is %.3f and %.3f s\n",
		alignpropBytes/1e9, cachedBytes/1e9, copied/1e9, alignpropBytes/copied, cachedBytes/copied)
	return nil
}

// machineSpeed is operations of a matrix product, and bytes that a copy reads and writes, each a CPU second.
func machineSpeed() (product, copied float64, err error) {
	const side, large = 1024, 64 << 20
	err = torch.Run(func() {
		a, b := torch.Ones(torch.Float32, torch.CPU, side, side), torch.Ones(torch.Float32, torch.CPU, large)
		to := torch.Ones(torch.Float32, torch.CPU, large) // in memory already: new pages cost more than the copy
		product = 2 * side * side * side / least(func() { torch.Drop(a.MatMul(a)) })
		copied = 2 * 4 * large / least(func() { to.CopyFrom(b) })
	})
	return product, copied, err
}

// least is the fewest CPU seconds of three calls.
func least(f func()) float64 {
	best := math.Inf(1)
	for range 3 {
		start, _ := peer.Usage()
		f()
		end, _ := peer.Usage()
		best = min(best, end-start)
	}
	return best
}
