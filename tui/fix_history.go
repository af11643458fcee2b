package tui

import (
	"slices"

	"focusnfix/core"
)

// fixState is an image as it is after the fixes in its stack: a file of the run, the same bytes whenever it is shown
// again.
type fixState struct {
	path  string // of the image, from the run folder
	stack []core.FixUse
	fix   *core.FixResult // that led to it; nil is the image to begin with
}

// fixHistory is what undo and redo go through. It is never empty.
type fixHistory struct {
	states []fixState
	at     int
}

func (h *fixHistory) begin(path string) { h.states, h.at = []fixState{{path: path}}, 0 }

// now is the state that is shown, before the one that it came from.
func (h *fixHistory) now() fixState {
	if len(h.states) == 0 {
		return fixState{}
	}
	return h.states[h.at]
}

func (h *fixHistory) before() fixState {
	if h.at == 0 {
		return h.now()
	}
	return h.states[h.at-1]
}

// add goes on from the state that is shown; what was undone is gone.
func (h *fixHistory) add(r core.FixResult) {
	stack := append(slices.Clone(h.now().stack), core.FixUse{Path: r.Path, Strength: 1})
	h.states = append(h.states[:min(h.at+1, len(h.states))], fixState{r.Path + "/after.png", stack, &r})
	h.at = len(h.states) - 1
}

// look shows a fix of an earlier time, as a history of its own.
func (h *fixHistory) look(r core.FixResult) {
	h.states, h.at = []fixState{{path: r.Path + "/before.png", stack: r.Stack}}, 0
	h.add(r)
}

// move goes n states on and reports whether there are any.
func (h *fixHistory) move(n int) bool {
	to := h.at + n
	if to < 0 || to >= len(h.states) {
		return false
	}
	h.at = to
	return true
}
