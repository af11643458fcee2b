//go:build lean

package workshop

import (
	"os"
	"path/filepath"
)

// Sprites of a lean program are read below FNF_WEIGHTS: see model/scenes.
var spriteFiles = os.DirFS(filepath.Join(os.Getenv("FNF_WEIGHTS"), "scenes", "workshop"))
