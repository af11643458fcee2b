package run

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"

	"focusnfix/core"
)

// training is a tiny one without a model: its weights are a hash that each step moves on.
type training struct {
	step    int
	weights [32]byte
}

const (
	tinySteps       = 12
	tinyCheckpoint  = 3  // steps between checkpoints
	tinyWeightsSize = 40 // repeats of the hash in a weights file
)

func (t *training) advance() {
	t.step++
	t.weights = sha256.Sum256(append(t.weights[:], byte(t.step)))
}

// event is what the log has of the step.
func (t *training) event() core.Event {
	return core.Event{Kind: "step", Step: t.step, Message: hex.EncodeToString(t.weights[:]), Train: &core.TrainStep{Loss: float64(t.weights[0])}}
}

// save fills a checkpoint's folder.
func (t *training) save(d disk) func(name string) error {
	return func(name string) error {
		for _, file := range []string{"lora.safetensors", "optimizer.safetensors"} {
			if err := writeNew(d, path.Join(name, file), bytes.Repeat(t.weights[:], tinyWeightsSize), false); err != nil {
				return err
			}
		}
		return writeNew(d, path.Join(name, "state.json"), []byte(strconv.Itoa(t.step)), false)
	}
}

// load reads a checkpoint, which must be whole to the last byte.
func (t *training) load(d disk, step int) error {
	dir := path.Join(checkpoints, stepName(step))
	state, err := readSmall(d, path.Join(dir, "state.json"))
	if err != nil {
		return err
	}
	lora, err := readSmall(d, path.Join(dir, "lora.safetensors"))
	if err != nil {
		return err
	}
	optimizer, err := readSmall(d, path.Join(dir, "optimizer.safetensors"))
	if err != nil {
		return err
	}
	want := after(step)
	if whole := bytes.Repeat(want.weights[:], tinyWeightsSize); string(state) != strconv.Itoa(step) || !bytes.Equal(lora, whole) || !bytes.Equal(optimizer, whole) {
		return fmt.Errorf("the checkpoint of step %d counts as whole, and is not", step)
	}
	*t = *want
	return nil
}

// after is the training after some steps that nothing disturbed.
func after(steps int) *training {
	t := new(training)
	for range steps {
		t.advance()
	}
	return t
}

// work is an engine on the tiny training: it goes on from the newest checkpoint and returns when it is
// done or something fails. promised is the newest checkpoint that was said to be complete.
func work(f Folder, promised *int) (err error) {
	d := f.held.disk
	log, err := f.OpenLog()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, log.Close()) }()
	info, err := f.Info()
	if err == nil {
		err = f.Clean()
	}
	if err != nil {
		return err
	}
	info.State = Running
	if err := f.SetInfo(info); err != nil {
		return err
	}
	all, err := f.Checkpoints()
	if err != nil {
		return err
	}
	t := new(training)
	if len(all) > 0 {
		if err := t.load(d, all[len(all)-1].Step); err != nil {
			return err
		}
	}
	if t.step < *promised {
		return fmt.Errorf("lost: the newest checkpoint is of step %d, one of step %d was complete", t.step, *promised)
	}
	for t.step < tinySteps {
		t.advance()
		if err := log.Append(t.event()); err != nil {
			return err
		}
		if t.step%tinyCheckpoint == 0 {
			if err := errors.Join(log.Sync(), writeCheckpoint(d, t.step, t.save(d))); err != nil {
				return err
			}
			*promised = t.step
			if err := log.Append(core.Event{Kind: "checkpoint", Step: t.step}); err != nil {
				return err
			}
		}
		if t.step%5 == 0 {
			if err := f.WriteFile("images/"+stepName(t.step)+"/000-0.png", t.weights[:]); err != nil {
				return err
			}
			if _, err := writePrompt(d, core.PromptResult{Seconds: float64(t.step)}, t.save(d)); err != nil {
				return err
			}
		}
	}
	info.State, info.Step = Done, t.step
	return f.SetInfo(info)
}

