package train

import (
	"fmt"
	"math"

	"focusnfix/model/torch"
)

// RegionNorm is how the difference outside the mask is measured.
type RegionNorm string

// Norms of the region term. All are [B], zero at Î = Î₀ with zero gradient there.
//
// Frobenius is the paper's; it grows with the square root of the number of pixels, so that a weight
// does not carry from 512 to 1024. RMS is the same divided by that root. Local is the 4-norm over cells
// of 8×8 pixels of the RMS within each: a mean square hides a small new object of strong contrast, a sun
// in the sky say, behind a faint drift of the whole picture; here it counts more than twice as much
// (docs/method.md).
const (
	RMS       RegionNorm = "rms"
	Frobenius RegionNorm = "frobenius"
	Local     RegionNorm = "local"
)

const (
	localCell  = 8   // pixels of a side; the sides of every picture we draw are multiples of it
	localPower = 4.0 // of the norm over cells: 2 is RMS, infinity the worst cell alone
)

// rounding is a difference, RMS over pixels in [0,1], that float32 sums in another order make. The gradient
// of a norm has length 1 however small the norm is: at the first step, where Î is Î₀ but for rounding, it
// would pull as hard as a visible difference, in a direction that means nothing. Below it the term is 0.
const rounding = 1e-5

// regionLoss keeps the picture outside the mask as the base model drew it (arXiv 2501.06481, Fig. 2):
//
//	‖(1 − M) ⊙ (Î − Î₀)‖
//
// image and baseImage are [B,3,H,W] in [0,1]; mask is [B,1,H,W]. The result is [B].
func regionLoss(norm RegionNorm, image, baseImage, mask torch.Tensor) torch.Tensor {
	return torch.Scope(func() torch.Tensor {
		outside := mask.SubFromScalar(1)           // [B,1,H,W], broadcasts over RGB
		drift := image.Sub(baseImage).Mul(outside) // [B,3,H,W]
		length := drift.Flatten(1).Norm(2, 1)      // [B]
		root := math.Sqrt(float64(drift.Numel() / drift.Size(0)))
		felt := length.Detach().GtScalar(rounding * root).To(length.DType())
		switch norm {
		case Frobenius:
			return length.Mul(felt)
		case RMS:
			return length.DivScalar(root).Mul(felt)
		case Local:
			cells := rmsOfCells(drift) // [B,cells]
			return cells.Norm(localPower, 1).DivScalar(math.Pow(float64(cells.Size(1)), 1/localPower)).Mul(felt)
		}
		panic(&torch.Error{Op: "region loss", Message: fmt.Sprintf("unknown norm %q", norm)})
	})
}

// rmsOfCells is [B,cells] for drift [B,3,H,W].
func rmsOfCells(drift torch.Tensor) torch.Tensor {
	B, C, H, W := drift.Size(0), drift.Size(1), drift.Size(2), drift.Size(3)
	return torch.Scope(func() torch.Tensor {
		cells := drift.Reshape(B, C, H/localCell, localCell, W/localCell, localCell).
			Permute(0, 2, 4, 1, 3, 5).Reshape(B, -1, C*localCell*localCell)
		return cells.Norm(2, 2).DivScalar(math.Sqrt(float64(C * localCell * localCell)))
	})
}
