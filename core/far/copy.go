package far

import (
	"bytes"
	"cmp"
	"compress/flate"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"focusnfix/core"
	"focusnfix/core/run"
)

const (
	ownDir   = ".far" // in the copy: what the run does not have
	lockName = "lock"
	maxPiece = 1 << 20 // bytes of a piece of a log, inflated
)

// maxLogs bounds the copies of logs, in bytes.
var maxLogs = [len(logs)]int64{8 << 30, 256 << 20}

// errKept is the error of a copy that another process keeps.
var errKept = errors.New("another process keeps this copy")

// copied is the copy of a run folder, for the process that keeps it.
type copied struct {
	folder run.Folder
	root   *os.Root
	lock   *os.File
	files  [len(logs)]*os.File // nil: not begun
	sizes  [len(logs)]int64    // here
	there  [len(logs)]int64    // of the whole log, as it was told last
	info   run.Info            // run.json as it is there
	far    run.Far
	engine bool  // one works on the run there
	images int64 // bytes of images that are kept, once they were counted
}

// hostFolder is where the copies of runs on a host are.
func hostFolder(cache, host string) (string, error) {
	var name strings.Builder
	for i := range len(host) {
		switch c := host[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '_', c == '@', c == '.' && i > 0:
			name.WriteByte(c)
		default:
			fmt.Fprintf(&name, "%%%02X", c)
		}
	}
	if name.Len() == 0 || name.Len() > 200 {
		return "", fmt.Errorf("host %q: want 1 to 200 characters", host)
	}
	return filepath.Join(cache, name.String()), nil
}

// copyFolder is where the copy of a run belongs, by the path of its folder on the host.
func copyFolder(cache, host, folder string) (run.Folder, error) {
	dir, err := hostFolder(cache, host)
	if err != nil {
		return run.Folder{}, err
	}
	name := filepath.Base(folder)
	if !filepath.IsAbs(folder) || name == "/" || name[0] == '.' || len(name) > 200 || core.Clean(name) != name || strings.ContainsAny(name, `\:`) {
		return run.Folder{}, fmt.Errorf("%s: %q cannot be the folder of a run", host, folder)
	}
	place := sha256.Sum256([]byte(filepath.Dir(folder)))
	return run.Folder{Dir: filepath.Join(dir, hex.EncodeToString(place[:4]), name)}, nil
}

// copiesIn are the copies in a folder that a name means, as run.Find has it.
func copiesIn(hostDir, place, name string) (found []run.Folder) {
	list, err := run.List(filepath.Join(hostDir, place))
	if err != nil {
		return nil
	}
	for _, r := range list {
		if r.Err != nil || r.Info.Far == nil {
			continue
		}
		if r.Name() == name || r.Info.Far.Folder == name || strings.HasSuffix(r.Info.Far.Folder, "/"+strings.TrimSuffix(name, "/")) {
			return []run.Folder{r.Folder}
		}
		if strings.Contains(r.Name(), name) {
			found = append(found, r.Folder)
		}
	}
	return found
}

// openCopy opens a copy for this process. With make it is made if need be.
func openCopy(f run.Folder, create bool) (c *copied, err error) {
	if create {
		if err := os.MkdirAll(f.Dir, 0o700); err != nil {
			return nil, err
		}
	}
	c = &copied{folder: f}
	if c.root, err = os.OpenRoot(f.Dir); err != nil {
		return nil, err
	}
	if err := c.begin(); err != nil {
		return nil, errors.Join(err, c.close())
	}
	return c, nil
}

