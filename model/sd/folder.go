package sd

import (
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"focusnfix/model/clip"
	"focusnfix/model/weights"
)

// builtIn are the configurations of the known kinds of model, as diffusers folders without weights and
// vocabularies: what the published models say, without keys that nobody reads.
//
//go:embed configs
var builtIn embed.FS

// folder is a diffusers folder or that of a part in it, on disk or built in.
type folder struct {
	files fs.FS
	name  string // what errors call it
	disk  string // its path; "" if it is built in, and so has no weights
}

func diskFolder(path string) folder { return folder{os.DirFS(path), path, path} }

// builtInFolder is that of a kind. The two kinds of SD 2 differ in what they predict, and in the size
// of images that they were trained on: 512 pixels with epsilon, 768 with v-prediction.
func builtInFolder(kind weights.Kind, prediction string) folder {
	dir := map[weights.Kind]string{weights.SD1: "sd1", weights.SD2: "sd2", weights.SDXL: "sdxl"}[kind]
	if kind == weights.SD2 && prediction == "epsilon" {
		dir = "sd2_base"
	}
	f := folder{files: builtIn}.sub("configs/" + dir)
	f.name = "built-in " + dir
	return f
}

func (f folder) sub(part string) folder {
	files, err := fs.Sub(f.files, part)
	if err != nil { // a name that is no path, which no caller has
		files = os.DirFS(os.DevNull)
	}
	sub := folder{files: files, name: filepath.Join(f.name, part)}
	if f.disk != "" {
		sub.disk = filepath.Join(f.disk, part)
	}
	return sub
}

// read gives a file's text, and the name that errors call it.
func (f folder) read(file string) (name string, text []byte, err error) {
	name = filepath.Join(f.name, file)
	text, err = fs.ReadFile(f.files, file)
	var inside *fs.PathError
	if errors.As(err, &inside) { // which knows only the path below f
		err = fmt.Errorf("%s: %w", name, inside.Err)
	}
	return name, text, err
}

func (f folder) readJSON(file string, into any) error {
	name, text, err := f.read(file)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, into); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

func (f folder) unetConfig() (UNetConfig, error) {
	name, text, err := f.read("config.json")
	if err != nil {
		return UNetConfig{}, err
	}
	return ParseUNetConfig(name, text)
}

func (f folder) vaeConfig() (VAEConfig, error) {
	name, text, err := f.read("config.json")
	if err != nil {
		return VAEConfig{}, err
	}
	return ParseVAEConfig(name, text)
}

func (f folder) textConfig() (clip.TextConfig, error) {
	name, text, err := f.read("config.json")
	if err != nil {
		return clip.TextConfig{}, err
	}
	return clip.ParseTextConfig(name, text)
}

func (f folder) tokenizer() (*clip.Tokenizer, error) {
	if f.disk == "" {
		return clip.DefaultTokenizer(f.files)
	}
	return clip.LoadTokenizer(f.disk)
}

// hasWeights reports whether there are weights of any kind.
func (f folder) hasWeights() bool {
	for _, pattern := range []string{"*.safetensors", "*.bin"} {
		if found, _ := fs.Glob(f.files, pattern); len(found) > 0 {
			return true
		}
	}
	return false
}
