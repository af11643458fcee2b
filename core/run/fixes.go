package run

import (
	"encoding/json"
	"fmt"
	"path"

	"focusnfix/core"
)

// Fixes is the folder of the fixes in a run's, each in a folder of its own:
//
//	before.png after.png mask.png    the image, and the region
//	heat-ASPECT.png heat-ASPECT-tuned.png heat-held-out-ASPECT.png ...    what the judges see before and after
//	frames/000.png ...               the healing
//	lora.safetensors                 the fix
//	fix.json                         an event of kind fix: how it was made, measured and judged
//
// kept.json lists those that are kept, in the order in which they act.
const Fixes = "fixes"

const (
	fixName  = "fix.json"
	keptName = "kept.json"
)

// FixLoRA is the LoRA file of a fix, from the run folder.
func FixLoRA(fix string) string { return path.Join(fix, "lora.safetensors") }

// FixFrame is the file of a frame of a fix, from the run folder.
func FixFrame(fix string, frame int) string {
	return path.Join(fix, "frames", fmt.Sprintf("%03d.png", frame))
}

// WriteFix keeps a fix: write fills a folder, which then gets the next number. The event that comes back has the
// folder's path; it is in fix.json too.
func (f Folder) WriteFix(result core.FixResult, write func(dir string) error) (e core.Event, err error) {
	err = f.on(func(d disk) error {
		fill := func(name string) error { return f.fillFolder(d, name, write) }
		e, err = writeNumbered(d, Fixes, fixName, fill, func(name string) core.Event {
			result.Path = name
			return core.Event{Kind: "fix", Fix: &result}
		})
		return err
	})
	if err != nil {
		err = fmt.Errorf("keep fix: %w", err)
	}
	return e, err
}

// Fixes lists the fixes that were kept, in the order of their numbers. Folders without a readable fix.json are left
// out.
func (f Folder) Fixes() (all []core.Event, err error) {
	err = f.numbered(Fixes, fixName, func(e core.Event, name string) {
		if e.Fix != nil {
			e.Fix.Path = name
			all = append(all, e)
		}
	})
	return all, err
}

// KeptFixes is the run's set of kept fixes; a run without one has none.
func (f Folder) KeptFixes() (set []core.FixUse, err error) {
	err = f.readJSON(path.Join(Fixes, keptName), &set)
	return set, err
}

// setKeptFixes replaces the run's set of kept fixes.
func (f Folder) setKeptFixes(set []core.FixUse) error {
	text, err := json.MarshalIndent(set, "", "  ")
	if err != nil {
		return err
	}
	return f.WriteFile(path.Join(Fixes, keptName), append(text, '\n'))
}