func (c *copied) begin() (err error) {
	if err := c.root.Mkdir(ownDir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if c.lock, err = c.root.OpenFile(ownDir+"/"+lockName, os.O_RDWR|os.O_CREATE, 0o600); err != nil {
		return err
	}
	if err := syscall.Flock(int(c.lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return errKept
		}
		return err
	}
	for i, name := range logs {
		if info, err := c.root.Lstat(name); err == nil && info.Mode().IsRegular() {
			c.sizes[i] = info.Size()
		}
	}
	if info, err := c.theirs(); err == nil {
		c.info = info
	}
	if now, err := c.folder.Info(); err == nil && now.Far != nil {
		c.far = *now.Far
	}
	return nil
}

func (c *copied) close() error {
	var errs []error
	for _, f := range c.files {
		if f != nil {
			errs = append(errs, f.Close())
		}
	}
	if c.lock != nil {
		errs = append(errs, c.lock.Close())
	}
	return errors.Join(append(errs, c.root.Close())...)
}

// theirs is run.json as it is there.
func (c *copied) theirs() (run.Info, error) {
	return run.Folder{Dir: filepath.Join(c.folder.Dir, ownDir)}.Info()
}

// errAnother is the error of a folder that is another run's now, after what was here of the first was removed.
var errAnother = errors.New("another run has that name now; it is fetched anew")

// replace puts run.json or the configuration in place, as they came; nil leaves one.
func (c *copied) replace(runJSON, config []byte) error {
	if runJSON != nil {
		if err := c.folder.WriteFile(ownDir+"/"+followed[0], runJSON); err != nil {
			return err
		}
		was := c.info.ID
		info, err := c.theirs()
		if err != nil {
			return fmt.Errorf("from the far end: %w", err)
		}
		c.info = info
		if was != "" && was != info.ID { // another run took the name
			return cmp.Or(c.empty(), errAnother)
		}
	}
	if config != nil {
		return c.folder.WriteFile(followed[1], config)
	}
	return nil
}

// empty removes what is here of another run.
func (c *copied) empty() error {
	errs := []error{c.root.RemoveAll(imageDir)}
	for _, name := range slices.Concat(imageFolders, followed[1:]) {
		errs = append(errs, c.root.RemoveAll(name))
	}
	for i := range logs {
		errs = append(errs, c.anew(i))
	}
	return errors.Join(errs...)
}

// state takes in how the run is.
func (c *copied) state(s state) {
	c.far.Folder, c.far.State, c.far.OnlyDraws, c.far.Checkpoints = s.Folder, s.State, s.OnlyDraws, s.Checkpoints
	c.far.Space, c.engine = s.Space, s.Engine
}

// publish writes run.json of the copy: theirs, with the process that keeps it as the engine.
func (c *copied) publish(keeper *run.Process) error {
	info, away := c.info, c.far
	info.Engine, info.Far, away.Socket = nil, &away, ""
	if keeper != nil {
		process := *keeper
		away.Socket = process.Socket
		if !c.engine && away.Link == "" { // without a link the answer says so
			process.Socket = ""
		}
		info.Engine = &process
	}
	if info.ID == "" {
		return fmt.Errorf("%s: no run.json yet", c.folder.Dir)
	}
	text, err := json.MarshalIndent(info, "", "  ")
	if err != nil {
		return err
	}
	return c.folder.WriteFile(followed[0], append(text, '\n')) // need not last through a loss of power
}

// positions are how much is here of each log.
func (c *copied) positions() (p [len(logs)]position, err error) {
	for i, name := range logs {
		p[i].Size = c.sizes[i]
		if p[i].Sum, err = c.sum(name, max(0, c.sizes[i]-sumBytes), c.sizes[i]); err != nil {
			return p, err
		}
	}
	return p, nil
}

func (c *copied) sum(name string, from, to int64) (string, error) {
	if to == 0 {
		return sumRange(bytes.NewReader(nil), 0, 0)
	}
	f, err := c.root.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close() //nolint:errcheck // it was only read
	return sumRange(f, from, to)
}

// add adds a piece to a log.
func (c *copied) add(h logHead, packed []byte) error {
	piece, err := io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(packed)), maxPiece+1))
	if err != nil || len(piece) > maxPiece {
		return fmt.Errorf("a piece of %s is broken: %w", logs[h.log], errors.Join(err, errors.New("over 1 MiB or not deflated")))
	}
	if h.anew {
		if err := c.anew(h.log); err != nil {
			return err
		}
	}
	if h.offset != c.sizes[h.log] {
		return fmt.Errorf("a piece of %s at %d, want one at %d", logs[h.log], h.offset, c.sizes[h.log])
	}
	if c.sizes[h.log]+int64(len(piece)) > maxLogs[h.log] {
		return fmt.Errorf("%s is over %d MiB: no more of it is copied", logs[h.log], maxLogs[h.log]>>20)
	}
	if c.there[h.log] = h.size; h.log == 0 {
		c.dropReplaced(piece)
	}
	if c.files[h.log] == nil {
		if c.files[h.log], err = c.root.OpenFile(logs[h.log], os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600); err != nil {
			return err
		}
	}
	n, err := c.files[h.log].Write(piece)
	c.sizes[h.log] += int64(n)
	return err
}

// anew begins a log anew, in another file so that its readers see it.
func (c *copied) anew(log int) error {
	if f := c.files[log]; f != nil {
		c.files[log] = nil
		if err := f.Close(); err != nil {
			return err
		}
	}
	c.sizes[log] = 0
	err := c.root.Remove(logs[log])
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return err
}

// behind is how many bytes of the events are still to come.
func (c *copied) behind() int64 { return max(0, c.there[0]-c.sizes[0]) }

// verify compares the beginning of a log with what the far end has. Where they differ it begins anew.
func (c *copied) verify(v verify) error {
	if v.Log < 0 || v.Log >= len(logs) || v.Size < 0 || v.Size > c.sizes[v.Log] {
		return nil // it has begun anew since
	}
	sum, err := c.sum(logs[v.Log], 0, v.Size)
	if err != nil || sum == v.Sum {
		return err
	}
	return errors.Join(fmt.Errorf("the copy of %s is damaged; it is fetched again", logs[v.Log]), c.anew(v.Log))
}
