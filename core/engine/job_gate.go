package engine

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"focusnfix/core"
	"focusnfix/core/eval"
	"focusnfix/core/run"
)

// verdict is gate.json of a checkpoint that the gate has judged: one that is good can be gone back to.
type verdict struct {
	Good   bool     `json:"good"`
	Alarms []string `json:"alarms,omitempty"`
}

const verdictName = "gate.json"

// gateClosed is the error of a run that the gate has ended.
type gateClosed struct {
	alarms []string
	action string
}

func (g *gateClosed) Error() string {
	return fmt.Sprintf("the gate has ended the run (%s); %s", strings.Join(g.alarms, "; "), g.action)
}

// diversityLoss is the share of the base images' diversity that may be lost.
const diversityLoss = 0.5

// The gate looks at up to gatePrompts held-out prompts, each with two seeds or, where there are few, with more, so
// that there are gateImages.
const (
	gateImages   = 24
	gatePrompts  = gateImages / 2
	mostOfPrompt = 4
)

// gatePairs are always the same.
func (e *engine) gatePairs() (pairs []core.Pair) {
	n := len(e.session.HeldOut)
	prompts := min(gatePrompts, n)
	seeds := min((gateImages+prompts-1)/prompts, mostOfPrompt)
	all := e.session.HeldOutPairs(seeds * n)
	for i := range seeds {
		pairs = append(pairs, all[i*n:i*n+prompts]...)
	}
	return pairs
}

// gatedCheckpoint writes a checkpoint and lets the gate judge it; one that is not good ends the run where
// the configuration says so.
func (e *engine) gatedCheckpoint() error {
	alarms, err := e.judge()
	if err != nil {
		return err
	}
	v := verdict{Good: len(alarms) == 0}
	for _, a := range alarms {
		v.Alarms = append(v.Alarms, a.String())
	}
	var path string
	err = e.persist("a checkpoint", func() (err error) { path, err = e.writeCheckpoint(&v); return err })
	if err != nil || v.Good {
		return err
	}
	action := e.session.Config.Gate.Action
	for _, a := range alarms {
		if err := e.event(core.Event{Kind: "alarm", Alarm: &core.Alarm{Name: a.Name, Subject: a.Subject, Value: a.Now, Limit: a.Limit, Action: action}}); err != nil {
			return err
		}
	}
	switch action {
	case "stop":
		return &gateClosed{v.Alarms, "the checkpoint is " + path}
	case "rollback":
		step, err := e.rollBack()
		if err != nil {
			return err
		}
		return &gateClosed{v.Alarms, fmt.Sprintf("went back to step %d", step)}
	}
	return nil
}

// judge compares the tuned model's images of the gate's pairs with the base model's.
func (e *engine) judge() ([]eval.Alarm, error) {
	drawn, err := e.gate.Draw(e.gatePairs(), e.counting("evaluate", e.stopping))
	e.busy("", 0, 0)
	if e.stopping.Err() != nil {
		return nil, errStopped
	}
	if err != nil {
		return nil, fmt.Errorf("evaluate: %w", err)
	}
	if err := e.event(core.Event{Kind: "evaluation", Evaluation: e.short(drawn.Images)}); err != nil {
		return nil, err
	}
	c := e.session.Config.Gate
	g := eval.Gate{HeldOutDrop: c.HeldOutDrop, StatisticsRange: c.StatisticsRange}
	if c.StatisticsRange > 0 {
		g.DiversityLoss = diversityLoss
	}
	return g.Check(drawn), nil
}

// writeCheckpoint writes one of now and returns its path from the run folder; without a verdict, one of this
// step that is there already will do. A full disk is an error.
func (e *engine) writeCheckpoint(v *verdict) (string, error) {
	step := e.trainer.Done()
	if v == nil && step == e.written {
		all, err := e.Folder.Checkpoints()
		if n := len(all); err == nil && n > 0 && all[n-1].Step == step {
			return e.fromFolder(all[n-1].Dir), nil
		}
	}
	if err := e.log.Sync(); err != nil { // no step is missing before a checkpoint, whatever comes
		return "", err
	}
	c, err := e.Folder.WriteCheckpoint(step, func(dir string) error {
		err := e.trainer.Save(dir, map[string]string{
			"focusnfix_version": e.Version, "focusnfix_preset": e.info.Preset, "focusnfix_step": strconv.Itoa(step),
			"focusnfix_model": e.info.Model, "focusnfix_model_hash": e.session.Options.Model,
		})
		if err != nil || v == nil {
			return err
		}
		text, err := json.MarshalIndent(v, "", "  ")
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(dir, verdictName), append(text, '\n'), 0o644)
	})
	if err != nil {
		return "", err
	}
	e.written = step
	path := e.fromFolder(c.Dir)
	return path, e.append(core.Event{Kind: "checkpoint", Path: path})
}

// rollBack goes to the newest checkpoint that the gate found good, and puts those after it aside.
func (e *engine) rollBack() (step int, err error) {
	all, err := e.Folder.Checkpoints()
	if err != nil {
		return 0, err
	}
	for _, c := range slices.Backward(all) {
		good, err := isGood(c)
		switch {
		case err != nil:
			return 0, err
		case !good:
			if err := e.Folder.Reject(c); err != nil {
				return 0, err
			}
			continue
		}
		if err := e.trainer.Load(c.Dir); err != nil {
			return 0, fmt.Errorf("roll back: %w", err)
		}
		e.forgetCanvas() // of weights that are gone, perhaps from the same step
		e.written = c.Step
		e.mutex.Lock()
		e.status.Step = c.Step
		e.mutex.Unlock()
		return c.Step, nil
	}
	return 0, errors.New("roll back: no good checkpoint is left")
}

func isGood(c run.Checkpoint) (bool, error) {
	text, err := os.ReadFile(filepath.Join(c.Dir, verdictName))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil // by hand, or when the work was ended
	}
	var v verdict
	if err == nil {
		err = json.Unmarshal(text, &v)
	}
	return v.Good, err
}
