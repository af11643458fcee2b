package cmd

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"focusnfix/core"
	"focusnfix/model/weights"
)

// pullFlags are the flags of `focusnfix pull`.
type pullFlags struct {
	weights.PullOptions
	out, preset, to string
	dryRun, yes     bool
}

func newPull() *cobra.Command {
	p := new(pullFlags)
	c := &cobra.Command{
		Use:   "pull OWNER/NAME | -p PRESET",
		Short: "Download a model from a hub, or all that a preset needs",
		Long: "Download the parts of a diffusers folder that Stable Diffusion needs: safetensors, configuration, tokenizer. " +
			"With -p, download all that a preset names, from the hub and from GitHub; sizes and licenses are shown first. " +
			"What exists as PyTorch checkpoints only is converted to safetensors; nothing in it is executed. Each file is checked against the checksum that its " +
			"source states; run the command again to continue after an interruption. " +
			"HF_ENDPOINT names another hub, HF_TOKEN opens private and gated repositories.",
		Example: `  focusnfix pull -p sd1-violence --dry-run
  focusnfix pull stable-diffusion-v1-5/stable-diffusion-v1-5 --variant fp16
  focusnfix pull stabilityai/stable-diffusion-xl-base-1.0 --no-weights -o sdxl-config`,
		Args: cobra.MaximumNArgs(1), ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(c *cobra.Command, args []string) error {
			p.Waiting = func(why string, wait time.Duration) {
				fmt.Fprintf(c.ErrOrStderr(), "%s; trying again in %s\n", core.Clean(why), wait.Round(time.Second))
			}
			switch {
			case p.preset != "" && len(args) == 0 && p.out == "":
				return p.pullPreset(c)
			case p.preset != "":
				return usageError{errors.New("-p PRESET goes without a repository and without -o; --to names the folder")}
			case len(args) == 0:
				return usageError{errors.New("want a repository such as openai/clip-vit-large-patch14, or -p PRESET")}
			case p.dryRun || p.to != "":
				return usageError{errors.New("--dry-run and --to belong to -p PRESET")}
			}
			return p.pullRepo(c, args[0])
		},
	}
	f := c.Flags()
	f.StringVarP(&p.out, "out", "o", "", "write to `DIR` (default: NAME)")
	f.StringVarP(&p.preset, "preset", "p", "", "download all that `PRESET` names: base model, CLIP, judges")
	f.StringVar(&p.to, "to", "", "download what the preset names to `DIR` (default: this one, where training looks)")
	f.BoolVar(&p.dryRun, "dry-run", false, "show what the preset needs and what is here, and stop")
	f.BoolVarP(&p.yes, "yes", "y", false, "download without asking")
	f.StringVar(&p.Revision, "revision", "", "download `REV`: a branch, tag or commit (default: main)")
	f.StringVar(&p.Variant, "variant", "", "download the weights of variant `NAME`, such as fp16")
	f.BoolVar(&p.NoWeights, "no-weights", false, "download only configuration and tokenizer, for --config")
	f.IntVar(&p.Parallel, "parallel", 4, "download `N` files at a time")
	return c
}

func (p *pullFlags) pullRepo(c *cobra.Command, repo string) error {
	out := cmp.Or(p.out, path.Base(repo))
	p.Converting = func(file, becomes string) {
		fmt.Fprintf(c.ErrOrStderr(), "%s exists as a PyTorch checkpoint only; it becomes %s, and nothing in it is executed\n", core.Clean(file), core.Clean(becomes))
	}
	bar := newProgress(c.ErrOrStderr(), "pull")
	p.Progress = func(at weights.PullProgress) { bar.showBytes(at.Done, at.Total) }
	if err := weights.Pull(c.Context(), repo, out, p.PullOptions); err != nil {
		return err
	}
	fmt.Fprintln(c.OutOrStdout(), out)
	return nil
}

