package cmd

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// progress shows how far a piece of work is: a bar that redraws itself on a terminal, else one plain
// line per tenth, so that a log stays readable.
type progress struct {
	out      io.Writer
	terminal bool
	label    string
	started  time.Time
	tenth    int
}

func newProgress(out io.Writer, label string) *progress {
	return &progress{out: out, terminal: isTerminal(out), label: label, started: time.Now()}
}

// isTerminal reports whether out is a character device.
func isTerminal(out io.Writer) bool {
	file, ok := out.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// show says that done of total is done.
func (p *progress) show(done, total int) { p.showAs(done, total, fmt.Sprintf("%d/%d", done, total)) }

// showBytes is show for a download.
func (p *progress) showBytes(done, total int64) {
	text := fmt.Sprintf("%s of %s", byteCount(done), byteCount(total))
	p.showAs(int(done/1024), int(total/1024), text)
}

// byteCount is a number of bytes for people: "4.3 GB".
func byteCount(n int64) string {
	switch {
	case n >= 1e9:
		return fmt.Sprintf("%.1f GB", float64(n)/1e9)
	case n >= 1e6:
		return fmt.Sprintf("%.1f MB", float64(n)/1e6)
	}
	return fmt.Sprintf("%.1f kB", float64(n)/1e3)
}

func (p *progress) showAs(done, total int, text string) {
	if total <= 0 {
		return
	}
	passed := time.Since(p.started)
	if p.terminal {
		end := "\x1b[K"
		if done >= total {
			end += "\n"
		}
		fmt.Fprintf(p.out, "\r%s %s %s  %s%s", p.label, bar(done, total, 24), text, remaining(passed, done, total), end)
		return
	}
	if tenth := 10 * done / total; tenth > p.tenth || done == total {
		p.tenth = tenth
		fmt.Fprintf(p.out, "%s %s  %s\n", p.label, text, remaining(passed, done, total))
	}
}

// bar is width cells, filled in proportion, in halves.
func bar(done, total, width int) string {
	halves := min(max(2*width*done/total, 0), 2*width)
	full := halves / 2
	b := strings.Repeat("━", full)
	if halves%2 == 1 {
		b += "╸"
		full++
	}
	return b + strings.Repeat("─", width-full)
}

// remaining is the time the rest takes at the speed so far, or the time all took.
func remaining(passed time.Duration, done, total int) string {
	if done <= 0 {
		return ""
	}
	if done >= total {
		return "in " + passed.Round(100*time.Millisecond).String()
	}
	left := passed * time.Duration(total-done) / time.Duration(done)
	return left.Round(time.Second).String() + " left"
}
