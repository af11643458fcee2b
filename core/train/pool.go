package train

import (
	"math"
	"math/rand/v2"

	"focusnfix/core"
)

// pool is every pair that is trained on: each prompt with its seeds, in an order that is shuffled anew each time
// it is through.
type pool struct {
	prompts        []string
	seedsPerPrompt int
	seed           uint64

	orders map[int][]int32 // of a few epochs
}

// len is the number of pairs.
func (p *pool) len() int { return len(p.prompts) * p.seedsPerPrompt }

// at is pair i.
func (p *pool) at(i int) core.Pair {
	return core.Pair{Prompt: p.prompts[i/p.seedsPerPrompt], Seed: p.seed + uint64(i)}
}

// shuffled is the index of pair i of all epochs, one after the other. It follows from i and the seed alone.
func (p *pool) shuffled(i int) int {
	n := p.len()
	return int(p.order(i / n)[i%n])
}

func (p *pool) order(epoch int) []int32 {
	if order := p.orders[epoch]; order != nil {
		return order
	}
	const few = 4 // faulty and healthy pairs may be in different epochs
	if p.orders == nil || len(p.orders) == few {
		p.orders = map[int][]int32{}
	}
	order := make([]int32, p.len())
	for k := range order {
		order[k] = int32(k)
	}
	rand.New(rand.NewPCG(p.seed, uint64(epoch))).Shuffle(len(order), func(a, b int) { order[a], order[b] = order[b], order[a] })
	p.orders[epoch] = order
	return order
}

// PoolSize is the number of pairs that are trained on, and PoolAt one of them.
func (t *Trainer) PoolSize() int { return t.pool.len() }

// PoolAt is pair i of those that are trained on.
func (t *Trainer) PoolAt(i int) core.Pair { return t.pool.at(i) }

// cursor is how far the pool is used up: place among all epochs of the next pair, faulty or not, or of the next
// faulty and the next healthy one where a step wants so many of each. It belongs to a checkpoint.
type cursor struct{ Next, Faulty, Healthy int }

// plan is the pairs of one step, of all ranks.
type plan struct {
	step    int // that it is for, from 0; -1 is none
	indices []int
	pairs   []core.Pair
	after   cursor
}

// Plan chooses the pairs of the next step, unless that was done. prepare draws the references of pairs, as far as
// they are missing, which a share of faulty images needs to be known.
func (t *Trainer) Plan(prepare func([]core.Pair) error) (err error) {
	if t.plan.step == t.step {
		return nil
	}
	p, n := plan{step: t.step, after: t.cursor}, t.perStep()
	faulty := int(math.Round(t.FaultyShare * float64(n)))
	for i := range n {
		var index int
		switch {
		case t.FaultyShare == 0:
			index = t.pool.shuffled(p.after.Next)
			p.after.Next++
		// spread over the step, so that every rank and batch has its share
		case (i+1)*faulty/n > i*faulty/n:
			index, err = t.choose(&p.after.Faulty, true, prepare)
		default:
			index, err = t.choose(&p.after.Healthy, false, prepare)
		}
		if err != nil {
			return err
		}
		p.indices, p.pairs = append(p.indices, index), append(p.pairs, t.pool.at(index))
	}
	t.plan = p
	return nil
}

// choose goes on to the next pair of the pool that is faulty, or healthy; to the very next one where a whole epoch
// has none.
func (t *Trainer) choose(at *int, faulty bool, prepare func([]core.Pair) error) (int, error) {
	for i := range t.pool.len() {
		var ahead []core.Pair // as many as are drawn at once
		for k := range t.workers.count {
			ahead = append(ahead, t.pool.at(t.pool.shuffled(*at+i+k)))
		}
		if !t.References.Has(ahead[0]) {
			if err := prepare(ahead); err != nil {
				return 0, err
			}
		}
		found, err := t.References.faulty(ahead[0])
		if err != nil {
			return 0, err
		}
		if found == faulty {
			index := t.pool.shuffled(*at + i)
			*at += i + 1
			return index, nil
		}
	}
	index := t.pool.shuffled(*at)
	*at++
	return index, nil
}

// Next lists the pairs that the planned step trains on in this process.
func (t *Trainer) Next() (own []core.Pair) {
	rank, world := t.world()
	for i := range t.Accumulate {
		at := (i*world + rank) * t.Batch
		own = append(own, t.plan.pairs[at:at+t.Batch]...)
	}
	return own
}

// finished goes on to the next step.
func (t *Trainer) finished(skipped bool) {
	t.step++
	t.cursor = t.plan.after
	if t.skipped++; !skipped {
		t.skipped = 0
	}
}

// CountReferences is about how many references of the pool the steps up to now have needed.
func (t *Trainer) CountReferences() int {
	c := t.cursor
	return min(max(c.Next, c.Faulty, c.Healthy), t.pool.len())
}
