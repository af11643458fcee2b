package far

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"focusnfix/core"
	"focusnfix/core/run"
)

// Small files that are not events or images, and that the screen reads as a whole: masks with what they are made of,
// and what was repaired. The far end lists them with their checksums, and the near end fetches those that differ.

// Verbs of these files, beside those of the control socket.
const (
	verbList  = "list"  // of the relay: the files of a part
	verbEdit  = "edit"  // of the relay: a change by a person
	verbBring = "bring" // of the process that keeps a copy: bring a part up to date
)

const (
	listedAtOnce = 4000      // files
	mostListed   = 200_000   // files of a part
	fetchAtOnce  = 32        // files on their way
	mostSummed   = 64 << 20  // bytes of a file that is listed
	mostEdited   = 128 << 10 // bytes of one that is changed: a mask of a thousand pixels a side takes a few
)

type (
	listQuery struct {
		Part  string `json:"part"`            // folder in the run's, of parts
		After string `json:"after,omitempty"` // name of the last file that is known
	}
	listed struct {
		Files []listedFile `json:"files"` // by name
		More  bool         `json:"more,omitempty"`
	}
	listedFile struct {
		Name string `json:"name"` // from the run folder
		Sum  string `json:"sum"`  // beginning of its SHA-256
	}
)

// parts are the folders whose files are listed, and which of them are.
var parts = map[string][]string{
	run.References: {run.References + "/*/meta.json", run.References + "/*/mask.png", run.References + "/*/heat-*.png"},
	run.Fixes:      {run.Fixes + "/*/fix.json", run.Fixes + "/kept.json"},
}

// listPart lists the files of a part behind one of them.
func listPart(f run.Folder, q listQuery) (l listed, err error) {
	patterns, known := parts[q.Part]
	if !known {
		return l, fmt.Errorf("%q: not a folder whose files are listed", core.Clean(q.Part))
	}
	root, err := os.OpenRoot(f.Dir)
	if err != nil {
		return l, err
	}
	defer root.Close() //nolint:errcheck // it was only read
	var names []string
	for _, pattern := range patterns {
		found, _ := fs.Glob(root.FS(), pattern) // the patterns are sound
		names = append(names, found...)
	}
	slices.Sort(names)
	for _, name := range names {
		if name <= q.After || !wantedPath(name) {
			continue
		}
		if len(l.Files) == listedAtOnce {
			l.More = true
			break
		}
		if sum, ok := sumOfFile(f, name); ok {
			l.Files = append(l.Files, listedFile{name, sum})
		}
	}
	return l, nil
}

// sumOfFile is the beginning of the SHA-256 of a file; ok is false where there is none to read.
func sumOfFile(f run.Folder, name string) (sum string, ok bool) {
	file, err := f.Open(name)
	if err != nil {
		return "", false
	}
	defer file.Close() //nolint:errcheck // it was only read
	hash := sha256.New()
	n, err := io.Copy(hash, io.LimitReader(file, mostSummed))
	return hex.EncodeToString(hash.Sum(nil)[:8]), err == nil && n < mostSummed
}

// Bring brings the small files of a folder of the run, run.References or run.Fixes, up to date. It waits until they have
// come.
func (m *Mirror) Bring(ctx context.Context, f run.Folder, part string) error {
	if f.Dir != m.folder.Dir {
		return nil // another copy, which has no link
	}
	m.mu.Lock()
	keeper := m.keeper
	m.mu.Unlock()
	if !keeper {
		a, err := m.askKeeper(ctx, verbBring, mustJSON(listQuery{Part: part}))
		if err != nil {
			return err
		}
		return a.problem(verbBring)
	}
	m.awaitLink(ctx)
	there, err := m.list(ctx, part)
	if err != nil {
		return err
	}
	here, err := m.listHere(part)
	if err != nil {
		return err
	}
	var errs []error
	for name := range here {
		if _, stays := there[name]; !stays {
			errs = append(errs, m.copied.root.Remove(name))
		}
	}
	return errors.Join(append(errs, m.bringFiles(here, there))...)
}

