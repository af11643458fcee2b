package train

import (
	"errors"
	"fmt"
	"hash/fnv"
	"slices"

	"focusnfix/core/eval"
	"focusnfix/model/torch"
)

// Several processes train together over the images of a step: each differentiates its share, the
// gradients are averaged, and every process makes the same update. Rank 0 is the one that is asked: its
// Step, Load and Close tell the others what to do, and these do nothing but Follow. So only rank 0 has a
// run folder, a socket and a person to obey, and nothing it decides can be decided otherwise elsewhere.
//
// A step of World processes trains on World·Batch·Accumulate images, the same and in the same order as
// one process with World times the batch: rank 0 plans which, and all random numbers follow from the seed, the step
// and an image's place in it. So a checkpoint of rank 0 is all that a resume needs.

// ErrGroup says that the processes can no longer train together: one is gone, or failed in a step. The
// weights are those of the last finished step.
var ErrGroup = errors.New("the processes that train together have parted")

// Orders of rank 0.
const (
	orderStep  = iota + 1
	orderState // of weights and optimizer, from rank 0
	orderHold  // nothing yet
	orderEnd
)

// Join makes the trainer one of a group. It must be called before anything else, on every rank alike;
// nil is no group.
func (t *Trainer) Join(g *torch.Group) { t.group = g }

// world is how many processes train together, and rank which of them this is.
func (t *Trainer) world() (rank, world int) {
	if t.group == nil {
		return 0, 1
	}
	return t.group.Rank, t.group.World
}

// Hold tells the others that there is nothing to do yet. Rank 0 calls it every minute while training is
// paused, or they take it for dead.
func (t *Trainer) Hold() error { return t.lead(orderHold) }

// lead sends an order, with the settings that a person may have changed, to the others. Without a group
// it does nothing.
func (t *Trainer) lead(order int) error {
	if t.group == nil || t.group.Rank != 0 || t.parted != nil {
		return t.parted
	}
	values := append([]float64{float64(order), float64(t.step), t.identity()}, t.settings()...)
	indices := make([]float64, t.perStep()) // of the pairs in the pool
	for i, index := range t.plan.indices {
		indices[i] = float64(index)
	}
	_, err := t.broadcast(append(values, indices...))
	return err
}

// perStep is the number of images in a step of all ranks.
func (t *Trainer) perStep() int {
	_, world := t.world()
	return t.Batch * t.Accumulate * world
}

// identity is a checksum of all that must be the same on every rank and cannot change.
func (t *Trainer) identity() float64 {
	o := t.Options // without what is sent, and what is each rank's own
	o.LearningRate, o.Region.Weight, o.ReferenceDir, o.Aspects, o.Watch = 0, 0, "", nil, nil
	hash := fnv.New32a()
	fmt.Fprintf(hash, "%+v", o)
	for _, a := range t.Aspects {
		fmt.Fprintf(hash, "%s %s %+v", a.Name, a.Model, a.Mask)
	}
	for _, j := range t.Watch {
		fmt.Fprintf(hash, "%s ", j.Role)
	}
	return float64(hash.Sum32())
}

// settings are what may change between steps.
func (t *Trainer) settings() []float64 {
	values := []float64{t.LearningRate, t.Region.Weight}
	for _, a := range t.Aspects {
		values = append(values, a.Weight)
	}
	return values
}

// Follow does what rank 0 does until that ends, which is no error. All other ranks call it.
func (t *Trainer) Follow() error {
	for {
		got, err := t.broadcast(make([]float64, 3+len(t.settings())+t.perStep()))
		if err != nil {
			return err
		}
		if got[2] != t.identity() {
			return t.part(errors.New("this process has another configuration or another model than rank 0"))
		}
		t.follow(got[3:])
		switch order, step := int(got[0]), int(got[1]); order {
		case orderHold:
		case orderEnd:
			return nil
		case orderState:
			err = t.shareState()
		default:
			if step != t.step {
				return t.part(fmt.Errorf("rank 0 is at step %d, this one at %d", step, t.step))
			}
			_, err = t.learn()
		}
		if err != nil {
			return err
		}
	}
}

// follow takes settings and plan from rank 0.
func (t *Trainer) follow(got []float64) {
	t.LearningRate, t.Region.Weight = got[0], got[1]
	for i := range t.Aspects {
		t.SetRewardWeight(t.Aspects[i].Name, got[2+i])
	}
	t.plan = plan{step: t.step}
	for _, index := range got[len(t.settings()):] {
		t.plan.indices, t.plan.pairs = append(t.plan.indices, int(index)), append(t.plan.pairs, t.pool.at(int(index)))
	}
}

// broadcast replaces values by those of rank 0.
func (t *Trainer) broadcast(values []float64) (got []float64, err error) {
	failed := torch.Run(func() {
		x := torch.From(values).ToDevice(t.pipeline.Device(), torch.Float64)
		if err = t.group.Broadcast(0, x); err == nil {
			got = x.Doubles()
		}
	})
	return got, t.part(errors.Join(err, failed))
}

// part ends what this process has to do with the others, if err says so; they would wait for each other.
func (t *Trainer) part(err error) error {
	if err != nil && t.parted == nil {
		t.parted = fmt.Errorf("%w: rank %d of %d: %w", ErrGroup, t.group.Rank, t.group.World, err)
	}
	return t.parted
}

