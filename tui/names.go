package tui

import (
	"slices"

	"focusnfix/tui/feed"
)

// shortName is a run's name without its date.
func shortName(name string) string {
	if len(name) > 11 && name[4] == '-' && name[7] == '-' && name[10] == '-' {
		return name[11:]
	}
	return name
}

// aspectNames are those of the run's configuration.
func (s *shared) aspectNames() []string {
	var names []string
	if s.run != nil && s.run.HasConfig {
		for _, r := range s.run.Config.Reward {
			names = append(names, r.Aspect)
		}
	}
	return names
}

// oneOf is name if it is among names, or else their first.
func oneOf(name string, names []string) string {
	if len(names) == 0 || slices.Contains(names, name) {
		return name
	}
	return names[0]
}

// after is the name that follows name, going round.
func after(name string, names []string) string {
	if len(names) == 0 {
		return name
	}
	return names[(slices.Index(names, name)+1)%len(names)]
}

// following is the value that follows in a list, round and round.
func following[T comparable](list []T, v T) T {
	return list[(slices.Index(list, v)+1)%len(list)]
}

// toggled is to, or nothing if it is shown already.
func toggled(shown, to feed.Overlay) feed.Overlay {
	if shown == to {
		return feed.Nothing
	}
	return to
}
