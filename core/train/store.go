package train

import (
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"image"
	"io/fs"
	"os"
	"path/filepath"

	"focusnfix/core"
	"focusnfix/model/nn"
	"focusnfix/model/sd"
	"focusnfix/model/torch"
	"focusnfix/model/weights"
)

// store keeps references in a folder, one folder of its own for each:
//
//	latents.safetensors   x_0 and heatmaps, exact
//	base.png heat-ASPECT.png mask.png    for people, 8-bit; a changed mask.png is honoured
//	meta.json             what it was made from, and the rule's mask in short
//
// A folder is written under another name and renamed, so that a half-written one is never read.
type store struct {
	dir   string
	model string // hash of the base model's weights
	*localizer
}

// storeVersion is raised when what a folder holds changes its meaning.
const storeVersion = 1

type referenceMeta struct {
	Version  int
	Prompt   string
	Seed     uint64
	Mask     map[string]MaskRule // by aspect
	MaskHash uint64              // of mask.png as we wrote it
	Coverage float64
}

func (s *store) path(p Pair) string { return filepath.Join(s.dir, s.key(s.model, p)) }

// load reads the reference of a pair; nil if there is none. Tensors go to the open scope.
func (s *store) load(p Pair) (*Reference, error) {
	dir := s.path(p)
	text, err := os.ReadFile(filepath.Join(dir, "meta.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var meta referenceMeta
	if err := json.Unmarshal(text, &meta); err != nil || meta.Version != storeVersion {
		return nil, fmt.Errorf("%s: written by another version; remove the folder %s", filepath.Join(dir, "meta.json"), dir)
	}
	r := &Reference{Pair: p, Heatmaps: map[string]core.Heatmap{}}
	if err := s.loadTensors(dir, r); err != nil {
		return nil, err
	}
	if r.Mask, err = s.mask(r.Heatmaps); err != nil {
		return nil, fmt.Errorf("%s: %w", dir, err)
	}
	return r, honourEdit(dir, r, meta)
}

func (s *store) loadTensors(dir string, r *Reference) error {
	file, err := weights.Open(filepath.Join(dir, "latents.safetensors"))
	if err != nil {
		return err
	}
	params := nn.FromWeights(weights.NewSource(file.Path, file.Tensors), torch.Float32, torch.CPU)
	defer params.Drop()
	for _, t := range file.Tensors {
		read := params.Param(t.Name, nn.Zeros, t.Shape...)
		if t.Name == "latents" {
			r.Latents = read.Clone()
		} else {
			r.Heatmaps[t.Name] = heatmapOf(read)
		}
	}
	if err := file.Close(); err != nil {
		return err
	}
	for _, a := range s.aspects {
		if _, ok := r.Heatmaps[a.Name]; !ok || !r.Latents.Defined() {
			return fmt.Errorf("%s: no %s in it; remove the folder %s", file.Path, a.Name, dir)
		}
	}
	return nil
}

// honourEdit takes mask.png for the mask if somebody changed it since it was written.
func honourEdit(dir string, r *Reference, meta referenceMeta) error {
	path := filepath.Join(dir, "mask.png")
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	picture, err := core.ReadHeatmap(data)
	if err != nil {
		return fmt.Errorf("%s: %w; remove it to take the heatmap's own mask", path, err)
	}
	mask := picture.Threshold(0.5)
	if mask.Width != r.Mask.Width || mask.Height != r.Mask.Height {
		return fmt.Errorf("%s: %dx%d pixels, want %dx%d as the picture has; remove it to take the heatmap's own mask",
			path, mask.Width, mask.Height, r.Mask.Width, r.Mask.Height)
	}
	if hashOf(mask) != meta.MaskHash {
		r.Mask, r.Edited = mask, true
	}
	return nil
}

// save writes a reference's folder. base is Î₀, [1,3,H,W].
func (s *store) save(r *Reference, base torch.Tensor) (err error) {
	// Only the last folder of the path: a run that was moved is not made anew.
	if err := os.Mkdir(s.dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	temp, err := os.MkdirTemp(s.dir, ".new-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(temp)) }()
	entries := []weights.Entry{nn.Entry("latents", r.Latents)}
	for _, a := range s.aspects {
		heat := r.Heatmaps[a.Name]
		entries = append(entries, nn.Entry(a.Name, torch.From(heat.Score, int64(heat.Height), int64(heat.Width))))
		if err := writePNG(filepath.Join(temp, "heat-"+a.Name+".png"), heat.Gray()); err != nil {
			return err
		}
	}
	if err := weights.Write(filepath.Join(temp, "latents.safetensors"), nil, entries); err != nil {
		return err
	}
	for name, picture := range map[string]image.Image{"mask.png": r.Mask.Gray(), "base.png": sd.Pictures(base)[0]} {
		if err := writePNG(filepath.Join(temp, name), picture); err != nil {
			return err
		}
	}
	meta := referenceMeta{storeVersion, r.Prompt, r.Seed, map[string]MaskRule{}, hashOf(r.Mask), r.Mask.Coverage()}
	for _, a := range s.aspects {
		meta.Mask[a.Name] = a.Mask
	}
	text, err := json.MarshalIndent(meta, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(temp, "meta.json"), append(text, '\n'), 0o644); err != nil {
		return err
	}
	final := s.path(r.Pair)
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

// hashOf tells an edited mask from the one that was written.
func hashOf(m core.Mask) uint64 {
	h := fnv.New64a()
	for _, faulty := range m.Faulty {
		if faulty {
			h.Write([]byte{1})
		} else {
			h.Write([]byte{0})
		}
	}
	return h.Sum64()
}