// shareState gives every rank the weights, moments and counts of rank 0.
func (t *Trainer) shareState() (err error) {
	counts, err := t.broadcast([]float64{float64(t.step), float64(t.optimizer.Steps()), float64(t.ema.steps), t.sampler.scale.Value, float64(t.sampler.scale.Sound)})
	if err != nil {
		return err
	}
	failed := torch.Run(func() {
		mean, square := t.optimizer.Moments()
		torch.NoGrad(func() {
			all := slices.Concat(t.params, mean, square, t.ema.values)
			whole := flatten(all)
			if err = t.group.Broadcast(0, whole); err != nil {
				return
			}
			parts, n := unflatten(whole, all), len(t.params)
			t.put(parts[:n])
			t.optimizer.Restore(int(counts[1]), parts[n:2*n], parts[2*n:3*n])
			t.ema.restore(int(counts[2]), parts[3*n:])
		})
	})
	t.step, t.sampler.scale = int(counts[0]), lossScale{counts[3], int(counts[4])}
	return t.part(errors.Join(err, failed))
}

// average is the mean over all ranks of what own makes of this rank's images. In r, all images' numbers stand in
// the order of its pairs. A rank that failed tells the others, so that nobody waits for it.
func (t *Trainer) average(r *StepResult, own func(*StepResult) ([]torch.Tensor, error)) ([]torch.Tensor, error) {
	if t.group == nil {
		return own(r)
	}
	var flat torch.Tensor // all gradients of this rank
	failed := run(func() error {
		grads, err := own(r)
		if err == nil {
			torch.NoGrad(func() { flat = torch.Own(flatten(grads)) })
		}
		return err
	})
	if failed != nil {
		torch.NoGrad(func() { flat = torch.Own(flatten(t.params).ZerosLike()) })
	}
	defer torch.Drop(flat)
	if err := errors.Join(failed, t.reduce(flat, r, failed)); err != nil {
		return nil, t.part(err)
	}
	return unflatten(flat, t.params), nil
}

// reduce replaces the gradients by their mean over the ranks, and fills r.
func (t *Trainer) reduce(grads torch.Tensor, r *StepResult, failed error) (err error) {
	rank, world := t.world()
	values := make([]float64, 1+world) // the loss, and who failed
	values[0] = r.Measured.Loss / float64(world)
	if failed != nil {
		values[1+rank] = 1
	}
	for _, column := range t.columns(r) {
		values = append(values, t.scatter(column)...)
	}
	torch.NoGrad(func() {
		torch.Scope(func() torch.Tensor {
			told := torch.From(values).ToDevice(grads.Device(), torch.Float64)
			if err = t.group.AllReduce(grads, told); err == nil {
				grads.MulScalarInPlace(1 / float64(world))
				values = told.Doubles()
			}
			return torch.Tensor{}
		})
	})
	if err != nil || failed != nil {
		return err
	}
	if i := slices.IndexFunc(values[1:1+world], func(failed float64) bool { return failed != 0 }); i >= 0 {
		return fmt.Errorf("rank %d failed in step %d; its own output says why", i, r.Step)
	}
	r.Measured.Loss = values[0]
	t.setColumns(r, values[1+world:])
	return nil
}

// scatter puts this rank's numbers, one an image, where its images stand in the step, among zeros: the
// sum over all ranks has everybody's.
func (t *Trainer) scatter(own []float64) []float64 {
	rank, world := t.world()
	all := make([]float64, t.perStep())
	for k, v := range own {
		all[(k/t.Batch*world+rank)*t.Batch+k%t.Batch] = v
	}
	return all
}

// columns are the lists with one number an image, in the same order on all ranks.
func (t *Trainer) columns(r *StepResult) [][]float64 {
	m := r.Measured
	lists := [][]float64{m.Region, m.Inside, m.Outside, r.Coverage}
	for _, a := range t.Aspects {
		lists = append(lists, m.Rewards[a.Name])
	}
	for _, j := range t.Watch {
		var base, tuned []float64
		for _, one := range r.Verdicts[j.Role] {
			base, tuned = append(base, one.Base), append(tuned, one.Tuned)
		}
		lists = append(lists, base, tuned)
	}
	return lists
}

// setColumns replaces these lists by those that stand in values one after the other.
func (t *Trainer) setColumns(r *StepResult, values []float64) {
	next := func() (list []float64) {
		list, values = values[:len(r.Pairs)], values[len(r.Pairs):]
		return list
	}
	m := &r.Measured
	m.Region, m.Inside, m.Outside, r.Coverage = next(), next(), next(), next()
	for _, a := range t.Aspects {
		m.Rewards[a.Name] = next()
	}
	for _, j := range t.Watch {
		base, tuned := next(), next()
		verdicts := make([]eval.Verdict, len(base))
		for i := range verdicts {
			verdicts[i] = j.Scored(base[i], tuned[i])
		}
		r.Verdicts[j.Role] = verdicts
	}
}

// flatten is all tensors one after the other, in one copy.
func flatten(ts []torch.Tensor) torch.Tensor {
	return torch.Scope(func() torch.Tensor {
		flat := make([]torch.Tensor, len(ts))
		for i, t := range ts {
			flat[i] = t.Detach().Flatten(0)
		}
		return torch.Cat(flat, 0)
	})
}

// unflatten takes it apart again, into copies of the shapes of like.
func unflatten(flat torch.Tensor, like []torch.Tensor) []torch.Tensor {
	parts, at := make([]torch.Tensor, len(like)), int64(0)
	for i, l := range like {
		parts[i] = flat.Narrow(0, at, l.Numel()).Reshape(l.Shape()...).Clone()
		at += l.Numel()
	}
	return parts
}
