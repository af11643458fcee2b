// Package picture shows images in terminals and keeps them steady beside live text.
//
// [Probe] learns what the terminal can do and [Terminal] is what follows from it. [Shelf] encodes images and
// gives a pane the text that reserves their cells. [Screen] stands between bubbletea's renderer and the
// terminal: it knows from that text where the pictures are, keeps every other byte off them, and draws them
// when, and only when, their pixels are not there. [Printer] writes image files into running text.
package picture
