package run

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"focusnfix/core"
)

// Run is one line of a list of runs.
type Run struct {
	Folder
	Info  Info
	State string
	Label Label
	Last  core.Event // the newest step, if there is one
	Err   error      // why the folder cannot be read; the rest is empty then
}

// List looks at every run in a folder, the newest first. A folder that cannot be read is in the list
// with its error; what is no run at all is not. No folder is an empty list.
func List(runs string) ([]Run, error) {
	entries, err := os.ReadDir(runs)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	list := make([]Run, 0, len(entries))
	for _, entry := range entries {
		list = append(list, Run{Folder: Folder{Dir: filepath.Join(runs, entry.Name())}})
	}
	lookAtAll(list, lookTime)
	list = slices.DeleteFunc(list, func(r Run) bool { return errors.Is(r.Err, errNoRun) })
	slices.SortStableFunc(list, func(a, b Run) int { return b.Info.Created.Compare(a.Info.Created) })
	return list, nil
}

// lookTime is how long one folder may take: some network file systems answer never.
const lookTime = 3 * time.Second

// errNoRun is the error of a folder that has no run.json.
var errNoRun = errors.New("not a run")

// lookAtAll looks at the folders of a list, a few at a time, each for a limited time.
func lookAtAll(list []Run, limit time.Duration) {
	var wait sync.WaitGroup
	slots := make(chan struct{}, 8)
	for i := range list {
		slots <- struct{}{}
		wait.Go(func() {
			defer func() { <-slots }()
			list[i] = list[i].lookFor(limit)
		})
	}
	wait.Wait()
}

// looking is a look at a folder under way.
type looking struct {
	done chan struct{}
	run  Run
}

// underWay are the looks under way by folder, so that one that never ends is not begun again.
var underWay sync.Map

// lookFor is look for a limited time.
func (f Folder) lookFor(limit time.Duration) Run {
	l := &looking{done: make(chan struct{})}
	if other, waiting := underWay.LoadOrStore(f.Dir, l); waiting {
		l = other.(*looking)
	} else {
		go func() {
			l.run = f.look()
			underWay.Delete(f.Dir)
			close(l.done)
		}()
	}
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-l.done:
		return l.run
	case <-timer.C:
		return Run{Folder: f, Err: fmt.Errorf("does not answer within %s; is it on a file system that is gone?", limit)}
	}
}

// look reads what a list shows of a run.
func (f Folder) look() Run {
	r := Run{Folder: f}
	if _, err := os.Lstat(f.path("run.json")); err != nil {
		r.Err = errNoRun
		return r
	}
	if filepath.Base(f.Dir) != f.Name() {
		r.Err = errors.New("its name has control characters; rename the folder")
		return r
	}
	if err := f.on(func(d disk) error {
		f.held = &held{disk: d} // opened once for both
		if r.Info, r.Err = f.Info(); r.Err == nil {
			r.Last, r.Err = f.lastStep()
			r.Label, _ = f.Label() // one that cannot be read is none
		}
		return nil
	}); err != nil {
		r.Err = err
	}
	r.State = f.State(r.Info)
	return r
}

// Name is the folder's own name, by which commands know the run. It is clean, as core.Clean has it.
func (f Folder) Name() string { return core.Clean(filepath.Base(f.Dir)) }

// Find finds a run by its folder's path, its name, or a part of the name that no other has. Without a
// name it is the newest.
func Find(runs, name string) (Folder, error) {
	if f := (Folder{Dir: name}); name != "" {
		if _, err := os.Stat(f.path("run.json")); err == nil {
			return f, nil
		}
	}
	list, err := List(runs)
	if err != nil {
		return Folder{}, err
	}
	if len(list) == 0 {
		return Folder{}, fmt.Errorf("%s: no runs; focusnfix start -p violence starts one", runs)
	}
	var found []string
	var last Folder
	for _, r := range list {
		if name == "" || r.Name() == name {
			return r.Folder, nil
		}
		if strings.Contains(r.Name(), name) {
			found, last = append(found, r.Name()), r.Folder
		}
	}
	switch len(found) {
	case 0:
		var names []string
		for _, r := range list {
			id := r.Name()[strings.LastIndexByte(r.Name(), '-')+1:]
			names = append(names, r.Name(), id)
		}
		return Folder{}, fmt.Errorf("%s: no run %q%s; focusnfix ls lists them", runs, name, core.DidYouMean(name, names))
	case 1:
		return last, nil
	}
	return Folder{}, fmt.Errorf("%s: %q is part of %s; want one of them", runs, name, strings.Join(found, ", "))
}

// Age is how long before now the run was begun, in the largest unit: "12m".
func (i Info) Age(now time.Time) string {
	d := now.Sub(i.Created)
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(max(d, 0).Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", int(d.Hours()))
	}
	return fmt.Sprintf("%dd", int(d.Hours()/24))
}
