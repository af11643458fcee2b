package train

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"image"
	"image/color"
	"image/png"
	"io/fs"
	"os"
	"path/filepath"

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
	r := &Reference{Pair: p, Heatmaps: map[string]torch.Tensor{}}
	if err := s.loadTensors(dir, r); err != nil {
		return nil, err
	}
	r.Mask = s.mask(r.Heatmaps)
	return r, s.honourEdit(dir, r, meta)
}

func (s *store) loadTensors(dir string, r *Reference) error {
	file, err := weights.Open(filepath.Join(dir, "latents.safetensors"))
	if err != nil {
		return err
	}
	params := nn.FromWeights(weights.NewSource(file.Path, file.Tensors), torch.Float32, torch.CPU)
	defer params.Drop()
	for _, t := range file.Tensors {
		copied := params.Param(t.Name, nn.Zeros, t.Shape...).Clone()
		if t.Name == "latents" {
			r.Latents = copied
		} else {
			r.Heatmaps[t.Name] = copied
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
func (s *store) honourEdit(dir string, r *Reference, meta referenceMeta) error {
	path := filepath.Join(dir, "mask.png")
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	picture, err := png.Decode(bytes.NewReader(data))
	if err != nil {
		return fmt.Errorf("%s: %w; remove it to take the heatmap's own mask", path, err)
	}
	H, W := r.Mask.Size(2), r.Mask.Size(3)
	if b := picture.Bounds(); int64(b.Dx()) != W || int64(b.Dy()) != H {
		return fmt.Errorf("%s: %dx%d pixels, want %dx%d as the picture has; remove it to take the heatmap's own mask", path, b.Dx(), b.Dy(), W, H)
	}
	values := grayOf(picture)
	if hashOf(values) == meta.MaskHash {
		return nil
	}
	mask := make([]float32, len(values))
	for i, v := range values {
		if v > 127 {
			mask[i] = 1
		}
	}
	r.Mask, r.Edited = torch.From(mask, 1, 1, H, W), true
	return nil
}

// save writes a reference's folder. base is Î₀, [1,3,H,W].
func (s *store) save(r *Reference, base torch.Tensor) (err error) {
	if err := os.MkdirAll(s.dir, 0o755); err != nil {
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
		entries = append(entries, nn.Entry(a.Name, heat))
		if err := writePNG(filepath.Join(temp, "heat-"+a.Name+".png"), grayPicture(heat)); err != nil {
			return err
		}
	}
	if err := weights.Write(filepath.Join(temp, "latents.safetensors"), nil, entries); err != nil {
		return err
	}
	mask := grayPicture(r.Mask)
	for name, picture := range map[string]image.Image{"mask.png": mask, "base.png": sd.Pictures(base)[0]} {
		if err := writePNG(filepath.Join(temp, name), picture); err != nil {
			return err
		}
	}
	meta := referenceMeta{storeVersion, r.Prompt, r.Seed, map[string]MaskRule{}, hashOf(mask.Pix), r.Coverage()}
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

// grayPicture is [1,1,H,W] in [0,1] as 8-bit gray.
func grayPicture(t torch.Tensor) *image.Gray {
	m := image.NewGray(image.Rect(0, 0, int(t.Size(3)), int(t.Size(2))))
	torch.Scope(func() torch.Tensor {
		copy(m.Pix, t.MulScalar(255).Round().To(torch.Uint8).Contiguous().Bytes())
		return torch.Tensor{}
	})
	return m
}

// grayOf reads any picture as 8-bit gray, row by row.
func grayOf(m image.Image) []uint8 {
	b := m.Bounds()
	values := make([]uint8, 0, b.Dx()*b.Dy())
	for y := b.Min.Y; y < b.Max.Y; y++ {
		for x := b.Min.X; x < b.Max.X; x++ {
			values = append(values, color.GrayModel.Convert(m.At(x, y)).(color.Gray).Y)
		}
	}
	return values
}

func writePNG(path string, m image.Image) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(png.Encode(file, m), file.Close())
}

// hashOf tells an edited mask from the one that was written.
func hashOf(values []uint8) uint64 {
	h := fnv.New64a()
	h.Write(values)
	return h.Sum64()
}
