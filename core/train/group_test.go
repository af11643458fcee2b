package train

import (
	"errors"
	"fmt"
	"math"
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"focusnfix/core/eval"
	"focusnfix/model/torch"
	"focusnfix/model/torch/torchtest"
)

// TestMain makes this process one of a group where FNF_TEST_RANK says how it behaves.
func TestMain(m *testing.M) {
	if how := os.Getenv("FNF_TEST_RANK"); how != "" {
		if err := follow(how, os.Getenv("FNF_TEST_DIR")); err != nil {
			fmt.Fprint(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// groupOptions are those of a run by two processes, or by one with twice the batch.
func groupOptions(batch int, dir string) Options {
	o := tinyOptions(dir)
	o.Batch, o.Accumulate, o.Aspects = batch, 2, append(tinyAspects(), o.Aspects...)
	for i := range o.Aspects {
		o.Aspects[i].Mask = o.Aspects[2].Mask
	}
	o.FaultyShare, o.Average = 0.5, 0.9
	o.Augment = torchtest.Device() == torch.CPU // on a GPU each batch draws its own numbers, and one has other batches than two
	o.Watch = []eval.Judge{{Role: eval.Role{Aspect: "spot", HeldOut: true}, Reward: spotted{}}}
	return o
}

// dying ends its process at the third score.
type dying struct {
	spotted
	scores *int
}

func (d dying) Score(images torch.Tensor, prompts []string) torch.Tensor {
	if *d.scores++; *d.scores == 3 {
		os.Exit(9)
	}
	return d.spotted.Score(images, prompts)
}

// failing cannot score.
type failing struct{ spotted }

func (failing) Score(torch.Tensor, []string) torch.Tensor {
	panic(&torch.Error{Op: "test", Message: "out of memory"})
}

// follow is rank 1: it follows as well as its name says.
func follow(how, dir string) error {
	t := &testing.T{} // newTrainer reports to it what cannot happen here
	o := groupOptions(2, dir)
	switch how {
	case "dies":
		o.Aspects[2].Reward = dying{scores: new(int)}
	case "fails":
		o.Aspects[2].Reward = failing{}
	case "differs":
		o.Rank = 3
	}
	tr := newTrainer(t, o)
	g, err := torch.Distributed(torchtest.Device(), groupTimeout)
	if err != nil {
		return err
	}
	defer g.Close()
	tr.Join(g)
	if err := tr.Follow(); err != nil {
		return err
	}
	_, err = os.Stdout.WriteString(checksum(tr))
	return err
}

const groupTimeout = 2 * time.Minute

// checksum is every weight's bits and the step.
func checksum(tr *Trainer) string {
	sum := uint64(14695981039346656037)
	_ = torch.Run(func() {
		for _, p := range tr.params {
			for _, b := range p.Detach().Bytes() {
				sum = (sum ^ uint64(b)) * 1099511628211
			}
		}
	})
	return fmt.Sprintf("%x at %d", sum, tr.Done())
}

// startGroup starts rank 1 and joins it as rank 0. wait gives what rank 1 printed.
func startGroup(t *testing.T, how string) (tr *Trainer, dir string, wait func() (string, error)) {
	t.Helper()
	torchtest.Need(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := strconv.Itoa(listener.Addr().(*net.TCPAddr).Port)
	listener.Close()
	for key, value := range map[string]string{"WORLD_SIZE": "2", "RANK": "0", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port} {
		t.Setenv(key, value)
	}
	dir = t.TempDir()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "RANK=1", "FNF_TEST_RANK="+how, "FNF_TEST_DIR="+t.TempDir(), "FNF_TEST_DEVICE="+string(torchtest.DeviceOf(t, 1)))
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill() })
	g, err := torch.Distributed(torchtest.Device(), groupTimeout)
	if err != nil {
		torchtest.SkipWithoutGroups(t, err.Error())
		t.Fatal(err)
	}
	t.Cleanup(g.Close)
	tr = newTrainer(t, groupOptions(2, dir))
	tr.Join(g)
	return tr, dir, func() (string, error) { err := cmd.Wait(); return out.String(), err }
}

// TestTwoProcessesAreOneWithTwiceTheBatch: the same pairs in the same order, the same numbers measured and
// the same LoRA, but for the order of float32 sums; and the same bits on both ranks, with settings that
// change on the way and a checkpoint that rank 0 loads.
func TestTwoProcessesAreOneWithTwiceTheBatch(t *testing.T) {
	two, _, wait := startGroup(t, "follows")
	one := newTrainer(t, groupOptions(4, t.TempDir()))
	checkpoint := t.TempDir()
	for i := range 4 {
		if i == 2 {
			one.SetRegionWeight(20)
			two.SetRegionWeight(20)
			if err := two.Hold(); err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(two.Save(checkpoint, nil), two.Load(checkpoint)); err != nil {
				t.Fatal(err)
			}
		}
		compareSteps(t, steps(t, two, 1), steps(t, one, 1))
	}
	want, worst := weightsOf(t, one), 0.0
	for i, w := range weightsOf(t, two) {
		worst = max(worst, math.Abs(float64(w-want[i])))
	}
	if worst > 1e-3 { // four AdamW steps of 1e-2 each: a wrong gradient would be off by the size of a step
		t.Errorf("weights differ by %g", worst)
	}
	sum := checksum(two)
	two.lead(orderEnd)
	if got, err := wait(); err != nil || got != sum {
		t.Errorf("rank 1 has %s (%v), rank 0 %s", got, err, sum)
	}
}

func compareSteps(t *testing.T, two, one StepResult) {
	t.Helper()
	if !slices.Equal(two.Pairs, one.Pairs) || len(two.Pairs) != 8 {
		t.Errorf("pairs %v, want %v", two.Pairs, one.Pairs)
	}
	near := func(what string, got, want []float64) {
		t.Helper()
		for i := range want {
			if len(got) != len(want) || math.Abs(got[i]-want[i]) > 1e-3*(0.1+math.Abs(want[i])) {
				t.Errorf("step %d: %s %v, want %v", one.Step, what, got, want)
				return
			}
		}
	}
	near("loss", []float64{two.Measured.Loss}, []float64{one.Measured.Loss})
	near("norm of the gradient", []float64{two.GradNorm}, []float64{one.GradNorm})
	near("coverage", two.Coverage, one.Coverage)
	near("region term", two.Measured.Region, one.Measured.Region)
	near("PSNR inside the mask", two.Measured.Inside, one.Measured.Inside)
	watched := eval.Role{Aspect: "spot", HeldOut: true}
	var got, want []float64
	for i, j := range one.Verdicts[watched] {
		got, want = append(got, two.Verdicts[watched][i].Base, two.Verdicts[watched][i].Tuned), append(want, j.Base, j.Tuned)
	}
	near("judged", got, want)
	near("PSNR outside the mask", two.Measured.Outside, one.Measured.Outside)
	for aspect, want := range one.Measured.Rewards {
		near(aspect, two.Measured.Rewards[aspect], want)
	}
}

// TestLostPeer: rank 1 dies, fails, or has other options. Rank 0 says so, its weights are those of its last
// finished step, and a trainer alone goes on from the checkpoint that it writes then.
func TestLostPeer(t *testing.T) {
	for how, want := range map[string]string{"dies": "rank 0 of 2", "fails": "rank 1 failed in step 1", "differs": "rank 0 of 2"} {
		t.Run(how, func(t *testing.T) {
			tr, dir, wait := startGroup(t, how)
			var err error
			for err == nil && tr.Done() < 3 {
				_, err = tr.Step()
			}
			if !errors.Is(err, ErrGroup) || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
				t.Fatalf("error %v, want one line with %q", err, want)
			}
			if _, again := tr.Step(); !errors.Is(again, ErrGroup) {
				t.Errorf("a further step: %v", again)
			}
			reason := map[string]string{"fails": "out of memory", "differs": "another configuration"}[how]
			if said, err := wait(); err == nil || !strings.Contains(said, reason) {
				t.Errorf("rank 1 ended with %v and said %q", err, said)
			}
			checkpoint := t.TempDir()
			if err := tr.Save(checkpoint, nil); err != nil {
				t.Fatal(err)
			}
			alone := newTrainer(t, groupOptions(2, dir))
			if err := alone.Load(checkpoint); err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(weightsOf(t, alone), weightsOf(t, tr)) || alone.Done() != tr.Done() {
				t.Error("the checkpoint has other weights")
			}
			steps(t, alone, 1)
		})
	}
}
