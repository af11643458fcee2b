package weights

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
)

// trainingState matches PyTorch files that lie beside weights and are none.
var trainingState = regexp.MustCompile(`^(training_args|optimizer|scheduler|scaler|rng_state|random_states)\b.*`)

// pickleIndex matches the index of a checkpoint in several .bin files, of a variant or not.
var pickleIndex = regexp.MustCompile(`\.bin\.index(\.\w+)?\.json$`)

// safetensorsName is the name under which readers look for what the PyTorch checkpoint name is converted to;
// "" if name is no checkpoint, nor the index of one.
//
//	pytorch_model.fp16.bin            model.fp16.safetensors
//	diffusion_pytorch_model.bin       diffusion_pytorch_model.safetensors
//	pytorch_model.bin.index.json      model.safetensors.index.json
//	v1-5.ckpt                         v1-5.safetensors
func safetensorsName(name string) string {
	to := ""
	switch {
	case trainingState.MatchString(name):
		return ""
	case pickleIndex.MatchString(name):
		to = strings.Replace(name, ".bin.index", ".safetensors.index", 1)
	case isPickleName(name):
		to = strings.TrimSuffix(name, path.Ext(name)) + ".safetensors"
	default:
		return ""
	}
	if rest, ok := strings.CutPrefix(to, "pytorch_model"); ok {
		return "model" + rest
	}
	return to
}

// choosePickles picks the checkpoint to fetch from a folder without safetensors: names in the folder, and what
// each becomes. There is none where no file is a checkpoint.
func choosePickles(names []string, variant string) (becomes map[string]string, err error) {
	of := map[string]string{} // names of checkpoints, by what they become
	var after, lone []string
	for _, name := range names {
		if to := safetensorsName(name); to != "" && of[to] == "" {
			of[to] = name
			after = append(after, to)
			lone = append(lone, name)
		}
	}
	becomes = map[string]string{}
	for _, to := range chooseShards(after, variant) {
		becomes[of[to]] = to
	}
	if len(becomes) == 0 && len(lone) > 1 {
		return nil, fmt.Errorf("holds several PyTorch checkpoints (%s) and no safetensors; download one and use focusnfix convert",
			strings.Join(lone[:min(len(lone), 4)], ", "))
	}
	return becomes, nil
}

// sourceKey is where a converted file says, in its header, what it was made from.
const sourceKey = "focusnfix_source"

// source names file f of the repository, with its sum.
func (p *puller) source(f hubFile) string {
	return fmt.Sprintf("%s/%s %s%s", p.repo, f.path, f.sha256, f.blob)
}

// hasConverted reports whether the file that f becomes is there, made from f.
func (p *puller) hasConverted(f hubFile) bool {
	to := p.target(f)
	if strings.HasSuffix(to, ".json") {
		_, err := readIndex(to)
		return err == nil
	}
	file, err := openPlain(to)
	if err != nil {
		return false
	}
	made := file.Metadata[sourceKey] == p.source(f)
	return file.Close() == nil && made
}

// fetchPickle brings a checkpoint and converts it, without executing anything in it, unless that was done before.
func (p *puller) fetchPickle(ctx context.Context, f hubFile) error {
	if p.hasConverted(f) {
		p.moved(f.path, f.size)
		return nil
	}
	to := p.target(f)
	if _, err := os.Lstat(to); err == nil {
		return fmt.Errorf("%s: is there already, and not made from %s of %s; move it away", to, f.path, p.repo)
	}
	from := filepath.Join(filepath.Dir(to), ".focusnfix-"+path.Base(f.becomes)+path.Ext(f.path))
	if err := p.fetchTo(ctx, f, from); err != nil {
		return err
	}
	if strings.HasSuffix(to, ".json") {
		return convertIndex(from, to)
	}
	stem := strings.TrimSuffix(path.Base(f.path), path.Ext(f.path))
	if _, err := convertPickle(from, to, stem, "", map[string]string{sourceKey: p.source(f)}); err != nil {
		return fmt.Errorf("%s of %s: %w", f.path, p.repo, err)
	}
	return os.Remove(from)
}

// convertIndex makes of the index of a checkpoint in several files that of the files they become.
func convertIndex(from, to string) error {
	raw, err := os.ReadFile(from)
	if err != nil {
		return describe(from, err)
	}
	var idx index
	if err := json.Unmarshal(raw, &idx); err != nil {
		return fmt.Errorf("%s: broken JSON: %w", from, err)
	}
	for name, file := range idx.WeightMap {
		idx.WeightMap[name] = cmp.Or(safetensorsName(file), file)
	}
	if raw, err = json.Marshal(idx); err != nil {
		return err
	}
	if _, err := parseIndex(raw); err != nil {
		return fmt.Errorf("%s: %w", from, err)
	}
	if err := os.WriteFile(from, raw, 0o666); err != nil {
		return err
	}
	return os.Rename(from, to)
}
