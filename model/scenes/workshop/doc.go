// Package workshop makes the shipped model of package scenes: the generator of scenes, and the lessons
// from which the autoencoder, the UNet with its text encoder, and the judges learn (`focusnfix pretrain`).
//
// A scene comes with a caption, and with faults whose regions are known exactly. A Generator first makes a
// Plan (every decision, no pixels) and then draws it. Scene i of a seed is the same whatever was drawn
// before and by whichever worker. The same plan without one fault is a twin scene that differs only
// inside that fault's mask.
package workshop
