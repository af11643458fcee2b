package cmd

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func TestBar(t *testing.T) {
	for _, c := range []struct {
		done, total int
		want        string
	}{
		{0, 10, "────"}, {1, 8, "╸───"}, {1, 4, "━───"}, {10, 10, "━━━━"}, {11, 10, "━━━━"}, {-1, 10, "────"},
	} {
		if got := bar(c.done, c.total, 4); got != c.want || utf8.RuneCountInString(got) != 4 {
			t.Errorf("%d of %d: %q, want %q", c.done, c.total, got, c.want)
		}
	}
}

func TestProgressInALog(t *testing.T) {
	var log strings.Builder
	p := newProgress(&log, "draw")
	for i := range 50 {
		p.show(i+1, 50)
	}
	lines := strings.Split(strings.TrimSpace(log.String()), "\n")
	if len(lines) != 10 || !strings.HasPrefix(lines[0], "draw 5/50") || !strings.HasPrefix(lines[9], "draw 50/50  in ") {
		t.Errorf("got %q", lines)
	}
	if strings.ContainsAny(log.String(), "\r\x1b") {
		t.Error("control characters in a log")
	}
}

func TestRemaining(t *testing.T) {
	for _, c := range []struct {
		passed      time.Duration
		done, total int
		want        string
	}{
		{0, 0, 10, ""}, {10 * time.Second, 5, 10, "10s left"}, {time.Minute, 10, 10, "in 1m0s"},
	} {
		if got := remaining(c.passed, c.done, c.total); got != c.want {
			t.Errorf("%v, %d of %d: %q, want %q", c.passed, c.done, c.total, got, c.want)
		}
	}
}
