package run

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"path"
	"slices"

	"focusnfix/core"
)

// Reference is a training image as its folder has it: see [References].
type Reference struct {
	Path     string // of its folder, from the run folder
	Prompt   string
	Seed     uint64
	MaskHash uint64  // of the mask that the heatmap made, see core.Mask.Hash
	Coverage float64 // share of the image that it covers
}

// maxReferences is how many references are listed.
const maxReferences = 20000

// ListReferences lists the references that are drawn, by prompt and seed as their folders have them. Folders without a
// readable meta.json are left out.
func (f Folder) ListReferences() (all []Reference, err error) {
	err = f.on(func(d disk) error {
		entries, err := d.ReadDir(References)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		for _, entry := range entries {
			if entry.Name()[0] == '.' || !entry.IsDir() || len(all) == maxReferences {
				continue
			}
			r := Reference{Path: path.Join(References, entry.Name())}
			text, err := readSmall(d, path.Join(r.Path, metaName))
			if err == nil && json.Unmarshal(text, &r) == nil {
				core.CleanStrings(&r)
				r.Path = path.Join(References, entry.Name())
				all = append(all, r)
			}
		}
		return err
	})
	return all, err
}

// setMask replaces the mask of a reference, by its folder's path; training takes it instead of the heatmap's own.
func (f Folder) setMask(reference string, m core.Mask) error {
	if err := f.isReference(reference); err != nil {
		return err
	}
	var b bytes.Buffer
	if err := core.WritePNG(&b, m.Gray()); err != nil {
		return err
	}
	return f.WriteFile(path.Join(reference, maskName), b.Bytes())
}

// resetMask removes the mask of a reference: training takes the heatmap's own again.
func (f Folder) resetMask(reference string) error {
	if err := f.isReference(reference); err != nil {
		return err
	}
	return f.on(func(d disk) error { return d.RemoveAll(path.Join(reference, maskName)) })
}

const maskName = "mask.png"

// isReference refuses a path that is not a reference's folder.
func (f Folder) isReference(reference string) error {
	if path.Dir(reference) != References || path.Base(reference)[0] == '.' {
		return fmt.Errorf("%s: not the folder of a reference", reference)
	}
	return f.on(func(d disk) error {
		info, err := d.Lstat(reference)
		if err == nil && !info.IsDir() {
			err = fmt.Errorf("%s: not a folder", reference)
		}
		return err
	})
}

// Masked is a reference's mask as training takes it, and what it was made of.
type Masked struct {
	Reference
	Heat   map[string]core.Heatmap // by aspect, in 8 bits
	Own    core.Mask               // what the heatmaps make by the run's rules
	Mask   core.Mask               // M: the own one, or what a person made of it
	Edited bool
}

// Masked reads the mask of a reference, by the rules of a configuration.
func (f Folder) Masked(r Reference, rewards []core.Reward) (m Masked, err error) {
	m.Reference, m.Heat = r, map[string]core.Heatmap{}
	err = f.on(func(d disk) error {
		for _, reward := range rewards {
			heat, err := readHeat(d, path.Join(r.Path, HeatmapName(reward.Aspect, false)+".png"))
			if errors.Is(err, fs.ErrNotExist) {
				continue // an aspect that the run has not judged
			}
			if m.Heat[reward.Aspect] = heat; err == nil {
				err = m.addRule(reward)
			}
			if err != nil {
				return err
			}
		}
		if m.Mask, m.Edited, err = editedMask(d, r); !m.Edited {
			m.Mask = m.Own
		}
		return err
	})
	if err != nil {
		err = fmt.Errorf("%s: %w", r.Path, err)
	}
	return m, err
}

// editedMask is the mask that a person made of a reference's, if somebody did.
func editedMask(d disk, r Reference) (m core.Mask, edited bool, err error) {
	drawn, err := readHeat(d, path.Join(r.Path, maskName))
	if errors.Is(err, fs.ErrNotExist) {
		return m, false, nil
	}
	m = drawn.Threshold(0.5)
	return m, err == nil && m.Hash() != r.MaskHash, err
}

