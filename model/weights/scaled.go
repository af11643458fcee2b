package weights

import (
	"fmt"
	"slices"
	"strings"
)

// Files of scaled 8-bit floats hold beside MODULE.weight a number to multiply it with, under one of these
// endings; ComfyUI writes the first, its newer versions the second.
var scaleEndings = []string{".scale_weight", ".weight_scale"}

// scaleLeftovers are the endings of what such files hold besides: the scales of activations, which matter
// to arithmetic in 8 bits only, and marks.
var scaleLeftovers = []string{".scale_input", ".input_scale", ".comfy_quant", "scaled_fp8"}

// quantizedEndings are those of quantized weights that are not read, with what they are.
var quantizedEndings = []struct{ text, what string }{
	{".weight_scale_2", "NVFP4"},
	{".weight.absmax", "bitsandbytes' 4 bits"},
	{".SCB", "bitsandbytes' 8 bits"},
	{".qweight", "GPTQ or AWQ"},
	{".lora_down.weight.quant_state", "quantized LoRA"},
}

// foldScales gives 8-bit float tensors their scales and takes these out of the list. Other quantized weights
// are refused by name.
func foldScales(path string, tensors []Tensor) ([]Tensor, error) {
	for _, t := range tensors {
		for _, q := range quantizedEndings {
			if strings.HasSuffix(t.Key, q.text) {
				return nil, fmt.Errorf("%s: %s: weights of %s are not read; want floats of 8 bits or more", path, t.Key, q.what)
			}
		}
	}
	scales, marked := map[string]Tensor{}, false
	for _, t := range tensors {
		for _, ending := range scaleEndings {
			if module, ok := strings.CutSuffix(t.Key, ending); ok {
				scales[module+".weight"] = t
			}
		}
		marked = marked || strings.HasSuffix(t.Key, "scaled_fp8")
	}
	if len(scales) == 0 && !marked {
		return tensors, nil
	}
	var kept []Tensor
	for _, t := range tensors {
		if isScale(t.Key) {
			continue
		}
		if s, ok := scales[t.Key]; ok {
			var err error
			if t, err = t.scaledBy(s); err != nil {
				return nil, fmt.Errorf("%s: %w", path, err)
			}
			delete(scales, t.Key)
		}
		kept = append(kept, t)
	}
	for _, key := range sortedKeys(scales) {
		return nil, fmt.Errorf("%s: %s: no %s that it could scale", path, scales[key].Key, key)
	}
	return kept, nil
}

func isScale(key string) bool {
	ends := func(e string) bool { return strings.HasSuffix(key, e) }
	return slices.ContainsFunc(scaleEndings, ends) || slices.ContainsFunc(scaleLeftovers, ends)
}

// scaledBy is t with the scales that s holds.
func (t Tensor) scaledBy(s Tensor) (Tensor, error) {
	if t.DType != F8E4M3 && t.DType != F8E5M2 {
		return t, fmt.Errorf("%s: %s with a scale, want 8-bit floats; other quantized weights are not read", t.Key, t.DType)
	}
	values, err := s.Float32s()
	if err != nil {
		return t, err
	}
	if n := len(values); n != 1 && (len(t.Shape) == 0 || int64(n) != t.Shape[0] || s.Shape[0] != t.Shape[0]) {
		return t, fmt.Errorf("%s: shape %s, want one number or one for each of %s", s.Key, shapeString(s.Shape), shapeString(t.Shape))
	}
	t.Scales = values
	return t, nil
}
