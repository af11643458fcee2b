//go:build race

package render

// underRace: the race detector makes pixel loops some hundred times slower and allocates of its own.
const underRace = true
