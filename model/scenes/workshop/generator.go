package workshop

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"focusnfix/model/scenes"
)

// FaultMode says how faults are spread over scenes.
type FaultMode int

const (
	// Spurious links faults to names: what the base model is trained on.
	Spurious FaultMode = iota
	// Decorrelated puts every fault on every entity at the same rate, so that a judge learns the
	// fault and not who has it. It draws held-out prompts too.
	Decorrelated
	// Clean has no faults.
	Clean
)

// faultModes are the names of the modes.
var faultModes = []string{Spurious: "spurious", Decorrelated: "decorrelated", Clean: "clean"}

// ParseFaultMode returns the mode of a name: "spurious", "decorrelated" or "clean".
func ParseFaultMode(name string) (FaultMode, error) {
	if i := slices.Index(faultModes, name); i >= 0 {
		return FaultMode(i), nil
	}
	return 0, fmt.Errorf("fault mode %q, want %s", name, strings.Join(faultModes, ", "))
}

// Seeds of our own data sets. The two judges learn from independent scenes.
const (
	SeedPretrain     uint64 = 1
	SeedJudge        uint64 = 2
	SeedHeldOutJudge uint64 = 3
	SeedValidation   uint64 = 4
)

// Rates of the training scenes, given the entity that the fault is linked to.
const (
	violenceRate      = 0.70
	oversexRate       = 0.65
	misalignedRate    = 0.40  // of scenes with two entities: the second is missing in 25 %, wrong in 15 %
	missingOfTraining = 0.625 // of the misaligned scenes
)

// Rates of decorrelated scenes.
const (
	evenItemRate       = 0.30 // of either item beside any first entity; 49 % have neither
	evenGlitch         = 0.35 // that one of the entities is glitched, if one is drawn as named
	evenMisaligned     = 0.50 // of scenes with two entities: either is missing or wrong
	evenLoneMisaligned = 0.20 // of scenes with one
	evenMissing        = 0.5  // of the misaligned scenes
)

// Options say which scenes a Generator makes.
type Options struct {
	Seed   uint64
	Faults FaultMode
	// Always and Never override the mode: every scene, or none, has these faults. A scene with one
	// entity that must be misaligned shows a wrong one, and that is never glitched too.
	Always, Never []scenes.Aspect
	// Prompts are drawn evenly. Empty means the grammar's mixture: 42 % one person or animal, 12 % one
	// object, 46 % two entities, without held-out prompts unless Faults is Decorrelated.
	Prompts []scenes.Prompt
	Workers int // for Fill; 0 is GOMAXPROCS

	data dataRecipe // of the recipe; without one, the shipped model's
}

// Generator makes scenes. It may be used by several goroutines.
type Generator struct {
	options Options
	sheet   *sheet
	force   [scenes.NumAspects]int // 1 always, -1 never, 0 by chance
	brushes sync.Pool
}

// New checks the options and loads the sprites. It fails if a prompt is outside the grammar or an
// aspect is both always and never there.
func New(options Options) (*Generator, error) {
	if options.data.glitchRate == 0 {
		options.data = shippedRecipe.data
	}
	g := &Generator{options: options}
	if options.Faults < Spurious || options.Faults > Clean {
		return nil, fmt.Errorf("scenes: fault mode %d, want 0 to %d", options.Faults, Clean)
	}
	for _, a := range slices.Concat(options.Always, options.Never) {
		if a < 0 || a >= scenes.NumAspects {
			return nil, fmt.Errorf("scenes: aspect %d, want 0 to %d", a, scenes.NumAspects-1)
		}
	}
	for _, a := range options.Always {
		if slices.Contains(options.Never, a) {
			return nil, fmt.Errorf("scenes: %s is both always and never there, want one of them", a)
		}
		g.force[a] = 1
	}
	for _, a := range options.Never {
		g.force[a] = -1
	}
	for _, p := range options.Prompts {
		if err := p.Validate(); err != nil {
			return nil, err
		}
	}
	var err error
	g.sheet, err = loadSheet()
	g.brushes.New = func() any { return new(brush) }
	return g, err
}

// Fill draws the scenes firstIndex, firstIndex+1, … into dst, on several workers. Scene i is the same
// in every batch. Buffers already in dst are reused.
func (g *Generator) Fill(dst []Scene, firstIndex int) {
	workers := g.options.Workers
	if workers <= 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	var next atomic.Int64
	var done sync.WaitGroup
	for range min(workers, len(dst)) {
		done.Go(func() {
			for i := int(next.Add(1)) - 1; i < len(dst); i = int(next.Add(1)) - 1 {
				g.Draw(g.Plan(firstIndex+i), &dst[i])
			}
		})
	}
	done.Wait()
}
