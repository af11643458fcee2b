package run

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"focusnfix/core"
)

const (
	images   = "images"
	prompts  = "prompts"
	metaName = "meta.json"
)

// PicturePath is where the picture of a prompt and seed at a step belongs, from the run folder.
func PicturePath(step, index int, seed uint64) string {
	return path.Join(images, stepName(step), fmt.Sprintf("%03d-%d.png", index, seed))
}

// Open opens a file by its path from the run folder, as events have it. A path that leads out of the
// folder, by a link too, is an error.
func (f Folder) Open(name string) (*os.File, error) {
	return os.OpenInRoot(f.Dir, filepath.FromSlash(name))
}

// Pictures finds the pictures that there are, by step, in the order of prompts and seeds. Their prompts'
// texts are in the events.
func (f Folder) Pictures() (map[int][]core.Picture, error) {
	folders, err := os.ReadDir(f.path(images))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	found := map[int][]core.Picture{}
	for _, folder := range folders {
		step, ok := parseStep(folder.Name())
		if !ok {
			continue
		}
		files, err := os.ReadDir(f.path(images, folder.Name()))
		if err != nil {
			return nil, err
		}
		for _, file := range files {
			var p core.Picture
			p.Path = path.Join(images, folder.Name(), file.Name())
			n, err := fmt.Sscanf(file.Name(), "%d-%d.png", &p.Index, &p.Seed)
			if n == 2 && err == nil && PicturePath(step, p.Index, p.Seed) == p.Path {
				found[step] = append(found[step], p)
			}
		}
		slices.SortFunc(found[step], func(a, b core.Picture) int {
			if a.Index != b.Index {
				return a.Index - b.Index
			}
			return strings.Compare(fmt.Sprintf("%020d", a.Seed), fmt.Sprintf("%020d", b.Seed))
		})
	}
	return found, nil
}

// WritePrompt keeps the result of a quick prompt test: write fills a folder with pictures, which then
// gets the next number. The event that comes back has the folder's path; it is in meta.json too.
func (f Folder) WritePrompt(result core.PromptResult, write func(dir string) error) (core.Event, error) {
	temp, err := f.newFolder(prompts, write)
	if err != nil {
		return core.Event{}, fmt.Errorf("keep prompt: %w", err)
	}
	for number := f.nextPrompt(); ; number++ {
		result.Path = path.Join(prompts, fmt.Sprintf("%04d", number))
		e := core.Event{Time: time.Now().UTC().Truncate(time.Microsecond), Kind: "prompt", Prompt: &result}
		err := writeFile(filepath.Join(temp, metaName), append(e.AppendJSON(nil), '\n'))
		if err == nil {
			err = os.Rename(temp, f.path(result.Path))
		}
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return e, errors.Join(fmt.Errorf("keep prompt: %w", err), os.RemoveAll(temp))
		}
		return e, syncDir(f.path(prompts))
	}
}

// promptName is what the folders in prompts are called.
var promptName = regexp.MustCompile(`^\d{4,9}$`)

func (f Folder) nextPrompt() int {
	next := 1
	entries, err := os.ReadDir(f.path(prompts))
	if err != nil {
		return next
	}
	for _, entry := range entries {
		var number int
		if n, err := fmt.Sscanf(entry.Name(), "%d", &number); n == 1 && err == nil {
			next = max(next, number+1)
		}
	}
	return next
}

// Prompts lists the results that were kept, in the order of their numbers. Folders without a readable
// meta.json are left out.
func (f Folder) Prompts() ([]core.Event, error) {
	entries, err := os.ReadDir(f.path(prompts))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var all []core.Event
	for _, entry := range entries {
		if !promptName.MatchString(entry.Name()) {
			continue // not yet complete, or not ours
		}
		text, err := os.ReadFile(f.path(prompts, entry.Name(), metaName))
		var e core.Event
		if err == nil && e.ParseJSON(text) == nil && e.Prompt != nil {
			e.Prompt.Path = path.Join(prompts, entry.Name())
			all = append(all, e)
		}
	}
	return all, nil
}
