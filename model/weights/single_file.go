package weights

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
)

// Kind is a family of models that share one architecture.
type Kind string

// The families that the model packages implement.
const (
	SD1    Kind = "SD 1"
	SD2    Kind = "SD 2"
	SDXL   Kind = "SDXL"
	SD3    Kind = "Stable Diffusion 3"
	ZImage Kind = "Z-Image"
)

// kindOfContext tells the kind by the width of the text states that a UNet attends to.
func kindOfContext(width int64) (Kind, bool) {
	kind, ok := map[int64]Kind{768: SD1, 1024: SD2, 2048: SDXL}[width]
	return kind, ok
}

// Checkpoint is a single-file checkpoint taken apart: tensors by part of the model
// (unet, vae, text_encoder, text_encoder_2), named as in a diffusers folder.
type Checkpoint struct {
	Kind    Kind
	Parts   map[string][]Tensor
	Unknown []string // keys that belong to no part and are not known to be useless
}

// The prefixes of the two large parts in a single file.
const (
	unetPrefix = "model.diffusion_model."
	vaePrefix  = "first_stage_model."
)

// useless are the beginnings of keys that no model needs: training state, buffers that follow from the
// configuration, the second copy of averaged weights.
var useless = []string{
	"model_ema.", "betas", "alphas_cumprod", "sqrt_", "log_one_minus_alphas_cumprod", "posterior_", "logvar",
	"lvlb_weights", "denoiser.", "cond_stage_model.model.attn_mask", "conditioner.embedders.1.model.attn_mask",
	"first_stage_model.loss.", "first_stage_model.model_ema.", "edm_", "global_step", "epoch", "v_pred", "ztsnr",
}

// leftovers are patterns of keys that merging and training programs leave in single files, and that no model
// needs: CLIP's temperature, positions that count from 0, and the projection of a text encoder whose states
// alone are read. path.Match, where * spans dots.
var leftovers = []string{
	"*logit_scale",
	"cond_stage_model.transformer.text_projection*", "cond_stage_model.text_projection*",
	"conditioner.embedders.0.transformer.text_projection*", "conditioner.embedders.0.text_projection*",
}

// Leftovers are leftovers by the names that they have in a part of a diffusers folder, for Source.Done. A
// tensor that the model does ask for is never one.
var Leftovers = []string{"*position_ids", "*num_batches_tracked", "*logit_scale", "*text_projection.weight"}

// isUseless reports whether no model needs the tensor of this key of a single file.
func isUseless(key string) bool {
	return slices.ContainsFunc(useless, func(p string) bool { return strings.HasPrefix(key, p) }) || matchesAny(key, leftovers)
}

// SplitCheckpoint takes a single-file checkpoint apart without copying: tensors that
// differ from diffusers' only in shape, or are a slice of a fused one, become windows
// into the same bytes. Only OpenCLIP's text_projection comes out Transposed. The kind
// follows from the UNet; whether a model predicts noise or velocity cannot be told.
func SplitCheckpoint(f *File) (*Checkpoint, error) {
	c := &Checkpoint{Parts: map[string][]Tensor{}}
	for _, t := range f.Tensors {
		if strings.HasPrefix(t.Key, unetPrefix) && strings.HasSuffix(t.Key, ".attn2.to_k.weight") && len(t.Shape) == 2 {
			c.Kind, _ = kindOfContext(t.Shape[1])
		}
	}
	if c.Kind == "" {
		return nil, fmt.Errorf("%s: not a checkpoint of Stable Diffusion 1, 2 or XL base", f.Path)
	}
	for _, t := range f.Tensors {
		if isUseless(t.Key) {
			continue
		}
		part, tensors, err := c.place(t)
		switch {
		case err != nil:
			return nil, fmt.Errorf("%s: %s: %w", f.Path, t.Key, err)
		case part != "":
			c.Parts[part] = append(c.Parts[part], tensors...)
		case !matchesAny(t.Key, Leftovers): // positions in a layout that is not the part's
			c.Unknown = append(c.Unknown, t.Key)
		}
	}
	return c, nil
}

