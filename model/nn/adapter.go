package nn

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"focusnfix/model/torch"
)

// Adapter is a set of low-rank updates of one network: what training learns and a LoRA file holds.
type Adapter struct {
	LoRAs  []*LoRA  // in the order of the network's layers
	Shifts []*Shift // full updates, of files that hold such; never trained
}

// NewAdapter attaches a fresh update of the given rank to every layer of the network that want picks
// by name. The updates are float32 on the layers' device, and the network computes what it did before.
func NewAdapter(p Params, rank int64, alpha float64, seed uint64, want func(layer string) bool) (*Adapter, error) {
	if rank < 1 {
		return nil, fmt.Errorf("lora: rank %d, want at least 1", rank)
	}
	generator, err := torch.NewGenerator(torch.CPU, seed)
	if err != nil {
		return nil, err
	}
	defer generator.Close()
	a := &Adapter{}
	err = torch.Run(func() {
		for name := range p.Layers() {
			if want(name) {
				a.attach(newLoRA(name, p.layer(name), rank, alpha, generator))
			}
		}
	})
	if err == nil && len(a.LoRAs) == 0 {
		err = fmt.Errorf("lora: the targets pick no layer of the network")
	}
	return a.unless(err)
}

// unless takes a half-attached adapter off the network again.
func (a *Adapter) unless(err error) (*Adapter, error) {
	if err != nil {
		a.Remove()
		return nil, err
	}
	return a, nil
}

func newLoRA(name string, layer adaptable, rank int64, alpha float64, g *torch.Generator) *LoRA {
	down, up := layer.updateShapes(rank)
	device := layer.weight().Device()
	return &LoRA{
		Name: name, Alpha: alpha, Scale: 1, layer: layer,
		Down: torch.Own(downInit(down)(g, down).ToDevice(device, torch.Float32)),
		Up:   torch.Own(Zeros(nil, up).ToDevice(device, torch.Float32)),
	}
}

func (p Params) layer(name string) adaptable { return p.inventory.layers[p.prefix+name] }

// LoadAdapter attaches updates that were read from a file. Down and Up are copied to the layers'
// device, in float32 if they are half types, full updates in the layers' element type; nothing is
// attached if one does not fit.
func LoadAdapter(p Params, loras []*LoRA, shifts ...*Shift) (*Adapter, error) {
	if err := errors.Join(checkLoRAs(p, loras, len(shifts)), checkShifts(p, shifts)); err != nil {
		return nil, err
	}
	a := &Adapter{}
	err := torch.Run(func() {
		for _, u := range loras {
			layer := p.layer(u.Name)
			place := func(t torch.Tensor) torch.Tensor {
				t = wide(t)
				return torch.Own(t.ToDevice(layer.weight().Device(), t.DType()).Clone())
			}
			a.attach(&LoRA{Name: u.Name, Alpha: u.Alpha, Scale: u.Scale, layer: layer, Down: place(u.Down), Up: place(u.Up)})
		}
		for _, s := range shifts {
			a.attachShift(s, p.layer(s.Name))
		}
	})
	return a.unless(err)
}

// checkLoRAs refuses updates of layers that the network lacks or that have other shapes: a LoRA for
// another model.
func checkLoRAs(p Params, loras []*LoRA, more int) error {
	if len(loras)+more == 0 {
		return fmt.Errorf("lora: no update for this network in it")
	}
	var missing []string
	for _, u := range loras {
		layer := p.layer(u.Name)
		if layer == nil {
			missing = append(missing, u.Name)
			continue
		}
		down, up := layer.updateShapes(u.Rank())
		if got := u.Down.Shape(); !slices.Equal(got, down) {
			return fmt.Errorf("lora: %s: down matrix %s, want %s; is it for another model?", u.Name, torch.ShapeString(got), torch.ShapeString(down))
		}
		if got := u.Up.Shape(); !slices.Equal(got, up) {
			return fmt.Errorf("lora: %s: up matrix %s, want %s; is it for another model?", u.Name, torch.ShapeString(got), torch.ShapeString(up))
		}
	}
	if len(missing) > 0 {
		const shown = 4
		names := strings.Join(missing[:min(shown, len(missing))], ", ")
		return fmt.Errorf("lora: %d of %d updates are for layers that the model lacks (%s); is it for another model?", len(missing), len(loras), names)
	}
	return nil
}

// checkShifts is checkLoRAs for full updates.
func checkShifts(p Params, shifts []*Shift) error {
	for _, s := range shifts {
		layer := p.layer(s.Name)
		if layer == nil {
			return fmt.Errorf("lora: %s: the model has no such layer; is it for another model?", s.Name)
		}
		want := layer.weight().Shape()
		if s.Weight.Defined() && !slices.Equal(s.Weight.Shape(), want) {
			return fmt.Errorf("lora: %s: update %s, want %s; is it for another model?", s.Name, torch.ShapeString(s.Weight.Shape()), torch.ShapeString(want))
		}
		if s.Bias.Defined() && !slices.Equal(s.Bias.Shape(), want[:1]) {
			return fmt.Errorf("lora: %s: update of the bias %s, want %s; is it for another model?", s.Name, torch.ShapeString(s.Bias.Shape()), torch.ShapeString(want[:1]))
		}
	}
	return nil
}