// pullPreset shows what a preset needs, and fetches what is missing.
func (p *pullFlags) pullPreset(c *cobra.Command) error {
	config, _, err := loadConfig(p.preset, nil)
	if err != nil {
		return err
	}
	wanted := p.wanted(c.ErrOrStderr(), config)
	if len(wanted) == 0 {
		fmt.Fprintf(c.OutOrStdout(), "%s needs no files: all of it is part of the program\n", p.preset)
		return nil
	}
	orders, err := weights.Plan(c.Context(), wanted, cmp.Or(p.to, "."), p.PullOptions)
	if err != nil {
		return err
	}
	missing := printOrders(c.OutOrStdout(), orders)
	if p.dryRun {
		return nil
	}
	if missing > 0 && !p.yes && isTerminal(os.Stdin) && !confirmed(c, fmt.Sprintf("download %s?", byteCount(missing))) {
		return errors.New("nothing downloaded")
	}
	if err := roomFor(cmp.Or(p.to, "."), missing); err != nil {
		return err
	}
	for _, order := range orders {
		bar := newProgress(c.ErrOrStderr(), order.Name)
		if err := order.Fetch(c.Context(), func(at weights.PullProgress) { bar.showBytes(at.Done, at.Total) }); err != nil {
			return err
		}
	}
	where := ""
	if p.to != "" {
		where = "cd " + p.to + " && "
	}
	fmt.Fprintf(c.OutOrStdout(), "ready: %sfocusnfix start -p %s\n", where, p.preset)
	return nil
}

// wanted are the supplies that a configuration names; it warns of what has no known source and is not there.
func (p *pullFlags) wanted(w io.Writer, config core.Config) (supplies []weights.Supply) {
	for _, name := range namedBy(config) {
		if s, ok := supplyOf(name); ok {
			supplies = append(supplies, s)
		} else if _, err := os.Stat(filepath.Join(p.to, name)); err != nil {
			fmt.Fprintf(w, "warning: no source is known for %s; put it there yourself\n", core.Clean(name))
		}
	}
	return supplies
}

// printOrders shows a table of what is needed; the result is the bytes that are missing.
func printOrders(w io.Writer, orders []*weights.Order) (missing int64) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "NAME\tSIZE\tFROM\tLICENSE\t")
	for _, o := range orders {
		from, state := o.Repo, ""
		if o.GitHub {
			from = "github.com/" + o.Repo
		}
		if o.File != "" {
			from += "/" + o.File
		}
		if o.Have {
			state = "here"
		} else {
			missing += o.Bytes
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", o.Name, byteCount(o.Bytes), from, core.Clean(o.License), state)
	}
	_ = t.Flush() // nobody is left to tell
	for _, o := range orders {
		if names := o.Checkpoints(); len(names) > 0 && !o.Have {
			fmt.Fprintf(w, "%s: %s becomes safetensors; nothing in it is executed\n", o.Name, core.Clean(strings.Join(names, ", ")))
		}
	}
	fmt.Fprintf(w, "to download: %s\n", byteCount(missing))
	return missing
}

// confirmed asks a question on the terminal.
func confirmed(c *cobra.Command, question string) bool {
	fmt.Fprintf(c.ErrOrStderr(), "%s [y/N] ", question)
	answer, _ := bufio.NewReader(c.InOrStdin()).ReadString('\n')
	return slices.Contains([]string{"y", "yes"}, strings.ToLower(strings.TrimSpace(answer)))
}

// roomFor refuses a download that the disk cannot hold.
func roomFor(dir string, bytes int64) error {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	var disk syscall.Statfs_t
	if err := syscall.Statfs(dir, &disk); err != nil {
		return nil //nolint:nilerr // some file systems do not tell
	}
	if free := int64(disk.Bavail) * int64(disk.Bsize); free < bytes { //nolint:unconvert // other types elsewhere
		return fmt.Errorf("%s: %s free, %s to download; --to names a folder on another disk", dir, byteCount(free), byteCount(bytes))
	}
	return nil
}
