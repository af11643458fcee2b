package weights

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
)

// anyLength stands for a length that does not matter in a wanted shape.
const anyLength = -1

// Source hands out the tensors below one prefix of a checkpoint, as a model's
// constructor walks down its own structure, and notes for the whole checkpoint what
// was asked for. Done then says what did not fit. Not for use by several goroutines.
type Source struct {
	ledger *ledger
	prefix string // "" or ends with a dot
}

type ledger struct {
	path     string
	tensors  map[string]Tensor
	used     map[string]bool
	missing  []string
	problems []error // wrong shapes, names given twice
}

// NewSource serves tensors by Name; path is what errors call the checkpoint.
func NewSource(path string, tensors []Tensor) *Source {
	l := &ledger{path: path, tensors: make(map[string]Tensor, len(tensors)), used: map[string]bool{}}
	for _, t := range tensors {
		if other, ok := l.tensors[t.Name]; ok {
			l.problems = append(l.problems, fmt.Errorf("%s: %s: both %s and %s stand for it", path, t.Name, other.Key, t.Key))
		}
		l.tensors[t.Name] = t
	}
	return &Source{ledger: l}
}

// Rename gives every tensor the name that name makes of it; the key stays.
func Rename(tensors []Tensor, name func(string) string) []Tensor {
	renamed := slices.Clone(tensors)
	for i := range renamed {
		renamed[i].Name = name(renamed[i].Name)
	}
	return renamed
}

// Sub is the part of s below name: Sub("down_blocks.0").
func (s *Source) Sub(name string) *Source {
	return &Source{ledger: s.ledger, prefix: s.prefix + name + "."}
}

// Prefix is the full name of this part, "" for the whole checkpoint.
func (s *Source) Prefix() string { return strings.TrimSuffix(s.prefix, ".") }

// Has reports whether a tensor is there, without using it.
func (s *Source) Has(name string) bool {
	_, ok := s.ledger.tensors[s.prefix+name]
	return ok
}

// Names lists the tensors of this part, sorted, without its prefix.
func (s *Source) Names() []string {
	var names []string
	for name := range s.ledger.tensors {
		if rest, ok := strings.CutPrefix(name, s.prefix); ok {
			names = append(names, rest)
		}
	}
	slices.Sort(names)
	return names
}

// Tensor takes a tensor of this part. With a shape given it must match; -1 stands
// for any length. A failure is returned and also kept for Done, so a constructor
// may go on and report everything at once.
func (s *Source) Tensor(name string, shape ...int64) (Tensor, error) {
	l, full := s.ledger, s.prefix+name
	t, ok := l.tensors[full]
	if !ok {
		if !slices.Contains(l.missing, full) {
			l.missing = append(l.missing, full)
		}
		return Tensor{}, fmt.Errorf("%s: %s: missing", l.path, full)
	}
	l.used[full] = true
	fits := func(a, b int64) bool { return a == b || b == anyLength }
	if len(shape) > 0 && !slices.EqualFunc(t.Shape, shape, fits) {
		want := strings.ReplaceAll(shapeString(shape), "-1", "*")
		err := fmt.Errorf("%s: %s: shape %s, want %s", t.Path, t.label(), shapeString(t.Shape), want)
		l.problems = append(l.problems, err)
		return Tensor{}, err
	}
	return t, nil
}

// label is the name of t, with the key of its file where the two differ.
func (t Tensor) label() string {
	if t.Key == t.Name {
		return t.Name
	}
	return fmt.Sprintf("%s (%s)", t.Name, t.Key)
}

// Done reports what was asked for and missing, what had the wrong shape, and what
// nobody asked for. ignored are patterns (path.Match, where * spans dots) of names
// that need not be used, such as "*.position_ids".
func (s *Source) Done(ignored ...string) error {
	l := s.ledger
	errs := slices.Clone(l.problems)
	if len(l.missing) > 0 {
		errs = append(errs, fmt.Errorf("%s: missing %s; is it a checkpoint of this kind of model?",
			l.path, enumerate(l.missing)))
	}
	var unused []string
	for _, name := range sortedKeys(l.tensors) {
		if !l.used[name] && !matchesAny(name, ignored) {
			unused = append(unused, l.tensors[name].label())
		}
	}
	if len(unused) > 0 {
		errs = append(errs, fmt.Errorf("%s: no use for %s; the model differs from its config.json, or is of another kind",
			l.path, enumerate(unused)))
	}
	return errors.Join(errs...)
}

func matchesAny(name string, patterns []string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool {
		ok, err := path.Match(p, name)
		return ok && err == nil
	})
}

// enumerate lists names in one line, the first eight of many.
func enumerate(names []string) string {
	const shown = 8
	if len(names) <= shown {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:shown], ", "), len(names)-shown)
}

// oldAttention are the names that diffusers gave the attention of its VAE before
// version 0.15.
var oldAttention = map[string]string{"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}

// Canonical gives, for Rename, the names that most published checkpoints of a part
// (unet, vae, text_encoder, text_encoder_2) have to tensors that some programs name
// otherwise: the VAE's attention in old files, and the text encoder as transformers
// 5.6 and later save it, without its text_model.
func Canonical(part string) func(name string) string {
	switch {
	case part == "vae":
		return canonicalVAE
	case part == "text_encoder" || part == "text_encoder_2": // the third is a T5
		return canonicalText
	}
	return func(name string) string { return name }
}

func canonicalVAE(name string) string {
	parts := strings.Split(name, ".")
	n := len(parts)
	if n < 4 || parts[n-4] != "attentions" {
		return name
	}
	if today, ok := oldAttention[parts[n-2]]; ok {
		parts[n-2] = today
	}
	return strings.Join(parts, ".")
}

func canonicalText(name string) string {
	for _, start := range []string{"embeddings.", "encoder.", "final_layer_norm."} {
		if strings.HasPrefix(name, start) {
			return "text_model." + name
		}
	}
	return name
}