// place says which part t belongs to, and as what; part is "" if to none.
func (c *Checkpoint) place(t Tensor) (part string, as []Tensor, err error) {
	ok := false
	if rest, found := strings.CutPrefix(t.Key, unetPrefix); found {
		part = "unet"
		t.Name, ok = unetFromLDM(rest)
	} else if rest, found := strings.CutPrefix(t.Key, vaePrefix); found {
		part = "vae"
		t, ok = placeVAE(t, rest)
	} else {
		return c.placeText(t)
	}
	if !ok {
		return "", nil, nil
	}
	return part, []Tensor{t}, nil
}

// placeVAE names t, called name in the original layout, as diffusers does; false if it has another name.
func placeVAE(t Tensor, name string) (Tensor, bool) {
	renamed, ok := vaeName(name, ldmName, diffusersName)
	if !ok {
		renamed = canonicalVAE(name)
	}
	if strings.Contains(renamed, ".attentions.") && len(t.Shape) > 2 { // 1x1 convolutions
		t.Shape = t.Shape[:2]
	}
	t.Name = renamed
	return t, ok
}

// The prefixes of the text encoders in a single file, by what they hold.
var (
	clipPrefix     = map[Kind]string{SD1: "cond_stage_model.transformer.", SDXL: "conditioner.embedders.0.transformer."}
	openCLIPPrefix = map[Kind]string{SD2: "cond_stage_model.model.", SDXL: "conditioner.embedders.1.model."}
	openCLIPPart   = map[Kind]string{SD2: "text_encoder", SDXL: "text_encoder_2"}
)

// placeText is place for the text encoders.
func (c *Checkpoint) placeText(t Tensor) (part string, as []Tensor, err error) {
	if prefix := clipPrefix[c.Kind]; prefix != "" && strings.HasPrefix(t.Key, prefix) {
		t.Name = strings.TrimPrefix(t.Key, prefix)
		if !strings.HasPrefix(t.Name, "text_model.") { // as some merging programs leave it
			t.Name = "text_model." + t.Name
		}
		return "text_encoder", []Tensor{t}, nil
	}
	prefix := openCLIPPrefix[c.Kind]
	if prefix == "" || !strings.HasPrefix(t.Key, prefix) {
		return "", nil, nil
	}
	name := strings.TrimPrefix(t.Key, prefix)
	if c.Kind == SD2 && (strings.HasPrefix(name, "transformer.resblocks.23.") || name == "text_projection") {
		return openCLIPPart[c.Kind], nil, nil // SD 2 reads the layer before the last
	}
	if as, err = openCLIPText.tensors(t, name); len(as) == 0 {
		return "", nil, err
	}
	return openCLIPPart[c.Kind], as, nil
}

// Rows is the window on n rows of t from row at.
func (t Tensor) Rows(at, n int64) Tensor {
	size := int64(len(t.Bytes)) / max(1, t.Shape[0])
	if len(t.Scales) > 1 {
		t.Scales = t.Scales[at : at+n]
	}
	t.Shape = append([]int64{n}, t.Shape[1:]...)
	t.Offset += at * size
	t.Bytes = t.Bytes[at*size : (at+n)*size : (at+n)*size]
	return t
}

// SplitVAE takes the VAE out of a file of its own, in the layout of diffusers or of the original
// programs, or out of a whole checkpoint: tensors named as in a diffusers folder.
func SplitVAE(f *File) ([]Tensor, error) {
	prefix := ""
	if slices.ContainsFunc(f.Tensors, func(t Tensor) bool { return strings.HasPrefix(t.Key, vaePrefix) }) {
		prefix = vaePrefix
	}
	var vae []Tensor
	whole := false
	for _, t := range f.Tensors {
		name, ok := strings.CutPrefix(t.Key, prefix)
		if !ok || strings.HasPrefix(name, "loss.") || strings.HasPrefix(name, "model_ema.") {
			continue
		}
		t, _ = placeVAE(t, name)
		vae = append(vae, t)
		whole = whole || t.Name == "decoder.conv_in.weight"
	}
	if !whole {
		return nil, fmt.Errorf("%s: no decoder.conv_in.weight, want a VAE of Stable Diffusion", f.Path)
	}
	return vae, nil
}

