//go:build race

package tui

// underRace: the race detector makes pixel loops some hundred times slower and allocates of its own.
const underRace = true
