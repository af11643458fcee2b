//go:build !lean

package workshop

import "embed"

//go:embed sprites/*.png sprites/LICENSE.txt
var spriteFiles embed.FS
