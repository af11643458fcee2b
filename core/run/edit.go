package run

import (
	"bytes"
	"encoding/json"
	"fmt"
	"path"

	"focusnfix/core"
)

// Edit is a change of one of the files that people change in a run: the mask of a reference, or the set of kept fixes.
// A screen makes it where it is, and has it made where the run is.
type Edit struct {
	Name string `json:"name"`           // of the file, from the run folder
	Data []byte `json:"data,omitempty"` // that it gets; none removes a mask
}

// EditMask is the change that replaces the mask of a reference, by its folder's path; nil takes the heatmap's own again.
func EditMask(reference string, m *core.Mask) (Edit, error) {
	e := Edit{Name: path.Join(reference, maskName)}
	if m == nil {
		return e, nil
	}
	var b bytes.Buffer
	err := core.WritePNG(&b, m.Gray())
	e.Data = b.Bytes()
	return e, err
}

// EditKeptFixes is the change that replaces the run's set of kept fixes.
func EditKeptFixes(set []core.FixUse) (Edit, error) {
	text, err := json.Marshal(set)
	return Edit{path.Join(Fixes, keptName), text}, err
}

// Apply makes a change. What is no mask or no set of fixes, and any other file, is refused.
func (f Folder) Apply(e Edit) error {
	switch reference, name := path.Split(e.Name); {
	case e.Name == path.Join(Fixes, keptName):
		var set []core.FixUse
		if err := json.Unmarshal(e.Data, &set); err != nil {
			return fmt.Errorf("%s: %w", e.Name, err)
		}
		return f.setKeptFixes(set)
	case name != maskName || path.Clean(e.Name) != e.Name:
		return fmt.Errorf("%s: not a file that a screen changes", core.Clean(e.Name))
	case len(e.Data) == 0:
		return f.resetMask(path.Clean(reference))
	default:
		m, err := core.ReadMask(bytes.NewReader(e.Data))
		if err != nil {
			return fmt.Errorf("%s: %w", core.Clean(e.Name), err)
		}
		return f.setMask(path.Clean(reference), m)
	}
}
