package cmd

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"focusnfix/core"
	"focusnfix/core/far"
	"focusnfix/core/run"
	"focusnfix/tui"
)

// farFlags are those of the commands that reach runs on other machines.
type farFlags struct {
	program, ssh  string
	readOnly, ask bool
}

func (a *farFlags) add(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&a.program, "remote-program", "", "on HOST, run `PROGRAM` (default: focusnfix, by its PATH)")
	f.StringVar(&a.ssh, "ssh", "", "connect with `PROGRAM`, which takes ssh's arguments (default: ssh)")
}

func (a *farFlags) dial(host string, args ...string) far.SSH {
	return far.SSH{Program: a.ssh, Host: host, Remote: a.program, Args: append([]string{"relay"}, args...)}
}

// target reads HOST:RUN; remote is false for a run on this machine.
func (a *farFlags) target(text string) (t far.Target, remote bool, err error) {
	t, remote, err = far.Parse(text)
	if err != nil {
		return t, remote, usageError{err}
	}
	return t, remote, nil
}

// list prints the runs on another machine.
func (a *farFlags) list(c *cobra.Command, where string, asJSON bool) error {
	t, remote, err := a.target(where)
	if err != nil {
		return err
	}
	if !remote {
		return usageError{fmt.Errorf("%q: want HOST: or HOST:DIR; --runs %s lists runs in a folder here", where, where)}
	}
	args := []string{"--list"}
	if t.Run != "" {
		args = append(args, "--runs="+t.Run)
	}
	text, err := far.List(c.Context(), far.Options{Target: t, Version: version, Dial: a.dial(t.Host, args...).Dial})
	if err != nil {
		return err
	}
	list := []listedRun{}
	if err := json.Unmarshal(text, &list); err != nil {
		return fmt.Errorf("%s: its list of runs: %w", t.Host, err)
	}
	core.CleanStrings(&list)
	switch w := c.OutOrStdout(); {
	case asJSON:
		return printJSON(w, list)
	case len(list) == 0:
		fmt.Fprintf(w, "no runs on %s; %s:DIR lists those in a folder there\n", t.Host, t.Host)
	default:
		printRuns(w, list, time.Now())
	}
	return nil
}

// attach shows a run on another machine; remote is false where the run is on this one.
func (a *farFlags) attach(c *cobra.Command, s *screenFlags, text string) (remote bool, err error) {
	t, remote, err := a.target(text)
	switch {
	case err != nil:
		return remote, err
	case !remote && (a.readOnly || a.ask || a.program != "" || a.ssh != ""):
		return false, usageError{errors.New("--read-only, --ask, --ssh and --remote-program are for HOST:RUN")}
	case !remote:
		return false, nil
	}
	cache, err := far.CacheDir()
	if err != nil {
		return true, err
	}
	args := []string{"--"}
	if t.Run != "" {
		args = append(args, t.Run)
	}
	if !s.isPlain(c) {
		fmt.Fprintf(c.ErrOrStderr(), "connecting to %s\r", t.Host)
	}
	m, err := far.Open(c.Context(), far.Options{
		Target: t, Cache: cache, Version: version, ReadOnly: a.readOnly, Ask: a.ask || s.isPlain(c), Dial: a.dial(t.Host, args...).Dial,
	})
	if err != nil {
		return true, err
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	return true, showFar(c, s, t, m)
}

func showFar(c *cobra.Command, s *screenFlags, t far.Target, m *far.Mirror) error {
	f := m.Folder()
	if s.isPlain(c) {
		return plain(c, f)
	}
	o := s.options(filepath.Dir(f.Dir), f.Dir)
	o.Resume, o.Wake, o.Fetch, o.Report = m.Train, m.Wake, m.Fetch, reportHere(m.Fetch)
	o.Bring, o.Apply, o.SaveLoRA = m.Bring, m.Apply, saveLoRA
	if err := tui.Run(c.Context(), o); err != nil {
		return err
	}
	if info, err := f.Info(); err == nil && (f.State(info) == run.Running || f.State(info) == run.Paused) {
		fmt.Fprintf(c.OutOrStdout(), "%s is %s on %s; focusnfix attach %s:%s returns to it\n", f.Name(), f.State(info), t.Host, t.Host, shortID(f.Name()))
	}
	return nil
}
