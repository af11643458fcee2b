// Package tui is the screen: panes, keys and layout on bubbletea, and the layer that keeps pictures
// steady beside live text.
//
// The picture layer has three parts. [Probe] and [Ask] learn what the terminal can do. [Pictures]
// encodes pictures and gives a pane the text that reserves their cells. [Screen] stands between
// bubbletea's renderer and the terminal: it knows from that text where the pictures are, keeps every
// other byte off them, and draws them when, and only when, their pixels are not there.
package tui
