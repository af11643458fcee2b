package run

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Process names a process so that no later one is taken for it.
type Process struct {
	PID     int    `json:"pid"`
	Started string `json:"started"` // boot and time of start, as the system counts it
	Host    string `json:"host"`
	Folder  string `json:"folder"` // where the process sees the run
	Socket  string `json:"socket,omitempty"`
	Idle    bool   `json:"idle,omitempty"` // draws prompts and repairs, and does not train
}

// thisProcess is the running program as the engine of a folder.
func (f Folder) thisProcess() (*Process, error) {
	host, err := os.Hostname()
	if err != nil {
		return nil, err
	}
	started, err := processStart(os.Getpid())
	if err != nil {
		return nil, err
	}
	dir, err := filepath.Abs(f.Dir)
	return &Process{PID: os.Getpid(), Started: started, Host: host, Folder: dir}, err
}

// alive reports whether the process still runs. sure is false on another machine, where nobody can tell.
func (p *Process) alive() (alive, sure bool) {
	if host, err := os.Hostname(); err != nil || host != p.Host {
		return false, false
	}
	if p.PID <= 0 {
		return false, true
	}
	started, err := processStart(p.PID)
	return err == nil && started == p.Started, true
}

// processStart tells when a process began: its clock ticks since the boot of this id. Systems without
// /proc are asked through ps.
func processStart(pid int) (string, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return processStartByPS(pid)
	}
	// "pid (name) state ppid ...": the name may hold anything, so count from its closing bracket.
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) < 20 {
		return "", fmt.Errorf("/proc/%d/stat: %d fields, want 22 or more", pid, len(fields)+2)
	}
	if state := fields[0][0]; state == 'Z' || state == 'X' {
		return "", fmt.Errorf("process %d has ended", pid)
	}
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(boot)) + ":" + string(fields[19]), err
}

func processStartByPS(pid int) (string, error) {
	if err := syscall.Kill(pid, 0); err != nil && !errors.Is(err, syscall.EPERM) {
		return "", fmt.Errorf("process %d: %w", pid, err)
	}
	out, err := exec.Command("ps", "-o", "lstart=", "-p", fmt.Sprint(pid)).Output()
	return strings.TrimSpace(string(out)), err
}

// silence is how long a run on another machine may write nothing before it counts as crashed.
const silence = 10 * time.Minute

// State is how a run is now: what its engine wrote, or Crashed where a run that should be going on has
// no engine that trains, as in a copy of it. An engine on another machine counts as long as it writes.
func (f Folder) State(info Info) string {
	if info.Far != nil {
		return info.Far.State
	}
	if info.State != Running && info.State != Paused {
		return info.State
	}
	alive, sure := false, true
	if info.Engine != nil {
		alive, sure = info.Engine.alive()
	}
	if sure {
		if alive && !info.Engine.Idle && info.Engine.worksOn(f.Dir) {
			return info.State
		}
		return Crashed
	}
	log, err := os.Stat(f.path(logName))
	if info.State == Running && (err != nil || time.Since(log.ModTime()) > silence) {
		return Crashed
	}
	return info.State // one that pauses may be silent for as long as it likes
}

// OnlyDraws reports whether an engine works on the run that answers prompts and does not train.
func (f Folder) OnlyDraws(info Info) bool {
	if info.Far != nil {
		return info.Far.OnlyDraws
	}
	if info.Engine == nil || !info.Engine.Idle {
		return false
	}
	alive, sure := info.Engine.alive()
	return alive && sure && info.Engine.worksOn(f.Dir)
}

// worksOn reports whether the process means this folder; a copy of it has the same run.json.
func (p *Process) worksOn(dir string) bool {
	its, err := os.Stat(p.Folder)
	if err != nil {
		return true // moved or mounted elsewhere since
	}
	ours, err := os.Stat(dir)
	return err == nil && os.SameFile(its, ours)
}
