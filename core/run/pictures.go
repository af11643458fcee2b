package run

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"focusnfix/core"
)

// References is the folder of the references in a run's.
const References = "reference"

const (
	images   = "images"
	prompts  = "prompts"
	metaName = "meta.json"
)

// PicturePath is where the image of a prompt and seed at a step belongs, from the run folder.
func PicturePath(step, index int, seed uint64) string {
	return path.Join(images, stepName(step), fmt.Sprintf("%03d-%d.png", index, seed))
}

// HeatmapName is what the file of a judge's heatmap of a prompt test is called, without its ending; that of the
// tuned image ends in "-tuned" besides.
func HeatmapName(aspect string, heldOut bool) string {
	if heldOut {
		return "heat-held-out-" + aspect
	}
	return "heat-" + aspect
}

// PictureHeatmap is the file of a heatmap of that name of an image of a step, from the run folder.
func PictureHeatmap(path, name string) string {
	return strings.TrimSuffix(path, ".png") + "." + name + ".png"
}

// Open opens a file by its path from the run folder, as events have it. A path that leads out of the
// folder, by a link too, and what is not a regular file is an error.
func (f Folder) Open(name string) (opened *os.File, err error) {
	err = f.on(func(d disk) error {
		regular, _, err := openRegular(d, path.Clean(name))
		if err != nil {
			return err
		}
		opened = regular.(*os.File)
		return nil
	})
	return opened, err
}

// Pictures finds the images that there are, by step, in the order of prompts and seeds. Their prompts'
// texts are in the events.
func (f Folder) Pictures() (found map[int][]core.Picture, err error) {
	err = f.on(func(d disk) error { found, err = pictures(d); return err })
	return found, err
}

func pictures(d disk) (map[int][]core.Picture, error) {
	folders, err := d.ReadDir(images)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	found := map[int][]core.Picture{}
	for _, folder := range folders {
		step, ok := parseStep(folder.Name())
		if !ok || !folder.IsDir() {
			continue
		}
		files, err := d.ReadDir(path.Join(images, folder.Name()))
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
			return cmp.Compare(a.Seed, b.Seed)
		})
	}
	return found, nil
}

// WritePrompt keeps the result of a quick prompt test: write fills a folder with images, which then
// gets the next number. The event that comes back has the folder's path; it is in meta.json too.
func (f Folder) WritePrompt(result core.PromptResult, write func(dir string) error) (e core.Event, err error) {
	err = f.on(func(d disk) error {
		e, err = writePrompt(d, result, func(name string) error { return f.fillFolder(d, name, write) })
		return err
	})
	if err != nil {
		err = fmt.Errorf("keep prompt: %w", err)
	}
	return e, err
}

func writePrompt(d disk, result core.PromptResult, fill func(name string) error) (core.Event, error) {
	return writeNumbered(d, prompts, metaName, fill, func(name string) core.Event {
		result.Path = name
		return core.Event{Kind: "prompt", Prompt: &result}
	})
}

// writeNumbered fills a folder in another and gives it the next number there. In its file named meta is the event
// that about makes for its path.
func writeNumbered(d disk, in, meta string, fill func(name string) error, about func(path string) core.Event) (core.Event, error) {
	temp, err := newFolder(d, in, fill)
	if err != nil {
		return core.Event{}, err
	}
	for number := nextNumber(d, in); ; number++ {
		name := path.Join(in, fmt.Sprintf("%04d", number))
		e := about(name)
		e.Time = time.Now().UTC().Truncate(time.Microsecond)
		err := writeFile(d, path.Join(temp, meta), append(e.AppendJSON(nil), '\n'))
		if err == nil {
			err = d.Rename(temp, name)
		}
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return e, errors.Join(err, d.RemoveAll(temp))
		}
		return e, d.SyncDir(in)
	}
}

// numberName is what the folders in prompts and fixes are called.
var numberName = regexp.MustCompile(`^\d{4,9}$`)

func nextNumber(d disk, in string) int {
	next := 1
	entries, err := d.ReadDir(in)
	if err != nil {
		return next
	}
	for _, entry := range entries {
		if number, err := strconv.Atoi(entry.Name()); err == nil {
			next = max(next, number+1)
		}
	}
	return next
}

// Prompts lists the results that were kept, in the order of their numbers. Folders without a readable
// meta.json are left out.
func (f Folder) Prompts() (all []core.Event, err error) {
	err = f.numbered(prompts, metaName, func(e core.Event, name string) {
		if e.Prompt != nil {
			e.Prompt.Path = name
			all = append(all, e)
		}
	})
	return all, err
}

// numbered reads the events of the numbered folders in a folder, in order.
func (f Folder) numbered(in, meta string, use func(e core.Event, name string)) error {
	return f.on(func(d disk) error {
		entries, err := d.ReadDir(in)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		for _, entry := range entries {
			if !numberName.MatchString(entry.Name()) || !entry.IsDir() {
				continue // not yet complete, or not ours
			}
			text, err := readSmall(d, path.Join(in, entry.Name(), meta))
			var e core.Event
			if err == nil && e.ParseJSON(text) == nil {
				use(e, path.Join(in, entry.Name()))
			}
		}
		return err
	})
}