// EditedMasks reads the masks that a person changed, until ctx ends. References that cannot be read are left out.
func (f Folder) EditedMasks(ctx context.Context, rewards []core.Reward) (all []Masked, err error) {
	references, err := f.ListReferences()
	for _, r := range references {
		if ctx.Err() != nil {
			return all, ctx.Err()
		}
		edited := false
		if err := f.on(func(d disk) (err error) { _, edited, err = editedMask(d, r); return err }); err != nil || !edited {
			continue
		}
		if m, err := f.Masked(r, rewards); err == nil {
			all = append(all, m)
		}
	}
	return all, err
}

// addRule adds what a reward's rule makes of its heatmap, if its faults are repaired.
func (m *Masked) addRule(r core.Reward) (err error) {
	one := core.MaskRule{Threshold: r.Threshold, Dilate: r.Dilate, MinArea: r.MinArea}.Mask(m.Heat[r.Aspect])
	if r.Weight == 0 || !r.Mask {
		one = one.Minus(one)
	}
	if m.Own.Faulty == nil {
		m.Own = one
		return nil
	}
	m.Own, err = m.Own.Union(one)
	return err
}

func readHeat(d disk, name string) (core.Heatmap, error) {
	text, err := readSmall(d, name)
	if err != nil {
		return core.Heatmap{}, err
	}
	h, err := core.ReadHeatmap(text)
	if err != nil {
		err = fmt.Errorf("%s: %w", path.Base(name), err)
	}
	return h, err
}

// MaskState is what there is to say about a mask.
type MaskState int

// The states of a mask: whatever is neither of the others is sound.
const (
	MaskSound    MaskState = iota
	MaskEmpty              // there is no fault
	MaskExcluded           // a person made it empty
	MaskLarge              // it covers more of the image than it should
	MaskDrifted            // a person drew it away from the heatmap
)

// State is what there is to say about the mask. most is the share of the image that it should not pass.
func (m Masked) State(most float64) MaskState {
	covers := m.Mask.Coverage()
	switch {
	case m.Edited && covers == 0:
		return MaskExcluded
	case covers == 0:
		return MaskEmpty
	case covers > most:
		return MaskLarge
	case m.Edited && m.Own.Coverage() > 0 && m.Mask.Overlap(m.Own) < driftsBelow:
		return MaskDrifted
	}
	return MaskSound
}

// Alarm says in words what is odd about the mask: "" is nothing. most is as in State.
func (m Masked) Alarm(most float64) string {
	switch m.State(most) {
	case MaskExcluded:
		return "excluded"
	case MaskEmpty:
		return "empty"
	case MaskLarge:
		return fmt.Sprintf("covers %.0f %%", 100*m.Mask.Coverage())
	case MaskDrifted:
		return "drifted from the heatmap"
	case MaskSound:
	}
	return ""
}

// MaskCounts are about many masks.
type MaskCounts struct {
	States          map[MaskState]int
	Edited          int     // by hand
	Covering        int     // masks that are not empty
	Median, Largest float64 // coverage of these; NaN where there are none
}

// CountMasks looks at all masks; most is as in State.
func CountMasks(all []Masked, most float64) MaskCounts {
	c := MaskCounts{States: map[MaskState]int{}, Median: math.NaN(), Largest: math.NaN()}
	var covered []float64
	for _, m := range all {
		c.States[m.State(most)]++
		if m.Edited {
			c.Edited++
		}
		if covers := m.Mask.Coverage(); covers > 0 {
			covered = append(covered, covers)
		}
	}
	slices.Sort(covered)
	if c.Covering = len(covered); c.Covering > 0 {
		c.Median, c.Largest = covered[c.Covering/2], covered[c.Covering-1]
	}
	return c
}

// driftsBelow is the overlap of an edited mask with the heatmap's own below which somebody should look again.
const driftsBelow = 0.2
