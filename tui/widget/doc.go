// Package widget has the parts that panes are put together from: blocks of text of an exact size, colors,
// words that can be clicked, text fields, a slider and a progress bar. They are imperative: a pane holds
// them, changes them in its update, and asks them for text in its view.
package widget
