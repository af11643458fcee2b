package cmd

import (
	"fmt"
	"path"
	"time"

	"github.com/spf13/cobra"

	"focusnfix/core"
	"focusnfix/model/weights"
)

func newPull() *cobra.Command {
	var out string
	var o weights.PullOptions
	c := &cobra.Command{
		Use:   "pull REPO",
		Short: "Download a diffusers folder from a hub",
		Long: "Download what Stable Diffusion needs of a diffusers folder: safetensors, configuration, tokenizer.\n" +
			"Every file is checked against the hub's own sum; run it again to continue after a break.\n" +
			"HF_ENDPOINT names another hub, HF_TOKEN opens private and gated repositories.",
		Example: `  focusnfix pull stable-diffusion-v1-5/stable-diffusion-v1-5 --variant fp16
  focusnfix pull stabilityai/stable-diffusion-xl-base-1.0 --no-weights -o sdxl-config`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if out == "" {
				out = path.Base(args[0])
			}
			bar := newProgress(c.ErrOrStderr(), "pull")
			o.Progress = func(p weights.PullProgress) { bar.showBytes(p.Done, p.Total) }
			o.Waiting = func(why string, wait time.Duration) {
				fmt.Fprintf(c.ErrOrStderr(), "%s; trying again in %s\n", core.Clean(why), wait.Round(time.Second))
			}
			if err := weights.Pull(c.Context(), args[0], out, o); err != nil {
				return err
			}
			fmt.Fprintln(c.OutOrStdout(), out)
			return nil
		},
	}
	f := c.Flags()
	f.StringVarP(&out, "out", "o", "", "folder to write (default: the repository's name without its owner)")
	f.StringVar(&o.Revision, "revision", "", "branch, tag or commit (default: main)")
	f.StringVar(&o.Variant, "variant", "", "weights to take where there are several, such as fp16")
	f.BoolVar(&o.NoWeights, "no-weights", false, "take only configuration and tokenizer, which --config of a single file wants")
	f.IntVar(&o.Parallel, "parallel", 4, "files at a time")
	return c
}
