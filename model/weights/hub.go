package weights

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

// PullOptions say what to fetch and from where; the zero value is the usual.
type PullOptions struct {
	Revision  string // branch, tag or commit; "" is main
	Variant   string // "fp16" for half-size weights, where there are any
	Endpoint  string // of the hub; "" is $HF_ENDPOINT, else https://huggingface.co
	Token     string // for private and gated repositories; "" is $HF_TOKEN
	NoWeights bool   // take only configuration and tokenizer, for a single-file checkpoint
	Parallel  int    // files at a time; 0 is 4
	Retries   int    // per file, counted from the last byte that came; 0 is 5, negative none

	Backoff time.Duration // wait before the first retry, doubled for each one more; 0 is 500 ms
	Stall   time.Duration // silence after which a connection is given up; 0 is 30 s

	// Progress, if set, is called now and then, never by two at once.
	Progress func(PullProgress)
	// Converting, if set, is told, before anything is fetched, of each PyTorch checkpoint and of the safetensors file
	// that is made of it.
	Converting func(file, becomes string)
	// Waiting, if set, is told why and how long a busy hub makes a file wait, before each such wait.
	Waiting func(why string, wait time.Duration)
}

// PullProgress is how far Pull has come.
type PullProgress struct {
	File        string // the one that moved last
	Done, Total int64  // bytes, of all files
}

// Pull fetches a model from a hub that speaks Hugging Face's protocol into dir: of a
// diffusers folder the parts that Stable Diffusion needs, of another repository what
// lies at its top. Weights come as safetensors; where there are only PyTorch checkpoints,
// these are converted, and nothing in them is executed. Every file is checked against the
// hub's own sum and appears under its name when it is whole; model_index.json comes
// last. Files that are there and right are kept, and what an interrupted Pull has left
// is continued.
func Pull(ctx context.Context, repo, dir string, o PullOptions) error {
	p, err := newPuller(repo, dir, o)
	if err != nil {
		return err
	}
	files, err := p.list(ctx)
	if err != nil {
		return err
	}
	chosen, err := chooseFiles(repo, files, o.Variant)
	if err != nil {
		return err
	}
	if err := requireVariant(repo, chosen, o.Variant); err != nil {
		return err
	}
	if o.NoWeights {
		chosen = slices.DeleteFunc(chosen, func(f hubFile) bool { return strings.Contains(f.name(), ".safetensors") })
	}
	for _, f := range chosen {
		p.progress.Total += f.size
		if p.Converting != nil && f.becomes != "" {
			p.Converting(f.path, f.becomes)
		}
	}
	return p.fetchModel(ctx, chosen)
}

// fetchModel fetches files, model_index.json last: a folder that has it is whole.
func (p *puller) fetchModel(ctx context.Context, chosen []hubFile) error {
	chosen = slices.Clone(chosen)
	last := slices.IndexFunc(chosen, func(f hubFile) bool { return f.path == "model_index.json" })
	if last >= 0 {
		index := chosen[last]
		if err := p.fetchAll(ctx, slices.Delete(chosen, last, last+1)); err != nil {
			return err
		}
		chosen = []hubFile{index}
	}
	return p.fetchAll(ctx, chosen)
}

// hubFile is one file of a repository.
type hubFile struct {
	path   string
	size   int64
	sha256 string // of large files
	blob   string // git's name of small ones: SHA-1 of a line and the content

	address string // where it comes from, if not from the puller's repository
	becomes string // path of the safetensors file that a checkpoint is converted to; "" keeps the file as it is
}

// name is its path in the folder that is written.
func (f hubFile) name() string { return cmp.Or(f.becomes, f.path) }

// stringOrNot is a text, and "" for anything else: cards are written by hand.
type stringOrNot string

// UnmarshalJSON never fails.
func (s *stringOrNot) UnmarshalJSON(raw []byte) error {
	var text string
	if json.Unmarshal(raw, &text) == nil {
		*s = stringOrNot(text)
	}
	return nil
}

// puller is one Pull under way.
type puller struct {
	PullOptions
	repo, dir string
	commit    string
	license   string // as the repository's card says
	client    *http.Client

	mu       sync.Mutex
	progress PullProgress
	reported time.Time
}

var repoName = regexp.MustCompile(`^[\w-][\w.-]*(/[\w-][\w.-]*)?$`)

var hexSum = regexp.MustCompile(`^[0-9a-f]*$`)

