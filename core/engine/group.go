package engine

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"time"

	"focusnfix/core"
	"focusnfix/model/torch"
)

const (
	// groupTimeout is how long a process waits for the others: loading a model, or the images that rank 0
	// draws between two steps, must not take longer.
	groupTimeout = 30 * time.Minute
	// holdEvery is how often a paused rank 0 tells the others that it is there.
	holdEvery = time.Minute
)

// JoinGroup joins the processes that train together as torchrun, srun or a Kubernetes job started them:
// RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT say which. It is nil where this process is alone.
func JoinGroup(c core.Config) (*torch.Group, error) {
	if world := os.Getenv("WORLD_SIZE"); world == "" || world == "1" {
		return nil, nil // without loading libtorch
	}
	device := torch.Device(c.Model.Device)
	if c.Model.Device == "auto" {
		device = torch.DefaultDevice()
	}
	return torch.Distributed(device, groupTimeout)
}

// Follow trains with rank 0 of a group until that ends. It writes nothing that stays: references that it
// draws are kept in a passing folder.
func Follow(c core.Config, g *torch.Group, o Options) (err error) {
	runtime.LockOSThread() // libtorch's threads belong to that of its caller
	defer runtime.UnlockOSThread()
	references, err := os.MkdirTemp("", "focusnfix-references-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(references)) }()
	s, err := Open(c, Settings{References: references, Warn: o.Warn, Kinds: o.Kinds})
	if err != nil {
		return explain(err, c)
	}
	defer s.Close()
	s.Options.Watch = s.Judges
	t, err := s.Trainer()
	if err != nil {
		return explain(err, c)
	}
	defer t.Close()
	t.Join(g)
	return explain(t.Follow(), c)
}

// afterParting keeps what was reached when the others were lost.
func (e *engine) afterParting(why error) error {
	if e.written != e.trainer.Done() && e.trainer.SkippedInARow() == 0 {
		if _, err := e.writeCheckpoint(nil); err != nil {
			return fmt.Errorf("%w; and no checkpoint of step %d: %w", why, e.trainer.Done(), err)
		}
	}
	return fmt.Errorf("%w; the checkpoint of step %d is saved, train --resume resumes from it", why, e.written)
}
