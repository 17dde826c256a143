package commands

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strconv"

	"github.com/spf13/cobra"

	"cw/remote"
)

// copyResult is a file or folder that went to or came from one host.
type copyResult struct {
	Host  string `json:"host"`
	Local string `json:"local"`
	Path  string `json:"path"`
	OK    bool   `json:"ok"`
	Error string `json:"error,omitempty"`
}

type pushOptions struct {
	hostOptions
	mode string
}

func newClusterPush(a *App) *cobra.Command {
	var o pushOptions
	c := &cobra.Command{
		Use: "push NAME LOCAL PATH", Short: "Copy a file or folder to the hosts of a cluster", Args: args(2, 3),
		Long: `Copy a file or folder to all hosts of a cluster, or to some. Each file appears
whole or not at all, and is compared by SHA-256 on the host.` + exitHelp(3, 4, 5),
		Example: `  cw cluster push dw1 ./pg_hba.d /etc/cw/pg_hba.d --as root
  cw cluster push -f cluster.yaml ./limits.conf /tmp/limits.conf --mode 0644`,
		RunE: func(cmd *cobra.Command, args []string) error { return o.run(cmd.Context(), a, args) },
	}
	o.addFlags(c)
	c.Flags().StringVar(&o.mode, "mode", "", "permission bits of the files, octal (default: those of the local file)")
	return c
}

func (o *pushOptions) run(ctx context.Context, a *App, args []string) error {
	hosts, rest, err := o.choose(ctx, a, args)
	if err != nil {
		return err
	}
	if len(rest) != 2 {
		return usagef("as: cw cluster push dw1 ./file /path/on/hosts", "a local file and a path on the hosts are needed")
	}
	local, to := rest[0], rest[1]
	st, err := os.Stat(local)
	if errors.Is(err, fs.ErrNotExist) {
		return usagef("", "%s: no such file here", local)
	} else if err != nil {
		return err
	}
	if !path.IsAbs(to) {
		return usagef("write it with a leading /", "%q is not an absolute path", to)
	}
	file := remote.FileOptions{As: o.as, Mode: st.Mode().Perm()}
	if st.IsDir() {
		file.Mode = 0
	}
	if o.mode != "" {
		m, err := strconv.ParseUint(o.mode, 8, 12)
		if err != nil {
			return usagef("as 0644", "--mode %q is not octal permission bits", o.mode)
		}
		file.Mode = os.FileMode(m)
	}
	results, err := remote.Each(ctx, hosts, 0, func(ctx context.Context, h *remote.Host) (copyResult, error) {
		err := h.Push(ctx, local, to, file)
		return copied(h, local, to, err), err
	})
	return errors.Join(a.printCopies(results), err)
}

func copied(h *remote.Host, local, path string, err error) copyResult {
	r := copyResult{Host: h.Name(), Local: local, Path: path, OK: err == nil}
	if err != nil {
		r.Error = redact(err.Error())
	}
	return r
}

func (a *App) printCopies(results []copyResult) error {
	t := table{cols: cols("HOST", "LOCAL", "PATH", "OK", "+ERROR")}
	for _, r := range results {
		t.add(r.Host, r.Local, r.Path, fmt.Sprint(r.OK), r.Error)
	}
	return a.print(list("CopyList", results), t)
}
