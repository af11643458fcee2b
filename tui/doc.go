// Package tui is the screen: one bubbletea model with eight panes, keys, layout and dialogs. What holds between
// them is written in app.go. Its parts are packages of their own: images in the terminal (picture), what is
// read of a run (feed), curves (chart), and text, buttons and fields (widget).
package tui
