package run

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"cw/cloud"
	"cw/remote"
)

// RootRunner runs commands as root on a machine: over SSH, or here.
func RootRunner(m Machine) cloud.Runner {
	if m.Host == nil {
		return runHere
	}
	return func(ctx context.Context, argv []string, stdin io.Reader) ([]byte, error) {
		res, err := m.Host.Run(ctx, remote.Cmd{Args: argv, As: "root", Stdin: stdin, Env: []string{"LC_ALL=C"}})
		return res.Stdout, err
	}
}

// runHere runs a command and ends all of its processes when the context does.
func runHere(ctx context.Context, argv []string, stdin io.Reader) ([]byte, error) {
	name := argv[0]
	if os.Getuid() != 0 {
		argv = append([]string{"sudo", "-n", "--"}, argv...)
	}
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(), "LC_ALL=C", "PATH="+os.Getenv("PATH")+":/usr/sbin:/sbin")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = 5 * time.Second
	var out, said bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, &out, &said
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return out.Bytes(), fmt.Errorf("%s: %w: %s", name, err, strings.TrimSpace(said.String()))
	}
	return out.Bytes(), nil
}
