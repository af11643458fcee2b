package sd

import "focusnfix/model/torch"

// Tiles overlap by a quarter and are blended linearly, as diffusers does; an image in tiles differs
// from a whole one because norms and attention see one tile only.
const tileOverlap = 0.25

// tiles cuts x [B,C,H,W] into overlapping squares of side, maps each through f, which scales sides by
// to/side, and blends the results into one tensor.
func tiles(x torch.Tensor, side, to int64, f func(torch.Tensor) torch.Tensor) torch.Tensor {
	H, W := x.Size(2), x.Size(3)
	stride, blend := side-int64(float64(side)*tileOverlap), int64(float64(to)*tileOverlap)
	keep := to - blend
	var rows, above []torch.Tensor
	for i := int64(0); i < H; i += stride {
		var row, cut []torch.Tensor
		for j := int64(0); j < W; j += stride {
			tile := torch.Scope(func() torch.Tensor {
				return f(x.Narrow(2, i, min(side, H-i)).Narrow(3, j, min(side, W-j)))
			})
			if above != nil {
				tile = blendEdge(above[len(row)], tile, blend, 2)
			}
			if len(row) > 0 {
				tile = blendEdge(row[len(row)-1], tile, blend, 3)
			}
			row = append(row, tile)
			cut = append(cut, tile.Narrow(2, 0, min(keep, tile.Size(2))).Narrow(3, 0, min(keep, tile.Size(3))))
		}
		rows, above = append(rows, torch.Cat(cut, 3)), row
	}
	return torch.Cat(rows, 2)
}

// blendEdge fades from the end of a into the start of b along dim, over at most extent pixels.
func blendEdge(a, b torch.Tensor, extent, dim int64) torch.Tensor {
	extent = min(extent, a.Size(dim), b.Size(dim))
	if extent == 0 {
		return b
	}
	ramp := make([]float32, extent)
	for i := range ramp {
		ramp[i] = float32(i) / float32(extent)
	}
	return torch.Scope(func() torch.Tensor {
		shape := []int64{1, 1, 1, 1}
		shape[dim] = extent
		fade := torch.From(ramp, shape...).ToDevice(b.Device(), b.DType())
		end := a.Narrow(dim, a.Size(dim)-extent, extent)
		start := b.Narrow(dim, 0, extent)
		mixed := end.Mul(fade.Neg().AddScalar(1)).Add(start.Mul(fade))
		return torch.Cat([]torch.Tensor{mixed, b.Narrow(dim, extent, b.Size(dim)-extent)}, dim)
	})
}
