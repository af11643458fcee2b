//go:build !race

package pickle

// Bounds of TestHostile: seconds and MB for one file.
const mostSeconds, mostMB = 1, 100
