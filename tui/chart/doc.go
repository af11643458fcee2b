// Package chart draws the curves of a run with title, legend and hairline, and keeps the window of the x axis.
package chart
