package run

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"

	"focusnfix/core"
)

// Reference is a training image as its folder has it: see [References].
type Reference struct {
	Path     string // of its folder, from the run folder
	Prompt   string
	Seed     uint64
	Coverage float64 // of the mask that the heatmap made, share of the image
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

// SetMask replaces the mask of a reference, by its folder's path; training takes it instead of the heatmap's own.
func (f Folder) SetMask(reference string, m core.Mask) error {
	if err := f.isReference(reference); err != nil {
		return err
	}
	var b bytes.Buffer
	if err := core.WritePNG(&b, m.Gray()); err != nil {
		return err
	}
	return f.WriteFile(path.Join(reference, maskName), b.Bytes())
}

// ResetMask removes the mask of a reference: training takes the heatmap's own again.
func (f Folder) ResetMask(reference string) error {
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