// awaitLink waits for a link that is about to come up.
func (m *Mirror) awaitLink(ctx context.Context) {
	for ctx.Err() == nil {
		m.mu.Lock()
		coming := m.link == nil && m.copied.far.Link == connecting
		m.mu.Unlock()
		if !coming {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// bringFiles fetches the files that are not here as they are there.
func (m *Mirror) bringFiles(here, there map[string]string) error {
	var mu sync.Mutex
	var failed error
	var all sync.WaitGroup
	room := make(chan struct{}, fetchAtOnce)
	for name, sum := range there {
		if here[name] == sum {
			continue
		}
		room <- struct{}{}
		all.Go(func() {
			_, err := m.fetch(name, wholeLevel)
			mu.Lock()
			if err != nil && failed == nil {
				failed = fmt.Errorf("%s: %w", name, err)
			}
			mu.Unlock()
			<-room
		})
	}
	all.Wait()
	return failed
}

// list asks for the files of a part, by name with their sums.
func (m *Mirror) list(ctx context.Context, part string) (map[string]string, error) {
	return allListed(part, func(q listQuery) (l listed, err error) {
		a, err := m.command(ctx, verbList, mustJSON(q))
		if err == nil {
			err = a.problem(verbList)
		}
		if err == nil {
			err = json.Unmarshal(a.Body, &l)
		}
		return l, err
	})
}

// listHere is the same of the copy.
func (m *Mirror) listHere(part string) (map[string]string, error) {
	return allListed(part, func(q listQuery) (listed, error) { return listPart(m.folder, q) })
}

// allListed are the files of a part by name with their sums, which ask gives some at a time.
func allListed(part string, ask func(listQuery) (listed, error)) (map[string]string, error) {
	all := map[string]string{}
	for q := (listQuery{Part: part}); ; {
		l, err := ask(q)
		if err != nil {
			return nil, err
		}
		for _, file := range l.Files {
			if wantedPath(file.Name) && strings.HasPrefix(file.Name, part+"/") {
				all[file.Name] = file.Sum
			}
		}
		if !l.More || len(l.Files) == 0 || len(all) > mostListed {
			return all, nil
		}
		q.After = l.Files[len(l.Files)-1].Name
	}
}

// Apply has a change made where the run is, and then here.
func (m *Mirror) Apply(ctx context.Context, f run.Folder, e run.Edit) error {
	if f.Dir != m.folder.Dir {
		return fmt.Errorf("%s is a copy; only the attached run has a link", f.Name())
	}
	if len(e.Data) > mostEdited {
		return fmt.Errorf("%s: %d kB, want at most %d over a link", e.Name, len(e.Data)>>10, mostEdited>>10)
	}
	a, err := m.command(ctx, verbEdit, mustJSON(e))
	if err == nil {
		err = a.problem(verbEdit)
	}
	if err != nil {
		return err
	}
	return f.Apply(e)
}

// mustJSON is a struct of ours as JSON.
func mustJSON(v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return text
}

// ofFiles carries out a command about files; ok is false for any other.
func (s *relaying) ofFiles(c command) (a answer, ok bool) {
	var result any = struct{}{}
	var err error
	switch c.Verb {
	case verbList:
		var q listQuery
		if err = json.Unmarshal(c.Body, &q); err == nil {
			result, err = listPart(s.folder, q)
		}
	case verbEdit:
		var e run.Edit
		if err = json.Unmarshal(c.Body, &e); err == nil {
			err = s.folder.Apply(e)
		}
	default:
		return answer{}, false
	}
	if err != nil {
		return failed(c.ID, err), true
	}
	return answer{c.ID, 200, mustJSON(result)}, true
}

// onlyReads reports whether a command changes nothing.
func onlyReads(verb string) bool {
	return slices.Contains([]string{"status", verbList, verbBring}, verb)
}
