package tui

import (
	"strings"
	"testing"

	"github.com/charmbracelet/x/ansi"
)

func TestSliderFollows(t *testing.T) {
	s := slider{follow: true}
	check := func(what string, step int, follow bool) {
		t.Helper()
		if got, _ := s.step(); got != step || s.follow != follow {
			t.Errorf("%s: step %d, follows %v; want %d, %v", what, got, s.follow, step, follow)
		}
	}
	if _, ok := s.step(); ok {
		t.Error("a slider without steps stands on one")
	}
	s.set([]int{0, 5, 10})
	check("the first steps", 10, true)
	s.set([]int{0, 5, 10, 15})
	check("a new step", 15, true)
	s.move(-2)
	check("two back", 5, false)
	s.set([]int{0, 2, 5, 10, 15, 20})
	check("steps come before and behind", 5, false)
	s.set([]int{0, 2, 10})
	check("its step is gone", 10, false)
	s.move(99)
	check("beyond the end", 10, true)
	s.move(-99)
	check("before the start", 0, false)
	s.set(nil)
	s.move(1)
	if _, ok := s.step(); ok {
		t.Error("all steps are gone, and it stands on one")
	}
}

func TestSliderPlays(t *testing.T) {
	s := slider{follow: true}
	s.play()
	if s.playing {
		t.Error("plays without steps")
	}
	s.set([]int{1, 2, 3})
	s.play() // from the last step it starts over
	var seen []int
	for range 5 {
		step, _ := s.step()
		seen = append(seen, step)
		s.tick()
	}
	if want := []int{1, 2, 3, 3, 3}; len(seen) != 5 || seen[0] != 1 || seen[1] != want[1] || seen[4] != 3 || s.playing || !s.follow {
		t.Errorf("played %v, plays %v, follows %v; want %v, then rest and follow", seen, s.playing, s.follow, want)
	}
	s.play()
	s.set([]int{1, 2, 3, 4})
	if step, _ := s.step(); step != 1 || !s.playing {
		t.Errorf("a new step makes playing jump to %d", step)
	}
	s.move(1)
	if s.playing {
		t.Error("plays on after it was moved")
	}
}

// Every step can be reached with the mouse, and the knob is drawn where it was clicked.
func TestSliderClicks(t *testing.T) {
	const w = 80
	for _, n := range []int{1, 2, 7, 50} {
		s := slider{steps: make([]int, n)}
		for i := range s.steps {
			s.steps[i] = 10 * i
		}
		reached := map[int]bool{}
		for x := buttonWidth; x < buttonWidth+s.track(w); x++ {
			s.click(x, w, false)
			reached[s.at] = true
			before, knob, after, label := s.row(w)
			if got := ansi.StringWidth(before + knob + after); got != buttonWidth+s.track(w) || !strings.Contains(label, "step") {
				t.Fatalf("%d steps: %d cells and label %q, want %d", n, got, label, buttonWidth+s.track(w))
			}
			if at := ansi.StringWidth(before); n < 8 && at > x+s.track(w)/n || n == 50 && (at < x-1 || at > x+1) {
				t.Errorf("%d steps: clicked %d, the knob is at %d", n, x, at)
			}
		}
		if len(reached) != n {
			t.Errorf("%d of %d steps can be reached", len(reached), n)
		}
		s.click(w-1, w, true) // dragged beyond the end
		if s.at != n-1 || !s.follow {
			t.Errorf("dragged beyond the end: at %d, follows %v", s.at, s.follow)
		}
		s.click(0, w, false)
		if s.playing != (n > 1) {
			t.Errorf("%d steps: the button plays %v", n, s.playing)
		}
	}
}
