package feed

import (
	"slices"
	"strings"
)

// History is what was drawn in a run, the oldest first, and which of it is shown. Each lies in a folder of its own.
type History[T interface{ Folder() string }] struct {
	List []T
	At   int // the one that is shown
}

// add takes in what is not known yet. Who looked at the newest one looks at the newest one still, and who looked at
// another one at that.
func (h *History[T]) add(drawn ...T) {
	follow := h.At == len(h.List)-1 || len(h.List) == 0
	for _, d := range drawn {
		i, known := slices.BinarySearchFunc(h.List, d.Folder(), func(d T, path string) int { return comparePaths(d.Folder(), path) })
		if known || d.Folder() == "" {
			continue
		}
		h.List = slices.Insert(h.List, i, d)
		if i <= h.At && len(h.List) > 1 {
			h.At++
		}
	}
	if follow {
		h.At = max(len(h.List)-1, 0)
	}
}

// comparePaths orders folders by their numbers, which may have more than four digits.
func comparePaths(a, b string) int {
	if len(a) != len(b) {
		return len(a) - len(b)
	}
	return strings.Compare(a, b)
}

// Show goes to the one in that folder.
func (h *History[T]) Show(path string) {
	if i := slices.IndexFunc(h.List, func(d T) bool { return d.Folder() == path }); i >= 0 {
		h.At = i
	}
}

// Move goes n on; it stops at the first and the last.
func (h *History[T]) Move(n int) { h.At = min(max(h.At+n, 0), max(len(h.List)-1, 0)) }

// Current is the one that is shown.
func (h *History[T]) Current() (current T, ok bool) {
	if h.At >= len(h.List) {
		return current, false
	}
	return h.List[h.At], true
}
