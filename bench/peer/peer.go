// Package peer runs a Python program that does the same work as one of ours, and asks it line by line, so
// that both sides take turns within one run.
package peer

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
)

// Process is the Python program. It answers every line with a line; its first line is its version.
type Process struct {
	Version string

	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

// Start runs a script and waits for its version. greeting, if not nil, is its first line, as JSON. The
// script gets the malloc settings that our shim makes, so that a ratio is that of the programs alone.
func Start(python, script string, greeting any) (*Process, error) {
	cmd := exec.Command(python, script)
	cmd.Stderr = os.Stderr
	cmd.Env = append(os.Environ(), "OMP_WAIT_POLICY=passive",
		"MALLOC_MMAP_MAX_=0", "MALLOC_TRIM_THRESHOLD_=34359738368", "MALLOC_TOP_PAD_=67108864", "MALLOC_ARENA_MAX=1")
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the Python peer: %w", err)
	}
	p := &Process{cmd: cmd, in: in, out: bufio.NewReader(out)}
	if greeting != nil {
		if err := json.NewEncoder(in).Encode(greeting); err != nil {
			return nil, err
		}
	}
	p.Version, err = p.line()
	return p, err
}

// Ask sends words as a line and returns the words of the answer.
func (p *Process) Ask(words ...any) ([]string, error) {
	if _, err := fmt.Fprintln(p.in, words...); err != nil {
		return nil, err
	}
	line, err := p.line()
	return strings.Fields(line), err
}

func (p *Process) line() (string, error) {
	line, err := p.out.ReadString('\n')
	if err != nil {
		return "", fmt.Errorf("the Python peer ended: %w", err)
	}
	return strings.TrimSpace(line), nil
}

// Close ends the script and waits for it.
func (p *Process) Close() error {
	if err := p.in.Close(); err != nil {
		return err
	}
	return p.cmd.Wait()
}

// Usage is what this process has used of the machine.
func Usage() (seconds float64, peakMiB int64) {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0, 0
	}
	return float64(usage.Utime.Nano()+usage.Stime.Nano()) / 1e9, usage.Maxrss >> 10 // Linux counts it in KiB
}

// Row is a row of a Markdown table: the case, our median, theirs, and the median, smallest and largest
// ratio of the rounds.
func Row(name string, ours, theirs []float64, format func(seconds float64) string) string {
	ratios := make([]float64, len(ours))
	for i := range ours {
		ratios[i] = ours[i] / theirs[i]
	}
	slices.Sort(ratios)
	return fmt.Sprintf("| %s | %s | %s | %.2f (%.2f - %.2f) |", name, format(Median(ours)), format(Median(theirs)),
		Median(ratios), ratios[0], ratios[len(ratios)-1])
}

// Median is the middle value.
func Median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}
