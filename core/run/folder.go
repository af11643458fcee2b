// Package run is the folder of a run: who writes it and how, and how others read it while it is
// written. One engine writes; any number of screens read, on this machine or from a copy.
//
//	config.toml     effective configuration          run.json   Info: versions, device, state, process
//	events.jsonl    one core.Event a line, appended  log.txt    the engine's stderr
//	reference/KEY/  base image, heatmaps, mask     images/step-000050/003-7.png
//	prompts/0007/   quick prompt tests               checkpoints/step-000050/
//	label.json      title, note and tags
//	fixes/0007/     repairs of single images
package run

import (
	"cmp"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"time"

	"focusnfix/core"
)

// format is the version of the run folder that this program writes. Folders of a newer one are refused.
const format = 1

// Folder is the folder of one run.
type Folder struct {
	Dir  string
	held *held // by Hold; nil opens the folder for each call
}

// Info is run.json: what a run is and which process, if any, works on it.
type Info struct {
	Format      int       `json:"format"`
	ID          string    `json:"id"` // the folder's first name
	Created     time.Time `json:"created"`
	Preset      string    `json:"preset"`
	Version     string    `json:"version"` // of focusnfix
	Libtorch    string    `json:"libtorch,omitempty"`
	Device      string    `json:"device,omitempty"`
	Model       string    `json:"model"`
	ModelHash   string    `json:"model_hash,omitempty"`
	PromptsHash string    `json:"prompts_hash,omitempty"` // of a prompts file's lines; none of a list that comes with the program
	Start       string    `json:"start,omitempty"`        // folder that relative paths in the configuration lead from
	Steps       int       `json:"steps"`                  // of the whole training

	State   string `json:"state"`             // running, paused, done, stopped, failed
	Message string `json:"message,omitempty"` // why, of a run that failed
	Step    int    `json:"step"`              // when the state was written

	Engine *Process `json:"engine,omitempty"` // the last to work on it
	Far    *Far     `json:"far,omitempty"`    // of the copy of a run on another machine, which focusnfix attach keeps up to date
}

// Far says where the run is that a folder is a copy of, and how it was there when the two were linked last.
// Engine is then the process that keeps the copy, as long as there is one; its socket leads to the run's engine.
type Far struct {
	Host        string    `json:"host"`
	Folder      string    `json:"folder"`                // of the run, there
	State       string    `json:"state"`                 // as it was found there
	OnlyDraws   bool      `json:"only_draws,omitempty"`  // an engine works on it that does not train
	Checkpoints []int     `json:"checkpoints,omitempty"` // their steps; the files stay there
	Link        string    `json:"link,omitempty"`        // why there is no link; empty while there is one
	Behind      int64     `json:"behind,omitempty"`      // bytes of the log that have not come yet
	Space       Space     `json:"space,omitzero"`        // on the disk there
	Seen        time.Time `json:"seen"`                  // when there was a link last
	Socket      string    `json:"socket,omitempty"`      // of the process that keeps the copy, for its other screens
}

// States of a run. Crashed is never written: it is what a reader finds, where a run's process is gone
// without having said so.
const (
	Running = "running"
	Paused  = "paused"
	Done    = "done"
	Stopped = "stopped" // by hand; can be resumed
	Failed  = "failed"
	Crashed = "crashed"
)

// Create makes the folder of a new run in runs, named date-preset-random, with its configuration and
// run.json. The state is left to the engine.
func Create(runs string, info Info, c core.Config) (Folder, error) {
	if err := os.MkdirAll(runs, 0o755); err != nil {
		return Folder{}, err
	}
	for try := 0; ; try++ {
		info.ID = newID(info.Preset)
		f := Folder{Dir: filepath.Join(runs, info.ID)}
		err := os.Mkdir(f.Dir, 0o755)
		if err == nil {
			return f, f.fill(info, c)
		}
		if !errors.Is(err, fs.ErrExist) || try == 10 {
			return Folder{}, fmt.Errorf("create run: %w", err)
		}
	}
}

// CreateAt is Create in a folder of that path, which must be new or empty.
func CreateAt(dir string, info Info, c core.Config) (Folder, error) {
	f := Folder{Dir: dir}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return f, fmt.Errorf("create run: %w", err)
	}
	entries, err := os.ReadDir(dir)
	if err == nil && len(entries) > 0 {
		err = fmt.Errorf("%s has files in it; want a new folder", dir)
	}
	if err != nil {
		return f, fmt.Errorf("create run: %w", err)
	}
	info.ID = newID(info.Preset)
	return f, f.fill(info, c)
}

