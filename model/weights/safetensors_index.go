package weights

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// indexSuffix ends the name of the file that lists the shards of a checkpoint.
const indexSuffix = ".safetensors.index.json"

// index is the content of a .safetensors.index.json.
type index struct {
	Metadata  map[string]any    `json:"metadata"`
	WeightMap map[string]string `json:"weight_map"` // tensor name to file name
}

// openIndex opens every shard beside the index at path. Tensors of a shard that
// the index does not name are left out.
func openIndex(path string) (*File, error) {
	idx, err := readIndex(path)
	if err != nil {
		return nil, err
	}
	f := &File{Path: path, Metadata: map[string]string{}}
	for key, value := range idx.Metadata {
		f.Metadata[key] = fmt.Sprint(value)
	}
	for _, name := range idx.files() {
		shard, err := openPlain(filepath.Join(filepath.Dir(path), name))
		if err != nil {
			return nil, errors.Join(err, f.Close())
		}
		f.maps = append(f.maps, shard.maps...)
		for _, t := range shard.Tensors {
			if idx.WeightMap[t.Name] == name {
				f.Tensors = append(f.Tensors, t)
			}
		}
	}
	slices.SortFunc(f.Tensors, func(a, b Tensor) int { return strings.Compare(a.Name, b.Name) })
	for _, name := range sortedKeys(idx.WeightMap) {
		if _, ok := f.Tensor(name); !ok {
			err := fmt.Errorf("%s: %s: not in %s, where the index says it is", path, name, idx.WeightMap[name])
			return nil, errors.Join(err, f.Close())
		}
	}
	if f.Tensors, err = foldScales(path, f.Tensors); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// readIndex reads and checks an index; its files must lie in its own folder.
func readIndex(path string) (*index, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, describe(path, err)
	}
	idx, err := parseIndex(raw)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return idx, nil
}

func parseIndex(raw []byte) (*index, error) {
	var idx index
	if err := json.Unmarshal(raw, &idx); err != nil {
		return nil, fmt.Errorf("broken JSON: %w", err)
	}
	if len(idx.WeightMap) == 0 {
		return nil, errors.New("no weight_map; want a safetensors index")
	}
	for _, name := range sortedKeys(idx.WeightMap) {
		file := idx.WeightMap[name]
		if file != filepath.Base(file) || !strings.HasSuffix(file, ".safetensors") {
			return nil, fmt.Errorf("%s: %q is not the name of a .safetensors file in this folder", name, file)
		}
	}
	return &idx, nil
}

// files lists the shards, each once.
func (idx *index) files() []string {
	set := map[string]bool{}
	for _, file := range idx.WeightMap {
		set[file] = true
	}
	return sortedKeys(set)
}

// variantPlace finds where diffusers puts a variant into the name of a weights
// file: stem.VARIANT.safetensors, stem.VARIANT-00001-of-00002.safetensors and
// stem.safetensors.index.VARIANT.json (older: stem.safetensors.VARIANT.index.json).
var variantPlace = regexp.MustCompile(
	`^(?:model|diffusion_pytorch_model)(?:\.(\w+))?(?:-\d+-of-\d+)?\.safetensors(?:(?:\.(\w+))?\.index(?:\.(\w+))?\.json)?$`)

// weightsVariant reports whether name is a weights file or index of a diffusers
// folder, and of which variant; "" is the plain one.
func weightsVariant(name string) (variant string, ok bool) {
	m := variantPlace.FindStringSubmatch(name)
	if m == nil {
		return "", false
	}
	return m[1] + m[2] + m[3], true
}

// Variants lists the variants of the weights in the folder of one model part, sorted; "" is the plain one.
func Variants(dir string) []string {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	found := map[string]bool{}
	for _, e := range entries {
		if variant, ok := weightsVariant(e.Name()); ok {
			found[variant] = true
		}
	}
	return sortedKeys(found)
}

// chooseWeights picks, among the file names of one folder, the file to open: of
// the wanted variant if there is one, else the plain one, else any; a lone
// safetensors file of another name serves too. It returns "" if there is none.
func chooseWeights(names []string, variant string) string {
	best, bestScore, lone := "", 0, []string{}
	for _, name := range names {
		if strings.HasSuffix(name, ".safetensors") {
			lone = append(lone, name)
		}
		found, ok := weightsVariant(name)
		if !ok || isShard.MatchString(name) {
			continue
		}
		score := 1
		switch found {
		case variant:
			score = 6
		case "":
			score = 4
		case "fp16":
			score = 2
		}
		if !strings.HasSuffix(name, ".json") {
			score++ // one file before the index of several
		}
		if score > bestScore {
			best, bestScore = name, score
		}
	}
	if best == "" && len(lone) == 1 {
		return lone[0]
	}
	return best
}

var isShard = regexp.MustCompile(`-\d+-of-\d+\.safetensors$`)
