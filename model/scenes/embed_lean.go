//go:build lean

package scenes

import (
	"os"
	"path/filepath"
)

// A lean program is built without weights and reads them below FNF_WEIGHTS, the folder model of a checkout:
// several of them travel where one with its weights does not (`make gpu-bundle`).
var embedded = os.DirFS(filepath.Join(os.Getenv("FNF_WEIGHTS"), "scenes"))
