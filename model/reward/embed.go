//go:build !lean

package reward

import "embed"

//go:embed weights/*.safetensors weights/NOTICE.md
var embedded embed.FS
