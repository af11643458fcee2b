//go:build !lean

package scenes

import "embed"

// The folder weights holds what `focusnfix pretrain` wrote into OUT/model. A README is always there, so
// that the program builds before the weights are made.
//
//go:embed all:weights
var embedded embed.FS
