package far

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"focusnfix/core"
	"focusnfix/core/run"
)

const (
	imageDir  = ownDir + "/images"
	mostKept  = 1 << 30         // bytes of images in a copy
	imageTime = 2 * time.Minute // without a piece of it
)

// imageFolders are the folders of a run that images are fetched from.
var imageFolders = []string{"images", run.References, "prompts", run.Fixes}

// levels are the sizes in which images are kept, in pixels of the longer side; wholeLevel has all pixels.
var levels = []int{128, 256, 512, 1024, 2048}

const wholeLevel = 0

// smallName is where an image is kept that is not the file itself.
func smallName(name string, level int) string {
	if level == wholeLevel {
		return fmt.Sprintf("%s/%s@whole.jpg", imageDir, name)
	}
	return fmt.Sprintf("%s/%s@%d.jpg", imageDir, name, level)
}

// kept finds an image in a copy that is large enough; else the largest smaller one, and enough is false.
func kept(f run.Folder, name string, side int) (found string, enough bool) {
	is := func(name string) bool {
		info, err := os.Lstat(filepath.Join(f.Dir, filepath.FromSlash(name)))
		return err == nil && info.Mode().IsRegular()
	}
	if is(name) {
		return name, true
	}
	if is(smallName(name, wholeLevel)) {
		return smallName(name, wholeLevel), side > 0
	}
	for _, level := range levels {
		if n := smallName(name, level); is(n) {
			if found = n; side > 0 && level >= side {
				return found, true
			}
		}
	}
	return found, false
}

// levelOf is the size in which an image is asked for; 0 is the file itself.
func levelOf(side int) int {
	if side <= 0 {
		return 0
	}
	for _, level := range levels {
		if level >= side {
			return level
		}
	}
	return levels[len(levels)-1]
}

// fetching is an image on its way.
type fetching struct {
	name  string
	level int
	done  chan struct{}
	data  []byte
	heard time.Time // when the last piece came

	stored string // its path in the copy
	err    error
}

// Fetch sees to an image of the copy that has at least side pixels along its longer side, or with 0 to the
// very file, and returns the path, from the folder, of what there is. It waits while the image comes; with a
// negative side it never does. It is for any number of goroutines.
func (m *Mirror) Fetch(f run.Folder, name string, side int) (string, error) {
	if !wantedPath(name) {
		return name, nil // reading it says why
	}
	side = min(side, levels[len(levels)-1])
	found, enough := kept(f, name, side)
	passing := strings.HasPrefix(path.Base(name), ".") // another image each time
	if enough && !passing {
		return found, nil
	}
	level := levelOf(side)
	err := errors.New("not in the copy; focusnfix attach fetches it")
	if f.Dir == m.folder.Dir && side >= 0 {
		stored := ""
		if stored, err = m.fetch(name, level); err == nil {
			return stored, nil
		}
	}
	if found, enough = kept(f, name, side); enough || side > 0 && found != "" {
		return found, nil // a smaller one is better than none
	}
	return "", fmt.Errorf("%s: %w", name, err)
}

// fetch asks for an image and waits until it is kept. An image that is on its way is not asked for again.
func (m *Mirror) fetch(name string, level int) (stored string, err error) {
	m.mu.Lock()
	if !m.keeper {
		m.mu.Unlock()
		return m.fetchFromKeeper(name, level)
	}
	for _, other := range m.fetching {
		if other.name == name && other.level == level {
			m.mu.Unlock()
			<-other.done
			return other.stored, other.err
		}
	}
	l := m.link
	if l == nil {
		why := m.copied.far.Link
		m.mu.Unlock()
		return "", fmt.Errorf("no link to %s: %s", m.o.Target.Host, why)
	}
	m.number++
	id := m.number
	f := &fetching{name: name, level: level, done: make(chan struct{}), heard: time.Now()}
	key := l.key(id)
	m.fetching[key] = f
	m.mu.Unlock()
	l.say(message(kindWant, want{id, name, level}))
	m.await(l, key, f)
	return f.stored, f.err
}

