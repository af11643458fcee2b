//go:build lean

package reward

import (
	"os"
	"path/filepath"
)

// Weights of a lean program are read below FNF_WEIGHTS: see model/scenes.
var embedded = os.DirFS(filepath.Join(os.Getenv("FNF_WEIGHTS"), "reward"))
