package disk

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"cw/fault"
	"cw/perfcheck"
	"cw/perfcheck/kernel"
)

// Supported says why the job's engine cannot run it, nil when it can. fio has
// no latency from the moment that a request was due, and cannot write first
// and over within one measurement.
func (j Job) Supported() error {
	if j.Engine != EngineFio {
		return nil
	}
	switch {
	case j.Rate > 0:
		return fault.New(fault.Usage, "run it without --engine fio", "fio does not measure from when a request was due")
	case j.Kind == FirstWrite:
		return fault.New(fault.Usage, "run it without --engine fio", "fio does not compare a first write with an overwrite")
	}
	return nil
}

// fioTail is how much longer fio runs than is asked of it: it writes no line
// for the interval that its end cuts.
const fioTail = 100 * time.Millisecond

// fioGrace is how long fio may take over what the job says, to start and to
// print.
const fioGrace = 30 * time.Second

// runFio is Run by the installed fio on the same files.
func (s *Set) runFio(ctx context.Context, j Job, on func(perfcheck.Second)) (perfcheck.Measurement, error) {
	var m perfcheck.Measurement
	if err := j.Supported(); err != nil {
		return m, err
	}
	program, err := exec.LookPath("fio")
	if err != nil {
		return m, fault.New(fault.Check, "install fio there, or leave --engine fio out", "fio is not installed: %w", err)
	}
	// Its logs go into a folder of their own below the first private one, so
	// that Close takes them away, too.
	logs, err := os.MkdirTemp(s.targets[0].folder, "fio.")
	if err != nil {
		return m, writeFailed(s.targets[0].facts.Dir, err)
	}
	defer func() { _ = os.RemoveAll(logs) }()
	if err := j.Await(ctx); err != nil {
		return m, err
	}
	limit, cancel := context.WithTimeout(ctx, j.Warmup+j.Duration+fioGrace)
	defer cancel()
	m.Began = time.Now().Add(j.Warmup)
	stdout, stderr, err := runProgram(limit, program, s.fioArgs(j, logs), logs)
	if ctx.Err() != nil {
		return m, context.Cause(ctx)
	}
	if limit.Err() != nil {
		return m, fault.New(fault.Failed, "look at dmesg", "fio did not end %s after it should have", fioGrace)
	}
	report, parsed := parseFio(stdout)
	if err != nil || parsed != nil || report.failed() {
		return m, fault.New(fault.Failed, "run it without --engine fio", "fio in %s: %s", strings.Join(s.dirs(), ", "), fioError(report, stdout, stderr, errors.Join(err, parsed)))
	}
	if err := report.measure(j, len(s.targets), &m); err != nil {
		return m, fault.Wrap(fault.Failed, "run it without --engine fio", err)
	}
	name, unit := j.primary()
	series := perfcheck.Series{Name: name, Unit: unit, Interval: 1}
	if series.Values, err = fioSeries(logs, unit, int(j.Duration/time.Second)); err != nil {
		return m, err
	}
	for i, v := range series.Values {
		if on != nil {
			on(perfcheck.Second{At: float64(i), Value: v})
		}
	}
	m.Series = []perfcheck.Series{series}
	addFlag(&m, perfcheck.FlagExternal)
	return m, nil
}

// fioArgs are fio's options: one section per directory.
func (s *Set) fioArgs(j Job, logs string) []string {
	ms := func(d time.Duration) string { return fmt.Sprintf("%dms", d.Milliseconds()) }
	args := []string{
		"--output-format=json+", "--thread", "--time_based", "--runtime=" + ms(j.Duration+fioTail), "--ramp_time=" + ms(j.Warmup),
		fmt.Sprintf("--bs=%d", j.Block), "--randrepeat=0", "--norandommap", "--scramble_buffers=1",
		"--log_avg_msec=1000", "--write_bw_log=" + filepath.Join(logs, "log"), "--write_iops_log=" + filepath.Join(logs, "log"),
		// Without this fio makes what it does not find, the root disk's
		// directories included.
		"--allow_file_create=0", "--create_on_open=0",
	}
	switch j.Kind {
	case Mixed:
		args = append(args, "--rw=randrw", fmt.Sprintf("--rwmixread=%.0f", 100*j.ReadShare))
	case Scan:
		args = append(args, "--rw=read")
	case Commit:
		args = append(args, "--rw=write")
	default:
		args = append(args, "--rw="+string(j.Kind))
	}
	if j.Kind == Commit {
		args = append(args, "--ioengine=psync")
		args = append(args, map[string][]string{
			Fsync: {"--fsync=1"}, Fdatasync: {"--fdatasync=1"}, Dsync: {"--sync=dsync"}, DirectDsync: {"--sync=dsync", "--direct=1"},
		}[j.Sync]...)
	} else {
		args = append(args, "--ioengine=libaio", "--direct=1")
	}
	for i, t := range s.targets {
		path, size, _ := t.place(j)
		args = append(args, fmt.Sprintf("--name=d%d", i), "--filename="+strings.ReplaceAll(path, ":", `\:`))
		if j.Kind == Commit || j.Kind == Scan {
			region := size / int64(j.Depth) / pageSize * pageSize
			args = append(args, fmt.Sprintf("--numjobs=%d", j.Depth), fmt.Sprintf("--size=%d", region), fmt.Sprintf("--offset_increment=%d", region))
		} else {
			args = append(args, fmt.Sprintf("--size=%d", size), fmt.Sprintf("--iodepth=%d", j.Depth))
		}
	}
	return args
}

// runProgram runs a program to its end. The context's end interrupts it, and
// kills it when that does not help; so does this process's.
func runProgram(ctx context.Context, program string, args []string, dir string) (stdout, stderr []byte, err error) {
	// The kernel sends Pdeathsig when the thread ends that started the child.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = dir
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	cmd.SysProcAttr = kernel.Group()
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGINT) }
	cmd.WaitDelay = cancelGrace
	err = cmd.Run()
	return out.Bytes(), errs.Bytes(), err
}
