package nn

import (
	"fmt"
	"io"

	"focusnfix/model/torch"
	"focusnfix/model/weights"
)

// Entry makes a tensor ready for weights.Write, under that name and in its own element type. The
// tensor's numbers are read when the file is written, so it must live until then.
func Entry(name string, t torch.Tensor) weights.Entry {
	dtype := weights.DType("")
	for file, memory := range dtypes {
		if memory == t.DType() {
			dtype = file
		}
	}
	if t.DType() == torch.Uint8 {
		dtype = weights.U8 // pixels, which are data and no parameter
	}
	return weights.Entry{Name: name, DType: dtype, Shape: t.Shape(), Data: func(w io.Writer) error {
		var data []byte
		if err := torch.Run(func() { data = t.Bytes() }); err != nil {
			return fmt.Errorf("read tensor: %w", err)
		}
		_, err := w.Write(data)
		return err
	}}
}

// Entries makes all parameters below p ready for weights.Write, under their names below p.
func (p Params) Entries() []weights.Entry {
	var entries []weights.Entry
	for name, t := range p.All() {
		entries = append(entries, Entry(name, t))
	}
	return entries
}
