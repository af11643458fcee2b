//go:build race

package pickle

// Bounds of TestHostile under the race detector, which takes some ten times as long and allocates of its own.
const mostSeconds, mostMB = 20, 400