// await waits for an image that is on its way, as long as pieces of it come.
func (m *Mirror) await(l *link, key string, f *fetching) {
	late := time.NewTicker(imageTime / 8)
	defer late.Stop()
	for {
		select {
		case <-f.done:
			return
		case <-l.done:
			m.fetched(key, fmt.Errorf("the link to %s is lost", m.o.Target.Host))
		case <-late.C:
			m.mu.Lock()
			quiet := time.Since(f.heard)
			m.mu.Unlock()
			if quiet > imageTime {
				m.fetched(key, fmt.Errorf("%s does not answer", m.o.Target.Host))
			}
		}
	}
}

// fetched ends the wait for an image.
func (m *Mirror) fetched(key string, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.endFetch(key, err)
}

func (m *Mirror) endFetch(key string, err error) {
	if f, waits := m.fetching[key]; waits {
		delete(m.fetching, key)
		f.err = err
		close(f.done)
	}
}

// takeImage takes a piece of an image in.
func (m *Mirror) takeImage(l *link, f frame) error {
	head, piece, err := parseImageHead(f.data)
	if err != nil {
		return err
	}
	key := l.key(head.id)
	got, waits := m.fetching[key]
	if !waits {
		return nil // no longer wanted
	}
	if len(got.data)+len(piece) > maxImage {
		m.endFetch(key, fmt.Errorf("over %d MiB", maxImage>>20))
		return nil
	}
	got.data, got.heard = append(got.data, piece...), time.Now()
	switch {
	case !head.last:
	case head.failed:
		m.endFetch(key, errors.New(core.Clean(string(got.data[:min(len(got.data), 500)]))))
	default:
		got.stored = got.name
		switch {
		case head.exact:
		case head.full:
			got.stored = smallName(got.name, wholeLevel)
		default:
			got.stored = smallName(got.name, got.level)
		}
		m.endFetch(key, m.copied.keepImage(got.stored, got.data))
	}
	return nil
}

// keepImage writes an image; when all of them take too much room the oldest go.
func (c *copied) keepImage(name string, data []byte) error {
	if c.images == 0 {
		c.images = c.trim()
	}
	if c.images += int64(len(data)); c.images > mostKept {
		c.images = c.trim()
	}
	return c.folder.WriteFile(name, data)
}

// trim removes the oldest images until half the room is free again, and returns how many bytes are left.
func (c *copied) trim() (left int64) {
	type keptFile struct {
		name string
		info fs.FileInfo
	}
	var all []keptFile
	for _, dir := range append([]string{imageDir}, imageFolders...) {
		_ = fs.WalkDir(c.root.FS(), dir, func(name string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return nil
			}
			if info, err := d.Info(); err == nil {
				all = append(all, keptFile{name, info})
				left += info.Size()
			}
			return nil
		})
	}
	if left < mostKept {
		return left
	}
	slices.SortFunc(all, func(a, b keptFile) int { return a.info.ModTime().Compare(b.info.ModTime()) })
	for _, f := range all {
		if left < mostKept/2 {
			break
		}
		if c.root.Remove(f.name) == nil {
			left -= f.info.Size()
		}
	}
	return left
}

// dropReplaced removes kept images that events say were drawn anew: training has gone back.
func (c *copied) dropReplaced(piece []byte) {
	for line := range bytes.Lines(piece) {
		if !bytes.Contains(line, []byte(`"pictures"`)) {
			continue
		}
		var e core.Event
		if e.ParseJSON(bytes.TrimSuffix(line, []byte("\n"))) != nil {
			continue
		}
		for _, p := range e.Pictures {
			if !imagePath(p.Path) {
				continue
			}
			for {
				name, _ := kept(c.folder, p.Path, 0)
				if name == "" || c.root.Remove(name) != nil {
					break
				}
			}
		}
	}
}
