package commands

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"cw/fault"
)

// ErrInterrupted is the cause of a context that a signal ended.
var ErrInterrupted = fault.New(fault.Interrupted, "", "interrupted")

// exitCode is one row of the table of exit codes.
type exitCode struct {
	code    int
	kind    fault.Kind
	meaning string
}

// exitCodes is the table of exit codes: the one place where kinds of failure
// become numbers. Scripts rely on it; rows are never changed, only added.
var exitCodes = []exitCode{ //nolint:gochecknoglobals // constant table
	{0, -1, "done"},
	{1, fault.Failed, "failed"},
	{2, fault.Usage, "wrong usage, or a file that does not validate"},
	{3, fault.Partial, "done in part: rejected rows, or some hosts failed"},
	{4, fault.Auth, "authentication refused, or a host key that does not match"},
	{5, fault.Unreachable, "unreachable or timed out"},
	{6, fault.Check, "a check or threshold is not met"},
	{7, fault.Locked, "locked by another run"},
	{8, fault.Degraded, "degraded (only with --exit-code)"},
	{130, fault.Interrupted, "interrupted"},
}

// exitCodeOf maps an error to its exit code.
func exitCodeOf(ctx context.Context, err error) int {
	if err == nil {
		return 0
	}
	kind := fault.KindOf(err)
	if errors.Is(context.Cause(ctx), ErrInterrupted) {
		kind = fault.Interrupted
	} else if kind == fault.Failed && errors.Is(err, context.DeadlineExceeded) {
		kind = fault.Unreachable
	}
	for _, e := range exitCodes {
		if e.kind == kind {
			return e.code
		}
	}
	return 1
}

// exitHeading begins the paragraph of exit codes; help prints it last.
const exitHeading = "\n\nExit codes:\n"

// exitHelp is the paragraph of exit codes at the end of a command's Long; 0,
// 1, 2 and 130 are in all of them.
func exitHelp(more ...int) string {
	var b strings.Builder
	b.WriteString(exitHeading)
	for _, e := range exitCodes {
		show := e.code <= 2 || e.code == 130
		for _, c := range more {
			show = show || c == e.code
		}
		if show {
			fmt.Fprintf(&b, "  %-4d %s\n", e.code, e.meaning)
		}
	}
	return strings.TrimRight(b.String(), "\n")
}