// follows checks that the log has whole lines, of the steps in their order, and nothing that the training
// did not write.
func follows(f Folder) error {
	text, err := readSmall(f.held.disk, logName)
	if err != nil {
		return err
	}
	last := 0
	for line := range bytes.Lines(text) {
		var e core.Event
		if err := e.ParseJSON(bytes.TrimSuffix(line, []byte("\n"))); err != nil {
			return fmt.Errorf("line %.40q: %w", line, err)
		}
		if e.Train == nil {
			continue
		}
		if e.Step > last+1 {
			return fmt.Errorf("step %d comes after %d", e.Step, last)
		}
		if want := after(e.Step).event(); e.Message != want.Message {
			return fmt.Errorf("step %d is another", e.Step)
		}
		last = e.Step
	}
	if last != tinySteps {
		return fmt.Errorf("the log ends at step %d", last)
	}
	return nil
}

// schedule disturbs a run as a seed says, again and again, until it is done; it returns how often, and what
// was wrong at the end.
func schedule(seed uint64) (disturbed int, err error) {
	random := rand.New(rand.NewPCG(seed, 0))
	m := newMemory(random)
	f := Folder{Dir: "run", held: &held{disk: m}}
	if err := f.fill(Info{ID: "x", Preset: "tiny", Start: "/"}, core.Default()); err != nil {
		return 0, err
	}
	m.root.kept, m.root.changes = maps.Clone(m.root.entries), nil // the run is made
	for _, n := range m.root.entries {
		n.synced, n.late = n.data, nil
	}
	promised := 0
	for range 200 {
		m.dead, m.failIn = false, -1
		if random.IntN(8) > 0 {
			m.failIn = 1 + random.IntN(120)
			m.happen = []func(*memory) error{kill, losePower, losePower, broken, full}[random.IntN(5)]
		}
		err := work(f, &promised)
		if err == nil && !m.dead {
			return disturbed, finished(f)
		}
		if err != nil && !disturbance(err) {
			return disturbed, err
		}
		disturbed++
	}
	return disturbed, errors.New("never done")
}

// disturbance reports whether an error is what the schedule made, and nothing else.
func disturbance(err error) bool {
	for line := range strings.SplitSeq(err.Error(), "\n") {
		if !slices.ContainsFunc([]error{errKilled, errPower, errBroken, errFull}, func(e error) bool { return strings.HasSuffix(line, e.Error()) }) &&
			!strings.HasSuffix(line, "input/output error") && !strings.HasSuffix(line, "no space left on device") {
			return false
		}
	}
	return true
}

// finished checks a run that is done: it ended in the same bytes as one that nothing disturbed.
func finished(f Folder) error {
	all, err := f.Checkpoints()
	if err != nil || len(all) != tinySteps/tinyCheckpoint {
		return fmt.Errorf("checkpoints %v, %v", all, err) //nolint:errorlint // it may be none
	}
	for _, c := range all {
		if err := new(training).load(f.held.disk, c.Step); err != nil {
			return err
		}
	}
	if info, err := f.Info(); err != nil || info.State != Done || info.Step != tinySteps {
		return fmt.Errorf("run.json %+v, %v", info, err) //nolint:errorlint // it may be none
	}
	if _, err := f.Config(); err != nil {
		return err
	}
	if err := f.Clean(); err != nil {
		return err
	}
	return follows(f)
}

// Whatever write, flush or rename fails, tears or is lost with the power, a run that goes on ends in the
// same bytes as one that nothing disturbed, and no checkpoint that was complete is lost. FNF_SCHEDULES
// says how many seeds; FNF_SEED is the first.
func TestFaultSchedules(t *testing.T) {
	schedules, first := 600, uint64(1)
	if testing.Short() {
		schedules = 200
	}
	if n, err := strconv.Atoi(os.Getenv("FNF_SCHEDULES")); err == nil {
		schedules = n
	}
	if n, err := strconv.ParseUint(os.Getenv("FNF_SEED"), 10, 64); err == nil {
		first = n
	}
	disturbed, bad := 0, 0
	for seed := first; seed < first+uint64(schedules); seed++ {
		n, err := schedule(seed)
		disturbed += n
		if err != nil {
			if bad++; bad <= 5 {
				t.Errorf("FNF_SEED=%d: after %d disturbances: %v", seed, n, err)
			}
		}
	}
	t.Logf("%d of %d schedules ended in the same bytes, with %d disturbances", schedules-bad, schedules, disturbed)
}