func (a *Adapter) attachShift(s *Shift, layer adaptable) {
	weight := layer.weight()
	place := func(t torch.Tensor) torch.Tensor {
		if !t.Defined() {
			return t
		}
		return torch.Own(t.ToDevice(weight.Device(), weight.DType()).Clone())
	}
	own := &Shift{Name: s.Name, Scale: s.Scale, layer: layer, Weight: place(s.Weight), Bias: place(s.Bias)}
	a.Shifts = append(a.Shifts, own)
	list := layer.list()
	list.shifts = append(list.shifts, own)
}

func (a *Adapter) attach(u *LoRA) {
	a.LoRAs = append(a.LoRAs, u)
	list := u.layer.list()
	list.loras = append(list.loras, u)
}

// SetScale sets the strength of all updates: 1 is as trained, 0 is off. A merged adapter keeps the
// strength it was merged with.
func (a *Adapter) SetScale(scale float64) {
	for _, u := range a.LoRAs {
		u.Scale = scale
	}
	for _, s := range a.Shifts {
		s.Scale = scale
	}
}

// Tensors lists the matrices with the names that peft gives them, for saving and training.
func (a *Adapter) Tensors() (names []string, tensors []torch.Tensor) {
	for _, u := range a.LoRAs {
		names = append(names, u.Name+".lora_A.weight", u.Name+".lora_B.weight")
		tensors = append(tensors, u.Down, u.Up)
	}
	return names, tensors
}

// SetTrainable turns recording of the matrices' gradients on or off.
func (a *Adapter) SetTrainable(on bool) {
	_, tensors := a.Tensors()
	for _, t := range tensors {
		t.SetRequiresGrad(on)
	}
}

// Merge adds the low-rank updates to the layers' weights, so that the network runs at its plain speed; full
// updates stay beside them. The
// weights from before are kept; those of a mapped checkpoint take no memory. One adapter at a time can
// be merged into a layer.
func (a *Adapter) Merge() error {
	for _, u := range a.LoRAs {
		if u.layer.list().plain.Defined() {
			return fmt.Errorf("lora: %s: an adapter is merged into it already", u.Name)
		}
	}
	err := torch.Run(func() {
		torch.NoGrad(func() {
			for _, u := range a.LoRAs {
				u.merge()
			}
		})
	})
	if err != nil {
		a.Unmerge()
	}
	return err
}

// MergesExactly reports whether a merged network computes the same but for the rounding of float32: in layers
// of a half type a small update is lost in the weight's own rounding.
func (a *Adapter) MergesExactly() bool {
	return !slices.ContainsFunc(a.LoRAs, func(u *LoRA) bool { return u.layer.weight().DType() != torch.Float32 })
}

// Cast rounds the matrices over layers of a half type once, for as long as f runs without gradients, and
// the matrices must not change meanwhile.
func (a *Adapter) Cast(f func()) {
	for _, u := range a.LoRAs {
		if dtype := u.layer.weight().DType(); isHalf(dtype) && !isHalf(u.Down.DType()) {
			torch.NoGrad(func() {
				kept := torch.Scopes(func() []torch.Tensor {
					down, up := u.cast(dtype)
					return []torch.Tensor{down, up}
				})
				u.castDown, u.castUp = kept[0], kept[1]
			})
		}
	}
	defer func() {
		for _, u := range a.LoRAs {
			torch.Drop(u.castDown, u.castUp)
			u.castDown, u.castUp = torch.Tensor{}, torch.Tensor{}
		}
	}()
	f()
}

func (u *LoRA) merge() {
	weight := u.layer.weight()
	sum := torch.Scope(func() torch.Tensor {
		delta := u.delta()
		return weight.To(delta.DType()).Add(delta).To(weight.DType())
	})
	u.layer.list().plain, *weight = *weight, torch.Own(sum)
	u.merged = true
}

// Unmerge puts the weights from before Merge back, bit for bit.
func (a *Adapter) Unmerge() {
	for _, u := range a.LoRAs {
		if !u.merged {
			continue
		}
		list, weight := u.layer.list(), u.layer.weight()
		torch.Drop(*weight)
		*weight, list.plain = list.plain, torch.Tensor{}
		u.merged = false
	}
}

// Remove takes the updates off the network, unmerging them first, and frees them.
func (a *Adapter) Remove() {
	a.Unmerge()
	for _, u := range a.LoRAs {
		list := u.layer.list()
		list.loras = slices.DeleteFunc(list.loras, func(v *LoRA) bool { return v == u })
		torch.Drop(u.Down, u.Up)
	}
	for _, s := range a.Shifts {
		list := s.layer.list()
		list.shifts = slices.DeleteFunc(list.shifts, func(v *Shift) bool { return v == s })
		for _, t := range []torch.Tensor{s.Weight, s.Bias} {
			if t.Defined() {
				torch.Drop(t)
			}
		}
	}
	a.LoRAs, a.Shifts = nil, nil
}