func newPuller(repo, dir string, o PullOptions) (*puller, error) {
	if !repoName.MatchString(repo) {
		return nil, fmt.Errorf("%q: not the name of a repository, want owner/name", repo)
	}
	o.Revision = cmp.Or(o.Revision, "main")
	o.Endpoint = strings.TrimSuffix(cmp.Or(o.Endpoint, os.Getenv("HF_ENDPOINT"), "https://huggingface.co"), "/")
	o.Token = cmp.Or(o.Token, os.Getenv("HF_TOKEN"))
	o.Parallel = cmp.Or(max(0, o.Parallel), 4)
	o.Retries = max(0, cmp.Or(o.Retries, 5))
	o.Backoff = cmp.Or(o.Backoff, 500*time.Millisecond)
	o.Stall = cmp.Or(o.Stall, 30*time.Second)
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.DisableCompression = true // ranges and sizes are those of the file
	transport.ResponseHeaderTimeout = o.Stall
	hub, err := url.Parse(o.Endpoint)
	if err != nil || hub.Host == "" {
		return nil, fmt.Errorf("HF_ENDPOINT %q: want an address such as https://huggingface.co", o.Endpoint)
	}
	client := &http.Client{Transport: &tokenTransport{transport, hub, o.Token}, CheckRedirect: safeRedirect}
	return &puller{PullOptions: o, repo: repo, dir: dir, client: client}, nil
}

// tokenTransport adds the token to requests to the hub itself: the same scheme, host and port. A
// redirect to anywhere else, such as the storage that large files lie in, goes without.
type tokenTransport struct {
	http.RoundTripper
	hub   *url.URL
	token string
}

// RoundTrip sends one request.
func (t *tokenTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	if t.token != "" && r.URL.Scheme == t.hub.Scheme && origin(r.URL) == origin(t.hub) {
		r = r.Clone(r.Context()) // a RoundTripper must not change its request
		r.Header.Set("Authorization", "Bearer "+t.token)
	}
	return t.RoundTripper.RoundTrip(r)
}

// origin is the host and port of an address.
func origin(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return strings.ToLower(u.Hostname()) + ":" + port
}

// safeRedirect follows ten redirects at most, and none from https to http.
func safeRedirect(r *http.Request, via []*http.Request) error {
	if len(via) > 10 {
		return &finalError{errors.New("more than 10 redirects")}
	}
	if r.URL.Scheme != "https" && via[len(via)-1].URL.Scheme == "https" {
		return &finalError{fmt.Errorf("refused to be led from https to %s://%s", r.URL.Scheme, r.URL.Host)}
	}
	return nil
}

