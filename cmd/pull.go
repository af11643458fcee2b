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
		Use:   "pull OWNER/NAME",
		Short: "Download a model from a hub",
		Long: "Download the parts of a diffusers folder that Stable Diffusion needs: safetensors, configuration, tokenizer. " +
			"Each file is checked against the hub's checksum; run the command again to continue after an interruption. " +
			"HF_ENDPOINT names another hub, HF_TOKEN opens private and gated repositories.",
		Example: `  focusnfix pull stable-diffusion-v1-5/stable-diffusion-v1-5 --variant fp16
  focusnfix pull stabilityai/stable-diffusion-xl-base-1.0 --no-weights -o sdxl-config`,
		Args: takes("OWNER/NAME"), ValidArgsFunction: cobra.NoFileCompletions,
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
	f.StringVarP(&out, "out", "o", "", "write to `DIR` (default: NAME)")
	f.StringVar(&o.Revision, "revision", "", "download `REV`: a branch, tag or commit (default: main)")
	f.StringVar(&o.Variant, "variant", "", "download the weights of variant `NAME`, such as fp16")
	f.BoolVar(&o.NoWeights, "no-weights", false, "download only configuration and tokenizer, for --config")
	f.IntVar(&o.Parallel, "parallel", 4, "download `N` files at a time")
	return c
}
