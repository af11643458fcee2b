package core

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// Sampling says how images are drawn: [sample] of a configuration, and a part of every [Drawing]. Ranges are those
// of the configuration's keys; see [Sampling.Check].
type Sampling struct {
	Scheduler       string  `toml:"scheduler" json:"scheduler,omitempty"`
	NumSteps        int     `toml:"num_steps" json:"num_steps,omitempty"` // denoising steps of one image
	GuidanceScale   float64 `toml:"guidance_scale" json:"guidance_scale,omitempty"`
	GuidanceRescale float64 `toml:"guidance_rescale" json:"guidance_rescale,omitempty"` // φ of arXiv 2305.08891, section 3.4
	Eta             float64 `toml:"eta" json:"eta,omitempty"`
	Size            Size    `toml:"size" json:"size,omitzero"`
	Preview         string  `toml:"preview" json:"-"` // shows it while it is drawn, and changes nothing in it
}

// Drawing is one image to draw, or how one was drawn: what a prompt test asks for and reports, and what a PNG
// says in its text.
type Drawing struct {
	Prompt   string `json:"prompt"`
	Negative string `json:"negative,omitempty"`
	Seed     uint64 `json:"seed"`
	Sampling
}

// Pair is the prompt and seed.
func (d Drawing) Pair() Pair { return Pair{Prompt: d.Prompt, Seed: d.Seed} }

// Or returns s with the values of own where s has none: zero, or a number that is not known.
func (s Sampling) Or(own Sampling) Sampling {
	number := func(v, own float64) float64 {
		if v == 0 || math.IsNaN(v) {
			return own
		}
		return v
	}
	return Sampling{
		Scheduler: cmp.Or(s.Scheduler, own.Scheduler), NumSteps: cmp.Or(s.NumSteps, own.NumSteps),
		GuidanceScale: number(s.GuidanceScale, own.GuidanceScale), GuidanceRescale: number(s.GuidanceRescale, own.GuidanceRescale), Eta: number(s.Eta, own.Eta), Size: cmp.Or(s.Size, own.Size),
		Preview: cmp.Or(s.Preview, own.Preview),
	}
}

// Check holds numbers and size against their ranges and reports all that is wrong. name says what a key is called
// where the values come from: "num_steps" is sample.num_steps, --steps, or itself.
func (s Sampling) Check(name func(key string) string) error {
	var problems []error
	v := reflect.ValueOf(s)
	for i := range v.NumField() {
		key := v.Type().Field(i).Tag.Get("toml")
		r := slices.IndexFunc(rules, func(r rule) bool { return r.name == "sample."+key })
		if r >= 0 && rules[r].options == nil { // which schedulers there are depends on what is done with them
			problems = append(problems, field{rules[r], name(key), v.Field(i)}.check())
		}
	}
	return errors.Join(problems...)
}

// Size is an image's in pixels; the zero value stands for the model's own, "" in text.
type Size struct{ Width, Height int }

// String is "512x768", or "" for the model's own.
func (s Size) String() string {
	if s == (Size{}) {
		return ""
	}
	return fmt.Sprintf("%dx%d", s.Width, s.Height)
}

// MarshalText is String.
func (s Size) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads what String writes.
func (s *Size) UnmarshalText(text []byte) (err error) {
	*s, err = ParseSize(string(text))
	return err
}

// ParseSize reads "512x768"; nothing is the model's own.
func ParseSize(text string) (Size, error) {
	if text == "" {
		return Size{}, nil
	}
	width, height, found := strings.Cut(text, "x")
	w, errW := strconv.Atoi(width)
	h, errH := strconv.Atoi(height)
	if !found || errW != nil || errH != nil || w <= 0 || h <= 0 {
		return Size{}, fmt.Errorf("%q, want WIDTHxHEIGHT as 512x768, or nothing for the model's own", text)
	}
	return Size{w, h}, nil
}

func sideFits(n int) bool { return n >= 8 && n <= 4096 && n%8 == 0 }
