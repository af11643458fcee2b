package train

import (
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"io/fs"
	"os"
	"path/filepath"

	"focusnfix/core"
	"focusnfix/core/eval"
	"focusnfix/model/backbone"
	"focusnfix/model/nn"
	"focusnfix/model/torch"
	"focusnfix/model/weights"
)

// References lie in a folder, each in a folder of its own:
//
//	latents.safetensors   x_0 and heatmaps, exact
//	base.png heat-ASPECT.png mask.png    for people, 8-bit; an edited mask.png is honored
//	meta.json             what it was made from, and the rule's mask in short
//
// A folder is written under another name and renamed, so that a half-written one is never read.
const metaFile = "meta.json"

// storeVersion is raised when what a folder holds changes its meaning.
const storeVersion = 1

type referenceMeta struct {
	Version  int
	Prompt   string
	Seed     uint64
	Mask     map[string]core.MaskRule // by aspect
	MaskHash uint64                   // of mask.png as we wrote it
	Coverage float64
}

// read reads the reference of a pair; nil if there is none. Tensors go to the open scope.
func (r *References) read(p core.Pair) (*Reference, error) {
	dir := r.Path(p)
	text, err := os.ReadFile(filepath.Join(dir, metaFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var meta referenceMeta
	if err := json.Unmarshal(text, &meta); err != nil || meta.Version != storeVersion {
		return nil, fmt.Errorf("%s: written by another version; remove the folder %s", filepath.Join(dir, metaFile), dir)
	}
	one := &Reference{Pair: p, Heatmaps: map[string]core.Heatmap{}}
	if err := r.readTensors(dir, one); err != nil {
		return nil, err
	}
	if one.Mask, err = r.Mask(one.Heatmaps); err != nil {
		return nil, fmt.Errorf("%s: %w", dir, err)
	}
	return one, honorEdit(dir, one, meta)
}

func (r *References) readTensors(dir string, one *Reference) error {
	file, err := weights.Open(filepath.Join(dir, "latents.safetensors"))
	if err != nil {
		return err
	}
	params := nn.FromWeights(weights.NewSource(file.Path, file.Tensors), torch.Float32, torch.CPU)
	defer params.Drop()
	for _, t := range file.Tensors {
		read := params.Param(t.Name, nn.Zeros, t.Shape...)
		if t.Name == "latents" {
			one.Latents = read.Clone()
		} else {
			one.Heatmaps[t.Name] = eval.HeatmapOf(read)
		}
	}
	if err := file.Close(); err != nil {
		return err
	}
	for _, a := range r.aspects {
		if _, ok := one.Heatmaps[a.Name]; !ok || !one.Latents.Defined() {
			return fmt.Errorf("%s: no %s in it; remove the folder %s", file.Path, a.Name, dir)
		}
	}
	return nil
}

// honorEdit takes mask.png for the mask if somebody changed it since it was written.
func honorEdit(dir string, one *Reference, meta referenceMeta) error {
	path := filepath.Join(dir, "mask.png")
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	gray, err := core.ReadHeatmap(data)
	if err != nil {
		return fmt.Errorf("%s: %w; remove it to take the heatmap's own mask", path, err)
	}
	mask := gray.Threshold(0.5)
	if mask.Width != one.Mask.Width || mask.Height != one.Mask.Height {
		return fmt.Errorf("%s: %dx%d pixels, want %dx%d as the image has; remove it to take the heatmap's own mask",
			path, mask.Width, mask.Height, one.Mask.Width, one.Mask.Height)
	}
	if mask.Hash() != meta.MaskHash {
		one.Mask, one.Edited = mask, true
	}
	return nil
}

// save writes a reference's folder. base is Î₀, [1,3,H,W].
func (r *References) save(one *Reference, base torch.Tensor) (err error) {
	// Only the last folder of the path: a run that was moved is not made anew.
	if err := os.Mkdir(r.dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	temp, err := os.MkdirTemp(r.dir, ".new-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(temp)) }()
	entries := []weights.Entry{nn.Entry("latents", one.Latents)}
	for _, a := range r.aspects {
		heat := one.Heatmaps[a.Name]
		entries = append(entries, nn.Entry(a.Name, torch.From(heat.Score, int64(heat.Height), int64(heat.Width))))
		if err := writePNG(filepath.Join(temp, "heat-"+a.Name+".png"), heat.Gray()); err != nil {
			return err
		}
	}
	if err := weights.Write(filepath.Join(temp, "latents.safetensors"), nil, entries); err != nil {
		return err
	}
	for name, file := range map[string]image.Image{"mask.png": one.Mask.Gray(), "base.png": backbone.Pictures(base)[0]} {
		if err := writePNG(filepath.Join(temp, name), file); err != nil {
			return err
		}
	}
	meta := referenceMeta{storeVersion, one.Prompt, one.Seed, map[string]core.MaskRule{}, one.Mask.Hash(), one.Mask.Coverage()}
	for _, a := range r.aspects {
		meta.Mask[a.Name] = a.Mask
	}
	text, err := json.MarshalIndent(meta, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(temp, metaFile), append(text, '\n'), 0o644); err != nil {
		return err
	}
	final := r.Path(one.Pair)
	if err := os.RemoveAll(final); err != nil {
		return err
	}
	return os.Rename(temp, final)
}

func writePNG(path string, m image.Image) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(core.WritePNG(file, m), file.Close())
}
