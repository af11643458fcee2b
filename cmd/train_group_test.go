package cmd

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"focusnfix/core/run"
	"focusnfix/model/torch"
	"focusnfix/model/torch/torchtest"
)

// rank is this program as one of two processes that train together.
type rank struct {
	*exec.Cmd
	said strings.Builder
}

// startRanks starts both with the same arguments, as torchrun does.
func startRanks(t *testing.T, dir string, args ...string) [2]*rank {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := listener.Addr().(*net.TCPAddr).Port
	listener.Close()
	var ranks [2]*rank
	for i := range ranks {
		r := &rank{Cmd: exec.Command(os.Args[0], args...)}
		r.Dir, r.Stdout, r.Stderr = dir, &r.said, &r.said
		r.Env = append(os.Environ(), "FNF_TEST_AS_PROGRAM=1", "TMPDIR="+t.TempDir(), "WORLD_SIZE=2", fmt.Sprint("RANK=", i),
			"MASTER_ADDR=127.0.0.1", fmt.Sprint("MASTER_PORT=", port), fmt.Sprint("LOCAL_RANK=", i))
		if err := r.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { r.Process.Kill() })
		ranks[i] = r
	}
	return ranks
}

// TestTrainTogether: two processes train one run, which only the first writes. When the second is killed, the
// first says so and keeps a checkpoint from which one process continues.
func TestTrainTogether(t *testing.T) {
	torchtest.Need(t)
	preset, shim := tinyPreset(t), os.Getenv("FNF_TORCH_SHIM")
	if shim == "" {
		t.Skip("FNF_TORCH_SHIM is not set, and the processes run elsewhere")
	}
	torchtest.DeviceOf(t, 1) // which the second takes by its LOCAL_RANK
	dir := t.TempDir()
	mine := filepath.Join(dir, "mine")
	both := startRanks(t, dir, "train", "-p", preset, "--set", "model.device=auto", "--set", "model.dtype=float32", "--steps", "3", "--run", mine)
	for i, r := range both {
		if err := r.Wait(); err != nil {
			torchtest.SkipWithoutGroups(t, r.said.String())
			t.Fatalf("rank %d: %v: %s", i, err, r.said.String())
		}
	}
	if said := both[0].said.String(); !strings.Contains(said, "mine: done at step 3 of 3") {
		t.Errorf("rank 0 said %s", said)
	}
	if left, _ := os.ReadDir(dir); len(left) != 1 || both[1].said.String() != "" {
		t.Errorf("rank 1 said %q, and there are %v", both[1].said.String(), left)
	}

	if torchtest.Device() != torch.CPU && os.Getenv("FNF_STAND_IN") == "" {
		t.Skip("NCCL notices a lost process after half an hour")
	}
	lost := filepath.Join(dir, "lost")
	both = startRanks(t, dir, "train", "-p", preset, "--set", "model.device=auto", "--set", "model.dtype=float32", "--steps", "100000", "--run", lost)
	f := run.Folder{Dir: lost}
	if !within(time.Minute, func() bool {
		tail, err := f.Tail(4)
		return err == nil && len(tail) > 0 && tail[len(tail)-1].Step >= 2
	}) {
		t.Fatalf("no step after a minute: %s", both[0].said.String())
	}
	if err := both[1].Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = both[1].Wait()
	err := both[0].Wait()
	said := both[0].said.String()
	if err == nil || !strings.Contains(said, "the processes that train together have parted") || !strings.Contains(said, "train --resume resumes from it") {
		t.Errorf("rank 0 ended with %v and said %s", err, said)
	}
	all, err := f.Checkpoints()
	if err != nil || len(all) == 0 || all[len(all)-1].Step < 2 {
		t.Fatalf("checkpoints %v, %v, want one of the step that was reached", all, err)
	}
	reached := all[len(all)-1].Step
	code, _, problems := inRuns(t, dir, fmt.Sprintf("train --resume lost --steps %d", reached+1))
	if code != exitDone || !strings.Contains(problems, fmt.Sprintf("lost: done at step %d of %d", reached+1, reached+1)) {
		t.Errorf("resume: %d %s", code, problems)
	}
}

func within(limit time.Duration, happened func() bool) bool {
	for deadline := time.Now().Add(limit); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if happened() {
			return true
		}
	}
	return false
}