// JoinCheckpoint is the way back from SplitCheckpoint: the entries, for Write, of the
// single file that holds the given parts. What has no place in it is an error.
func JoinCheckpoint(kind Kind, parts map[string][]Tensor) ([]Entry, error) {
	var entries []Entry
	for _, part := range sortedKeys(parts) {
		names := map[string]Tensor{}
		for _, t := range parts[part] {
			names[t.Name] = t
		}
		for _, name := range sortedKeys(names) {
			e, ok := names[name].joined(kind, part, names)
			if !ok {
				return nil, fmt.Errorf("%s: %s: has no place in a single file of %s", part, name, kind)
			}
			if e.Name != "" {
				entries = append(entries, e)
			}
		}
	}
	return entries, nil
}

// joined is the entry that holds t, which is a tensor of part among all its tensors.
// The entry has no name for a key or value weight, which goes with its query's.
func (t Tensor) joined(kind Kind, part string, all map[string]Tensor) (e Entry, ok bool) {
	e = Entry{DType: t.stored(), Shape: t.Shape, Data: t.writeTo}
	prefix := ""
	switch {
	case part == "unet":
		prefix = unetPrefix
		e.Name, ok = unetToLDM(t.Name, func(block string) bool {
			_, ok := all[block+".attentions.0.norm.weight"]
			return ok
		})
	case part == "vae":
		prefix = vaePrefix
		e.Name, ok = vaeName(t.Name, diffusersName, ldmName)
		if strings.Contains(t.Name, ".attentions.") && len(t.Shape) == 2 {
			e.Shape = append(slices.Clone(t.Shape), 1, 1)
		}
	case part == openCLIPPart[kind]:
		prefix = openCLIPPrefix[kind]
		e, ok = t.joinedOpenCLIP(all)
	case part == "text_encoder" && clipPrefix[kind] != "":
		prefix, e.Name, ok = clipPrefix[kind], t.Name, true
	}
	if e.Name != "" {
		e.Name = prefix + e.Name
	}
	return e, ok
}

// joinedOpenCLIP fuses the three projections and turns text_projection.
func (t Tensor) joinedOpenCLIP(all map[string]Tensor) (e Entry, ok bool) {
	e = Entry{DType: t.stored(), Shape: t.Shape, Data: t.writeTo}
	if layer, proj, found := strings.Cut(t.Name, ".self_attn."); found && proj != "out_proj.weight" && proj != "out_proj.bias" {
		proj, suffix, _ := strings.Cut(proj, ".")
		if proj == "k_proj" || proj == "v_proj" {
			return Entry{}, true
		}
		e.Name = openCLIPText.layers.ldm + strings.TrimPrefix(layer, openCLIPText.layers.diffusers) + ".attn.in_proj_" + suffix
		e.Shape = append([]int64{3 * t.Shape[0]}, t.Shape[1:]...)
		e.Data = func(w io.Writer) error {
			for _, proj := range []string{"q_proj.", "k_proj.", "v_proj."} {
				if err := all[layer+".self_attn."+proj+suffix].writeTo(w); err != nil {
					return err
				}
			}
			return nil
		}
		return e, true
	}
	e.Name, ok = openCLIPText.rename(t.Name, diffusersName, ldmName)
	if e.Name == "text_projection" {
		t.Transposed, t.Shape = !t.Transposed, []int64{t.Shape[1], t.Shape[0]}
		e.Shape, e.Data = t.Shape, t.writeTo
	}
	return e, ok
}

// writeTo writes the tensor row by row, turning it if it is Transposed.
func (t Tensor) writeTo(w io.Writer) error {
	if t.Scales != nil {
		values, err := t.Float32s()
		if err != nil {
			return err
		}
		buffer := make([]byte, 0, 4*len(values))
		for _, v := range values {
			buffer = binary.LittleEndian.AppendUint32(buffer, math.Float32bits(v))
		}
		_, err = w.Write(buffer)
		return err
	}
	if !t.Transposed {
		first, second := []byte(nil), t.Bytes
		if half := len(t.Bytes) / 2; t.Swapped {
			first, second = t.Bytes[half:], t.Bytes[:half]
		}
		if _, err := w.Write(first); err != nil {
			return err
		}
		_, err := w.Write(second)
		return err
	}
	width := t.DType.Bits() / 8
	rows, cols := int(t.Shape[0]), int(t.Shape[1]) // stored as [cols,rows]
	line := make([]byte, 0, cols*width)
	for r := range rows {
		line = line[:0]
		for c := range cols {
			at := (c*rows + r) * width
			line = append(line, t.Bytes[at:at+width]...)
		}
		if _, err := w.Write(line); err != nil {
			return err
		}
	}
	return nil
}