// fill writes what a new run has.
func (f Folder) fill(info Info, c core.Config) error {
	info.Format, info.Created, info.Steps = format, time.Now().UTC().Truncate(time.Second), c.Train.Steps
	if info.Start == "" {
		var err error
		if info.Start, err = os.Getwd(); err != nil {
			return fmt.Errorf("create run: %w", err)
		}
	}
	if err := f.SetConfig(c); err != nil {
		return err
	}
	return f.SetInfo(info)
}

// SetConfig replaces config.toml.
func (f Folder) SetConfig(c core.Config) error {
	return f.on(func(d disk) error { return writeFile(d, "config.toml", c.TOML()) })
}

// WriteFile replaces a file of the run, by its path from there; readers see the old or the new one. It
// may be lost with the power: what must not be belongs into a checkpoint.
func (f Folder) WriteFile(name string, data []byte) error {
	return f.on(func(d disk) error {
		for i, c := range name {
			if c != '/' {
				continue
			}
			if err := d.Mkdir(name[:i], 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
				return err
			}
		}
		temp := path.Join(path.Dir(name), tempPrefix+path.Base(name))
		err := errors.Join(d.RemoveAll(temp), writeNew(d, temp, data, false))
		if err == nil {
			err = d.Rename(temp, name)
		}
		if err != nil {
			err = errors.Join(err, d.RemoveAll(temp))
		}
		return err
	})
}

// AppendFile opens a file of the run to write behind what it has, and makes it if need be.
func (f Folder) AppendFile(name string) (*os.File, error) {
	if err := f.Sound(); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(f.Dir)
	if err != nil {
		return nil, err
	}
	file, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	return file, errors.Join(err, root.Close())
}

// unfit is what a folder's name cannot hold without trouble.
var unfit = regexp.MustCompile(`[^A-Za-z0-9_.-]+`)

func newID(preset string) string {
	const letters = "abcdefghjkmnpqrstuvwxyz23456789" // none that are taken for another
	var random [4]byte
	rand.Read(random[:])
	for i, b := range random {
		random[i] = letters[int(b)%len(letters)]
	}
	return fmt.Sprintf("%s-%s-%s", time.Now().Format(time.DateOnly), unfit.ReplaceAllString(preset, "-"), random)
}

func (f Folder) path(elements ...string) string {
	return filepath.Join(append([]string{f.Dir}, elements...)...)
}

// Info reads run.json. A folder of a newer format is an error that says so.
func (f Folder) Info() (info Info, err error) {
	err = f.on(func(d disk) error {
		text, err := readSmall(d, "run.json")
		if err != nil {
			return err
		}
		info, err = parseInfo(f.path("run.json"), text)
		return err
	})
	if info.Far != nil && info.Engine != nil {
		if alive, _ := info.Engine.alive(); !alive { // nothing keeps the copy any more
			info.Engine, info.Far.Link = nil, cmp.Or(info.Far.Link, "no link")
		}
	}
	return info, err
}

func parseInfo(path string, text []byte) (Info, error) {
	var info Info
	err := json.Unmarshal(text, &info)
	switch {
	case info.Format > format: // its other fields may be of another kind
		return Info{}, fmt.Errorf("%s: format %d, this program knows %d; update focusnfix", path, info.Format, format)
	case err != nil:
		return Info{}, fmt.Errorf("%s: %w", path, err)
	case info.Format < 1 || info.ID == "":
		return Info{}, fmt.Errorf("%s: no format or id; want the run.json of a run", path)
	}
	core.CleanStrings(&info)
	return info, nil
}

// SetInfo replaces run.json; readers see the old or the new one.
func (f Folder) SetInfo(info Info) error {
	text, err := json.MarshalIndent(info, "", "  ")
	if err != nil {
		return err
	}
	return f.on(func(d disk) error { return writeFile(d, "run.json", append(text, '\n')) })
}

// Config reads the run's effective configuration.
func (f Folder) Config() (c core.Config, err error) {
	err = f.on(func(d disk) error {
		text, err := readSmall(d, "config.toml")
		if err != nil {
			return err
		}
		c, err = core.Load([]core.Layer{{Name: f.path("config.toml"), Text: text}}, nil)
		return err
	})
	return c, err
}
