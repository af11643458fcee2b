// Package render turns pixels and numbers into bytes for a terminal: sixel, kitty, iTerm2, character
// blocks, heatmaps, charts. Everything here is pure: no I/O, no environment, no clock. The same input
// gives the same bytes on every machine, whatever the number of cores.
//
// Pictures are *image.RGBA without transparency: alpha is ignored. Cells are terminal cells; cell sizes
// are in pixels.
package render
