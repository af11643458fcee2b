package widget

import (
	"strings"
	"testing"

	"github.com/charmbracelet/x/ansi"
)

func TestSliderFollows(t *testing.T) {
	s := Slider{Follow: true}
	check := func(what string, step int, follow bool) {
		t.Helper()
		if got, _ := s.Step(); got != step || s.Follow != follow {
			t.Errorf("%s: step %d, follows %v; want %d, %v", what, got, s.Follow, step, follow)
		}
	}
	if _, ok := s.Step(); ok {
		t.Error("a slider without steps stands on one")
	}
	s.Set([]int{0, 5, 10})
	check("the first steps", 10, true)
	s.Set([]int{0, 5, 10, 15})
	check("a new step", 15, true)
	s.Move(-2)
	check("two back", 5, false)
	s.Set([]int{0, 2, 5, 10, 15, 20})
	check("steps come before and behind", 5, false)
	s.Set([]int{0, 2, 10})
	check("its step is gone", 10, false)
	s.Move(99)
	check("beyond the end", 10, true)
	s.Move(-99)
	check("before the start", 0, false)
	s.Set(nil)
	s.Move(1)
	if _, ok := s.Step(); ok {
		t.Error("all steps are gone, and it stands on one")
	}
}

func TestSliderPlays(t *testing.T) {
	s := Slider{Follow: true}
	s.Play()
	if s.Playing {
		t.Error("plays without steps")
	}
	s.Set([]int{1, 2, 3})
	s.Play() // from the last step it starts over
	var seen []int
	for range 5 {
		step, _ := s.Step()
		seen = append(seen, step)
		s.Tick()
	}
	if want := []int{1, 2, 3, 3, 3}; len(seen) != 5 || seen[0] != 1 || seen[1] != want[1] || seen[4] != 3 || s.Playing || !s.Follow {
		t.Errorf("played %v, plays %v, follows %v; want %v, then rest and follow", seen, s.Playing, s.Follow, want)
	}
	s.Play()
	s.Set([]int{1, 2, 3, 4})
	if step, _ := s.Step(); step != 1 || !s.Playing {
		t.Errorf("a new step makes playing jump to %d", step)
	}
	s.Move(1)
	if s.Playing {
		t.Error("plays on after it was moved")
	}
}

// Every step can be reached with the mouse, and the knob is drawn where it was clicked.
func TestSliderClicks(t *testing.T) {
	const w = 80
	for _, n := range []int{1, 2, 7, 50} {
		s := Slider{steps: make([]int, n)}
		for i := range s.steps {
			s.steps[i] = 10 * i
		}
		reached := map[int]bool{}
		for x := ButtonWidth; x < ButtonWidth+s.track(w); x++ {
			s.Click(x, w, false)
			reached[s.At] = true
			before, knob, after, label := s.Row(w)
			if got := ansi.StringWidth(before + knob + after); got != ButtonWidth+s.track(w) || !strings.Contains(label, "step") {
				t.Fatalf("%d steps: %d cells and label %q, want %d", n, got, label, ButtonWidth+s.track(w))
			}
			if at := ansi.StringWidth(before); n < 8 && at > x+s.track(w)/n || n == 50 && (at < x-1 || at > x+1) {
				t.Errorf("%d steps: clicked %d, the knob is at %d", n, x, at)
			}
		}
		if len(reached) != n {
			t.Errorf("%d of %d steps can be reached", len(reached), n)
		}
		s.Click(w-1, w, true) // dragged beyond the end
		if s.At != n-1 || !s.Follow {
			t.Errorf("dragged beyond the end: at %d, follows %v", s.At, s.Follow)
		}
		s.Click(0, w, false)
		if s.Playing != (n > 1) {
			t.Errorf("%d steps: the button plays %v", n, s.Playing)
		}
	}
}
