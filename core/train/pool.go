package train

import (
	"math/rand/v2"

	"focusnfix/core"
)

// pool is every pair that is trained on: each prompt with its seeds, in an order that is shuffled anew each time
// it is through.
type pool struct {
	prompts        []string
	seedsPerPrompt int
	seed           uint64

	epoch int     // whose order this is
	order []int32 // nil before the first
}

// Len is the number of pairs.
func (p *pool) len() int { return len(p.prompts) * p.seedsPerPrompt }

// at is pair i.
func (p *pool) at(i int) core.Pair {
	return core.Pair{Prompt: p.prompts[i/p.seedsPerPrompt], Seed: p.seed + uint64(i)}
}

// shuffled is pair i of all epochs one after the other. It follows from i and the seed alone, so that a
// checkpoint needs no cursor.
func (p *pool) shuffled(i int) core.Pair {
	n := p.len()
	if epoch := i / n; p.order == nil || p.epoch != epoch {
		p.epoch, p.order = epoch, make([]int32, n)
		for k := range p.order {
			p.order[k] = int32(k)
		}
		rand.New(rand.NewPCG(p.seed, uint64(epoch))).Shuffle(n, func(a, b int) { p.order[a], p.order[b] = p.order[b], p.order[a] })
	}
	return p.at(int(p.order[i%n]))
}

// PoolSize is the number of pairs that are trained on, and PoolAt one of them.
func (t *Trainer) PoolSize() int { return t.pool.len() }

// PoolAt is pair i of those that are trained on.
func (t *Trainer) PoolAt(i int) core.Pair { return t.pool.at(i) }

// pairs are those of step n, from 0, of all ranks.
func (t *Trainer) pairs(n int) []core.Pair {
	_, world := t.world()
	chosen := make([]core.Pair, t.Batch*t.Accumulate*world)
	for i := range chosen {
		chosen[i] = t.pool.shuffled(n*len(chosen) + i)
	}
	return chosen
}

// Next lists the pairs that the next step trains on, in this process.
func (t *Trainer) Next() (own []core.Pair) {
	pairs := t.pairs(t.step)
	for i := range t.Accumulate {
		own = append(own, t.share(pairs, i)...)
	}
	return own
}

// CountReferences is the number of pairs that the steps up to now have drawn references for.
func (t *Trainer) CountReferences() int {
	_, world := t.world()
	return min(t.step*t.Batch*t.Accumulate*world, t.pool.len())
}