// list asks the hub what the repository holds, and for the commit, so that all files
// are of one state even if somebody pushes meanwhile.
func (p *puller) list(ctx context.Context) ([]hubFile, error) {
	address := fmt.Sprintf("%s/api/models/%s/revision/%s?blobs=true", p.Endpoint, p.repo, url.PathEscape(p.Revision))
	var answer struct {
		Commit string `json:"sha"`
		Card   struct {
			License stringOrNot `json:"license"`
		} `json:"cardData"`
		Siblings []struct {
			Name string `json:"rfilename"`
			Size int64  `json:"size"`
			Blob string `json:"blobId"`
			LFS  struct {
				SHA256 string `json:"sha256"`
			} `json:"lfs"`
		} `json:"siblings"`
	}
	if err := p.json(ctx, address, &answer); err != nil {
		return nil, fmt.Errorf("%s: %w", p.repo, err)
	}
	p.license = string(answer.Card.License)
	p.commit = cmp.Or(answer.Commit, p.Revision)
	var files []hubFile
	for _, s := range answer.Siblings {
		if !filepath.IsLocal(s.Name) || strings.Contains(s.Name, `\`) || s.Size < 0 || !hexSum.MatchString(s.Blob+s.LFS.SHA256) {
			return nil, fmt.Errorf("%s: the hub names a file %q, which is refused", p.repo, s.Name)
		}
		files = append(files, hubFile{path: s.Name, size: s.Size, sha256: s.LFS.SHA256, blob: s.Blob})
	}
	return files, nil
}

// neededParts are the folders of a diffusers folder that the model packages read.
var neededParts = []string{"unet", "vae", "text_encoder", "text_encoder_2", "tokenizer", "tokenizer_2", "scheduler"}

// neededFiles are the small files to take from each folder, beside the weights.
var neededFiles = []string{
	"model_index.json", "config.json", "scheduler_config.json", "preprocessor_config.json", "vocab.json", "merges.txt",
	"tokenizer.json", "tokenizer_config.json", "special_tokens_map.json",
}

// chooseFiles picks what to fetch, small files first.
func chooseFiles(repo string, files []hubFile, variant string) ([]hubFile, error) {
	folders := map[string][]string{} // file names by folder
	for _, f := range files {
		folder, name := path.Split(f.path)
		folders[strings.TrimSuffix(folder, "/")] = append(folders[strings.TrimSuffix(folder, "/")], name)
	}
	wanted := []string{""}
	if slices.Contains(folders[""], "model_index.json") {
		wanted = append(wanted, neededParts...)
	}
	take := map[string]string{} // path to write, by path of the hub
	for _, folder := range wanted {
		names := folders[folder]
		if len(wanted) > 1 && folder == "" {
			names = []string{"model_index.json"} // single files often lie beside it
		}
		weights, err := chooseFolder(names, variant)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path.Join(repo, folder), err)
		}
		for _, name := range names {
			if to, ok := weights[name]; ok {
				take[path.Join(folder, name)] = path.Join(folder, to)
			} else if slices.Contains(neededFiles, name) {
				take[path.Join(folder, name)] = path.Join(folder, name)
			}
		}
	}
	var chosen []hubFile
	for _, f := range files {
		if to, ok := take[f.path]; ok {
			if to != f.path {
				f.becomes = to
			}
			chosen = append(chosen, f)
		}
	}
	if len(chosen) == 0 {
		return nil, fmt.Errorf("%s: holds no model that can be read: no model_index.json, no .safetensors, no PyTorch checkpoint", repo)
	}
	slices.SortFunc(chosen, func(a, b hubFile) int {
		return cmp.Or(cmp.Compare(a.size, b.size), strings.Compare(a.path, b.path))
	})
	return chosen, nil
}

// requireVariant refuses a variant that none of the chosen files has: the plain ones would come in its place.
func requireVariant(repo string, chosen []hubFile, variant string) error {
	isOne := func(f hubFile) bool {
		found, ok := weightsVariant(path.Base(f.name()))
		return ok && found == variant
	}
	if variant == "" || slices.ContainsFunc(chosen, isOne) {
		return nil
	}
	return fmt.Errorf("%s: no files of variant %q", repo, variant)
}

// chooseFolder picks the weights to fetch from one folder, by name, and what each is to be called:
// safetensors where there are any, else the PyTorch checkpoint that is to be converted.
func chooseFolder(names []string, variant string) (map[string]string, error) {
	weights := map[string]string{}
	for _, name := range chooseShards(names, variant) {
		weights[name] = name
	}
	if len(weights) > 0 || slices.ContainsFunc(names, isSafetensors) {
		return weights, nil
	}
	return choosePickles(names, variant)
}

func isSafetensors(name string) bool { return strings.HasSuffix(name, ".safetensors") }

// chooseShards lists the safetensors to fetch from one folder, none if it has none.
func chooseShards(names []string, variant string) []string {
	best := chooseWeights(names, variant)
	if best == "" {
		return nil
	}
	list := []string{best}
	if strings.HasSuffix(best, ".json") {
		found, _ := weightsVariant(best)
		for _, name := range names {
			if of, ok := weightsVariant(name); ok && of == found && isShard.MatchString(name) {
				list = append(list, name)
			}
		}
	}
	return list
}

// fetchAll fetches several files at a time and stops them all at the first failure.
func (p *puller) fetchAll(ctx context.Context, files []hubFile) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	slots := make(chan struct{}, p.Parallel)
	var wait sync.WaitGroup
	for _, f := range files {
		wait.Go(func() {
			select {
			case slots <- struct{}{}:
				defer func() { <-slots }()
			case <-ctx.Done():
				return
			}
			if err := p.fetch(ctx, f); err != nil && ctx.Err() == nil {
				cancel(err)
			}
		})
	}
	wait.Wait()
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return nil
}

// moved adds n bytes of a file to the progress; they are negative when it starts over.
func (p *puller) moved(file string, n int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.progress.File = file
	p.progress.Done += n
	now := time.Now()
	if p.Progress != nil && (now.Sub(p.reported) > 100*time.Millisecond || p.progress.Done == p.progress.Total) {
		p.reported = now
		p.Progress(p.progress)
	}
}

// finalError is one that trying again cannot mend.
type finalError struct{ error }

// Unwrap returns the reason.
func (e *finalError) Unwrap() error { return e.error }

// maxBusyWait is the longest wait that a hub may ask for.
const maxBusyWait = time.Minute

// retry calls attempt until it succeeds or fails for good; attempt reports whether it got further than
// any before, which starts the count again.
func (p *puller) retry(ctx context.Context, attempt func() (further bool, err error)) error {
	for failures := 0; ; failures++ {
		further, err := attempt()
		var final *finalError
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case errors.As(err, &final):
			return final.error
		case further:
			failures = 0
		}
		if failures >= p.Retries {
			return fmt.Errorf("gave up after %d attempts: %w", failures+1, err)
		}
		wait := p.Backoff << min(failures, 6)
		var busy *busyError
		if errors.As(err, &busy) {
			wait = max(wait, min(busy.wait, maxBusyWait))
			if p.Waiting != nil {
				p.Waiting(err.Error(), wait)
			}
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
