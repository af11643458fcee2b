package weights

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
)

// A fused module has the factors of three in one: the same down matrix for all, and an up matrix whose rows are
// theirs, one part below the other. Three that were trained apart are fused the other way round: down matrices below
// each other, up matrices along the diagonal, with three times the rank and alpha.

// inDiffusersNames are the modules that m stands for: m itself, or what is fused in it.
func (m *LoRAModule) inDiffusersNames() ([]LoRAModule, error) {
	if m.Component != transformerPart {
		return []LoRAModule{*m}, nil
	}
	names := transformerNames(m.Path)
	switch {
	case len(names) == 3:
		return m.split(names)
	case len(names) == 1 && names[0] != m.Path: // one that was left for here, because its rows may have to be turned
		return m.turned(names[0])
	}
	return []LoRAModule{*m}, nil
}

// split takes a fused module apart.
func (m *LoRAModule) split(names []string) ([]LoRAModule, error) {
	if m.Method != PlainLoRA && m.Method != Full || m.has(Magnitude) || m.has(LoRABias) {
		return nil, fmt.Errorf("%s of a fused layer is not supported, only plain LoRA", m.Describe())
	}
	parts := make([]LoRAModule, len(names))
	rows := func(t Tensor, into func(i int) *Tensor) error {
		if t.Shape == nil {
			return nil
		}
		thirds, err := t.thirds()
		for i := range thirds {
			*into(i) = thirds[i]
		}
		return err
	}
	for i, name := range names {
		parts[i] = *m
		parts[i].Path, parts[i].Factors = name, map[Factor]Tensor{}
	}
	err := rows(m.Up, func(i int) *Tensor { return &parts[i].Up })
	for factor, t := range m.Factors {
		var thirds [3]Tensor
		if factor == Mid {
			thirds = [3]Tensor{t, t, t}
		} else {
			err = errors.Join(err, rows(t, func(i int) *Tensor { return &thirds[i] }))
		}
		for i := range parts {
			parts[i].Factors[factor] = thirds[i]
		}
	}
	return parts, err
}

// turned gives a module of shifts and scales its name, with its rows in diffusers' order.
func (m *LoRAModule) turned(name string) ([]LoRAModule, error) {
	one := *m
	if m.Method != PlainLoRA || len(m.Factors) > 0 {
		return nil, fmt.Errorf("%s of a layer of shifts and scales is not supported, only plain LoRA", m.Describe())
	}
	one.Path = name
	one.Up.Swapped = scaleFirst(m.Path, m.Up.Shape[0], m.Down.Shape[1])
	return []LoRAModule{one}, nil
}

// Written are the modules that ReadLoRA finds in a file which WriteLoRA has written of these: fused ones come apart
// with the rank of all three.
func (d Dialect) Written(modules []LoRAModule) ([]LoRAModule, error) {
	named, err := d.named(modules)
	if err != nil {
		return nil, err
	}
	var all []LoRAModule
	for i := range named {
		if err := named[i].check(); err != nil {
			return nil, err
		}
		parts, err := named[i].inDiffusersNames()
		if err != nil {
			return nil, err
		}
		all = append(all, parts...)
	}
	slices.SortFunc(all, func(a, b LoRAModule) int { return cmp.Compare(a.Name(), b.Name()) })
	return all, nil
}

// named gives the modules of a transformer the names that a dialect has for them, fusing where it fuses.
func (d Dialect) named(modules []LoRAModule) ([]LoRAModule, error) {
	if d != Kohya && d != ComfyUI {
		return modules, nil
	}
	var named []LoRAModule
	whole := map[string][3]*LoRAModule{}
	for i, m := range modules {
		if m.Component != transformerPart {
			if d == ComfyUI {
				return nil, fmt.Errorf("%s: %s is for transformers; ComfyUI reads %s for UNets and text encoders", m.Name(), ComfyUI, Kohya)
			}
			named = append(named, m)
			continue
		}
		name, third := originalName(m.Path)
		if third >= 0 {
			parts := whole[name]
			parts[third] = &modules[i]
			whole[name] = parts
			continue
		}
		m.Path = name
		if m.Up.Swapped = m.Up.Swapped != scaleFirst(name, m.Up.Shape[0], m.Down.Shape[1]); m.Up.Swapped {
			values, err := m.Up.Float32s()
			if err != nil {
				return nil, err
			}
			m.Up = float32Tensor(m.Up.Shape, values)
		}
		named = append(named, m)
	}
	for _, name := range sortedKeys(whole) {
		m, err := fuse(name, whole[name])
		if err != nil {
			return nil, err
		}
		named = append(named, m)
	}
	return named, nil
}

// fuse makes one module of up to three, in float32. A missing one is not updated.
func fuse(name string, parts [3]*LoRAModule) (whole LoRAModule, err error) {
	var rank, rows, width int64
	for _, m := range parts {
		if m == nil {
			continue
		}
		if !m.Plain() {
			return whole, fmt.Errorf("%s: is %s; only plain LoRA can be fused", m.Name(), m.Describe())
		}
		if rows != 0 && (rows != m.Up.Shape[0] || width != m.Down.Shape[1]) {
			return whole, fmt.Errorf("%s: %s differs from the other parts of %s", m.Name(), m.shapes(), name)
		}
		rank, rows, width = rank+m.Rank(), m.Up.Shape[0], m.Down.Shape[1]
	}
	var down []float32
	up := make([]float32, 3*rows*rank)
	alpha, at := 0.0, int64(0)
	for i, m := range parts {
		if m == nil {
			continue
		}
		if alpha == 0 { // all are scaled as the first
			alpha = m.Alpha / float64(m.Rank()) * float64(rank)
		}
		d, err := m.Down.Float32s()
		if err != nil {
			return whole, err
		}
		u, err := m.Up.Float32s()
		if err != nil {
			return whole, err
		}
		down = append(down, d...)
		r, more := m.Rank(), float32(m.Alpha/float64(m.Rank())*float64(rank)/alpha)
		for row := range rows {
			for k := range r {
				up[(int64(i)*rows+row)*rank+at+k] = u[row*r+k] * more
			}
		}
		at += r
	}
	return LoRAModule{
		Component: transformerPart, Path: name, Method: PlainLoRA, Alpha: alpha, Factors: map[Factor]Tensor{},
		Down: float32Tensor([]int64{rank, width}, down), Up: float32Tensor([]int64{3 * rows, rank}, up),
	}, nil
}

// float32Tensor is a tensor in memory.
func float32Tensor(shape []int64, values []float32) Tensor {
	bytes := make([]byte, 0, 4*len(values))
	for _, v := range values {
		bytes = binary.LittleEndian.AppendUint32(bytes, math.Float32bits(v))
	}
	return Tensor{DType: F32, Shape: shape, Bytes: bytes}
}
