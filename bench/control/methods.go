package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log"
	"math/rand/v2"
	"os"
	"path/filepath"

	"focusnfix/core"
	"focusnfix/core/engine"
	"focusnfix/core/eval"
	"focusnfix/core/train"
)

// method is a training with masks of its own.
type method struct {
	name  string
	draft bool                          // region weight 0
	masks func([]core.Mask) []core.Mask // of the faulty images, instead of their own; nil leaves them
}

var methods = []method{
	{name: "mask"},
	{name: "shuffled", masks: shuffle},
	{name: "nothing", masks: corner},
	{name: "draft", draft: true},
}

// shuffle gives every image the mask of another one.
func shuffle(masks []core.Mask) []core.Mask {
	order := rand.New(rand.NewPCG(0, 0)).Perm(len(masks))
	shuffled := make([]core.Mask, len(masks))
	for i, k := range order {
		shuffled[k] = masks[order[(i+1)%len(order)]]
	}
	return shuffled
}

// corner leaves one pixel: an empty mask would say that the image has no fault, and other images would be chosen.
func corner(masks []core.Mask) (corners []core.Mask) {
	for _, m := range masks {
		one := core.Mask{Width: m.Width, Height: m.Height, Faulty: make([]bool, len(m.Faulty))}
		one.Faulty[0] = true
		corners = append(corners, one)
	}
	return corners
}

// curve is what a method came to.
type curve struct {
	Method string       `json:"method"`
	Points []eval.Point `json:"points"`
}

// curve trains and draws, or reads what was found before.
func (m method) curve(s *engine.Session, pool []faulty, evaluator *eval.Evaluator, images *eval.Set) (c curve, err error) {
	path := filepath.Join(*out, m.name+".json")
	text, err := os.ReadFile(path)
	if err == nil {
		return c, json.Unmarshal(text, &c)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return c, err
	}
	t, err := m.trainer(s, pool)
	if err != nil {
		return c, err
	}
	defer t.Close()
	evaluator.Source = t.References
	c.Method = m.name
	for i := range *points {
		for t.Done() < *steps*(i+1) / *points {
			r, err := t.Step()
			if err != nil {
				return c, err
			}
			log.Printf("%s: step %d, %.1f dB outside the mask", m.name, r.Step, mean(r.Measured.Outside))
		}
		p, err := images.Share(t.Done(), func(int, int) error { return nil })
		if err != nil {
			return c, err
		}
		log.Printf("%s: step %d repairs %d of %d at %.1f dB", m.name, p.Step, p.Fixed, p.Faulty, p.PSNR)
		c.Points = append(c.Points, p)
	}
	return c, writeJSON(path, c)
}

func mean(values []float64) (m float64) {
	for _, v := range values {
		m += v / float64(len(values))
	}
	return m
}

// faulty is an image that is trained on and has a fault.
type faulty struct {
	folder string // of its reference
	mask   core.Mask
}

// drawPool draws the base images of all that is trained on, and lists the faulty ones.
func drawPool(s *engine.Session) (found []faulty, err error) {
	t, err := s.Trainer()
	if err != nil {
		return nil, err
	}
	defer t.Close()
	var pairs []core.Pair
	for i := range t.PoolSize() {
		pairs = append(pairs, t.PoolAt(i))
	}
	if err := t.References.Prepare(pairs); err != nil {
		return nil, err
	}
	for _, p := range pairs {
		_, mask, err := t.References.Place(p)
		if err != nil {
			return nil, err
		}
		if mask.Coverage() > 0 {
			found = append(found, faulty{filepath.Base(t.References.Path(p)), mask})
		}
	}
	if len(found) < 2 {
		return nil, fmt.Errorf("%d of %d images to train on are faulty; want more prompts", len(found), len(pairs))
	}
	log.Printf("%d of %d images to train on are faulty", len(found), len(pairs))
	return found, nil
}

// trainer is that of the preset with the method's masks and region weight.
func (m method) trainer(s *engine.Session, pool []faulty) (*train.Trainer, error) {
	own, weight := s.Options.ReferenceDir, s.Options.Region.Weight
	defer func() { s.Options.ReferenceDir, s.Options.Region.Weight = own, weight }()
	if m.draft {
		s.Options.Region.Weight = 0
	}
	if m.masks != nil {
		s.Options.ReferenceDir = filepath.Join(*out, "reference-"+m.name)
		if err := m.edit(own, s.Options.ReferenceDir, pool); err != nil {
			return nil, err
		}
	}
	return s.Trainer()
}

// edit copies references and changes the masks of faulty images as a person would: in mask.png.
func (m method) edit(from, to string, pool []faulty) error {
	if err := os.RemoveAll(to); err != nil {
		return err
	}
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		return err
	}
	var masks []core.Mask
	for _, f := range pool {
		masks = append(masks, f.mask)
	}
	for i, mask := range m.masks(masks) {
		var b bytes.Buffer
		if err := core.WritePNG(&b, mask.Gray()); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(to, pool[i].folder, "mask.png"), b.Bytes(), 0o644); err != nil {
			return err
		}
	}
	return nil
}
