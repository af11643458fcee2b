package workshop

import (
	"runtime"
	"sync"
	"sync/atomic"

	"focusnfix/model/scenes"
	"focusnfix/model/torch"
)

// Grids of what networks are taught, in cells a side.
const (
	heatCells = 32 // of heatmaps
)

// sceneBatch is scenes as tensors take them. Coverages count the pixels of a cell.
type sceneBatch struct {
	n       int
	pixels  []uint8 // [n,Size,Size,3]
	faults  []uint8 // [n,NumAspects,heatCells,heatCells], 0 to 16
	faulty  []uint8 // [n,NumAspects], 0 or 1
	words   []uint8 // [n,entities,wordCells,wordCells], 0 to 64
	places  []int64 // [n], index of the background
	prompts []scenes.Prompt
	dice    random // for choices that hold for the whole batch
}

func newSceneBatch(n int) *sceneBatch {
	return &sceneBatch{
		n: n, pixels: make([]uint8, n*pixelBytes), faulty: make([]uint8, n*scenes.NumAspects),
		faults: make([]uint8, n*scenes.NumAspects*heatCells*heatCells), words: make([]uint8, n*len(entities)*scenes.WordCells*scenes.WordCells),
		places: make([]int64, n), prompts: make([]scenes.Prompt, n),
	}
}

const pixelBytes = 3 * scenes.Size * scenes.Size // of one scene

// set copies what lessons need out of a scene.
func (b *sceneBatch) set(i int, s *Scene) {
	copy(b.pixels[i*pixelBytes:], s.Pixels)
	b.prompts[i] = s.Prompt
	b.places[i] = int64(scenes.PlaceIndex(s.Prompt.Background))
	for a := range scenes.NumAspects {
		if s.Faulty[a] {
			b.faulty[i*scenes.NumAspects+a] = 1
			const cells = heatCells * heatCells
			cover(b.faults[(i*scenes.NumAspects+a)*cells:][:cells], s.Masks[a], heatCells)
		}
	}
	for _, e := range s.Entities {
		if k := scenes.EntityIndex(e.Drawn); k >= 0 {
			const cells = scenes.WordCells * scenes.WordCells
			cover(b.words[(i*len(entities)+k)*cells:][:cells], e.Mask, scenes.WordCells)
		}
	}
}

// packScenes makes a batch of scenes at hand.
func packScenes(generator []Scene) *sceneBatch {
	b := newSceneBatch(len(generator))
	for i := range generator {
		b.set(i, &generator[i])
	}
	return b
}

// batch draws n scenes of the generator, on all processors. index says which; repaint, if set, gives
// the pixels of scene i in place of its own, or nil to leave them.
func (g *Generator) batch(n int, index func(i int) int, repaint func(i int) []uint8) *sceneBatch {
	b := newSceneBatch(n)
	var next atomic.Int64
	var done sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), n) {
		done.Go(func() {
			var s Scene
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				g.Draw(g.Plan(index(i)), &s)
				b.set(i, &s)
				if repaint != nil {
					copy(b.pixels[i*pixelBytes:][:pixelBytes], repaint(i))
				}
			}
		})
	}
	done.Wait()
	return b
}

// cover adds, for each of cells x cells squares of a mask [Size,Size], its pixels that are 1.
func cover(into, mask []uint8, cells int) {
	side := scenes.Size / cells
	for y := range scenes.Size {
		row, line := into[y/side*cells:], mask[y*scenes.Size:][:scenes.Size]
		for x, v := range line {
			row[x/side] += v
		}
	}
}

// image is the batch's pixels [n,3,Size,Size] in [-1,1], laid out for convolutions.
func (b *sceneBatch) picture(device torch.Device, dtype torch.DType) torch.Tensor {
	return torch.Scope(func() torch.Tensor {
		bytes := torch.FromBytes(b.pixels, torch.Uint8, int64(b.n), scenes.Size, scenes.Size, 3).ToDevice(device, torch.Uint8)
		return bytes.To(torch.Float32).DivScalar(127.5).AddScalar(-1).To(dtype).Permute(0, 3, 1, 2)
	})
}

// heat is the coverage of some aspects [n,K,heatCells,heatCells] in [0,1], and whether a scene has
// them, [n,K], both float32.
func (b *sceneBatch) heat(device torch.Device, from, to scenes.Aspect) (coverage, faulty torch.Tensor) {
	n, k := int64(b.n), int64(to-from)
	out := torch.Scopes(func() []torch.Tensor {
		cells := torch.FromBytes(b.faults, torch.Uint8, n, scenes.NumAspects, heatCells, heatCells).ToDevice(device, torch.Float32)
		there := torch.FromBytes(b.faulty, torch.Uint8, n, scenes.NumAspects).ToDevice(device, torch.Float32)
		const full = scenes.Size / heatCells * scenes.Size / heatCells
		return []torch.Tensor{cells.Narrow(1, int64(from), k).DivScalar(full), there.Narrow(1, int64(from), k)}
	})
	return out[0], out[1]
}

// where is the coverage of every entity, [n,entities,wordCells,wordCells] in [0,1], float32.
func (b *sceneBatch) where(device torch.Device) torch.Tensor {
	return torch.Scope(func() torch.Tensor {
		const full = scenes.Size / scenes.WordCells * scenes.Size / scenes.WordCells
		cells := torch.FromBytes(b.words, torch.Uint8, int64(b.n), int64(len(entities)), scenes.WordCells, scenes.WordCells)
		return cells.ToDevice(device, torch.Float32).DivScalar(full)
	})
}
