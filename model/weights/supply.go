package weights

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// Supply is a file or folder that can be fetched: a repository of a hub, one file of it, or one file of a
// repository on GitHub. A PyTorch checkpoint becomes the safetensors file that Name asks for.
type Supply struct {
	Name   string // of the folder or file to write
	Repo   string // owner/name on the hub
	File   string // one file of the repository; "" is what a model needs
	GitHub bool   // Repo is on GitHub
}

// Order is what a Supply comes to, before anything is fetched.
type Order struct {
	Supply
	Bytes   int64
	License string // as the hub says; of GitHub, where to look
	Have    bool   // there already, and right

	puller *puller
	files  []hubFile
}

// Plan asks where supplies come from for their sizes and licenses, and looks at what is in dir already.
func Plan(ctx context.Context, supplies []Supply, dir string, o PullOptions) ([]*Order, error) {
	var orders []*Order
	for _, s := range supplies {
		target := dir
		if s.File == "" {
			target = filepath.Join(dir, s.Name)
		}
		p, err := newPuller(s.Repo, target, o)
		if err != nil {
			return nil, err
		}
		order := &Order{Supply: s, puller: p}
		if s.GitHub {
			err = order.askGitHub(ctx)
		} else {
			err = order.askHub(ctx)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", s.Name, err)
		}
		if s.File != "" && isPickleName(s.File) {
			order.files[0].becomes = s.Name
		}
		order.look()
		orders = append(orders, order)
	}
	return orders, nil
}

func (o *Order) askHub(ctx context.Context) error {
	files, err := o.puller.list(ctx)
	if err != nil {
		return err
	}
	o.License = cmp.Or(o.puller.license, "not stated; see the page of "+o.Repo)
	if o.File == "" {
		if o.files, err = chooseFiles(o.Repo, files, o.puller.Variant); err != nil { // plain files where there is no variant
			return err
		}
	} else {
		i := slices.IndexFunc(files, func(f hubFile) bool { return f.path == o.File })
		if i < 0 {
			return fmt.Errorf("%s has no file %s", o.Repo, o.File)
		}
		o.files = slices.Clone(files[i : i+1])
	}
	for _, f := range o.files {
		o.Bytes += f.size
	}
	return nil
}

// askGitHub takes size and sum of a file from GitHub's API, whose address GITHUB_API_URL may replace.
func (o *Order) askGitHub(ctx context.Context) error {
	api := strings.TrimSuffix(cmp.Or(os.Getenv("GITHUB_API_URL"), "https://api.github.com"), "/")
	address := fmt.Sprintf("%s/repos/%s/contents/%s", api, o.Repo, escaped(o.File))
	var answer struct {
		SHA      string `json:"sha"`
		Size     int64  `json:"size"`
		Download string `json:"download_url"`
	}
	if err := o.puller.json(ctx, address, &answer); err != nil {
		return err
	}
	if answer.Size < 0 || !hexSum.MatchString(answer.SHA) || answer.Download == "" {
		return fmt.Errorf("%s does not answer as GitHub does", api)
	}
	o.License = "see github.com/" + o.Repo
	o.files = []hubFile{{path: o.File, size: answer.Size, blob: answer.SHA, address: answer.Download}}
	o.Bytes = answer.Size
	if answer.Size > maxPointer {
		return nil
	}
	return o.followPointer(ctx, answer.Download)
}

// maxPointer is more than a git LFS pointer has, in bytes.
const maxPointer = 1024

var pointerLine = regexp.MustCompile(`(?m)^(oid sha256:([0-9a-f]{64})|size ([0-9]{1,15}))$`)

// followPointer replaces a file that is a git LFS pointer by what it points to.
func (o *Order) followPointer(ctx context.Context, download string) error {
	raw, err := o.puller.text(ctx, download, maxPointer)
	if err != nil || !bytes.HasPrefix(raw, []byte("version https://git-lfs")) {
		return err
	}
	f := hubFile{path: o.files[0].path}
	for _, m := range pointerLine.FindAllStringSubmatch(string(raw), -1) {
		if m[2] != "" {
			f.sha256 = m[2]
		} else if _, err := fmt.Sscan(m[3], &f.size); err != nil {
			return err
		}
	}
	u, err := url.Parse(download)
	if err != nil || f.sha256 == "" {
		return errors.New("a broken git LFS pointer")
	}
	if u.Host == "raw.githubusercontent.com" {
		u.Host = "media.githubusercontent.com"
	}
	f.address = u.Scheme + "://" + u.Host + "/media" + u.EscapedPath()
	o.files, o.Bytes = []hubFile{f}, f.size
	return nil
}

// escaped is a path of a repository in an address.
func escaped(file string) string {
	var segments []string
	for s := range strings.SplitSeq(file, "/") {
		segments = append(segments, url.PathEscape(s))
	}
	return strings.Join(segments, "/")
}

// json asks for address, of the hub or of GitHub, and reads the answer.
func (p *puller) json(ctx context.Context, address string, into any) error {
	raw, err := p.text(ctx, address, 64<<20)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return fmt.Errorf("%s does not answer as a hub does: %w", address, err)
	}
	return nil
}

func (p *puller) text(ctx context.Context, address string, most int64) (raw []byte, err error) {
	err = p.retry(ctx, func() (bool, error) {
		response, err := p.get(ctx, address, 0)
		if err != nil {
			return false, err
		}
		defer func() { _ = response.Body.Close() }() // only read
		raw, err = io.ReadAll(io.LimitReader(response.Body, most))
		return false, err
	})
	return raw, err
}

// Checkpoints lists the PyTorch checkpoints among its files, which are converted once they are here.
func (o *Order) Checkpoints() []string {
	var names []string
	for _, f := range o.files {
		if isSafetensors(f.becomes) {
			names = append(names, f.path)
		}
	}
	return names
}

// look finds out whether all of it is there. Plain files are compared by sizes here; Fetch compares sums.
func (o *Order) look() {
	o.Have = true
	for _, f := range o.files {
		if f.becomes != "" {
			o.Have = o.Have && o.puller.hasConverted(f)
			continue
		}
		info, err := os.Stat(o.puller.target(f))
		o.Have = o.Have && err == nil && info.Size() == f.size
	}
}

// Fetch brings what is missing, continues what was interrupted, checks every sum, and converts checkpoints.
func (o *Order) Fetch(ctx context.Context, progress func(PullProgress)) error {
	o.puller.Progress, o.puller.progress = progress, PullProgress{Total: o.Bytes}
	if err := o.puller.fetchModel(ctx, o.files); err != nil {
		return fmt.Errorf("%s: %w", o.Repo, err)
	}
	return nil
}
