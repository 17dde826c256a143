package remote

import (
	"context"
	"fmt"
	"strings"
	"time"

	"cw/fault"
)

// ExitError is a command that ran and ended with a status that is not 0.
type ExitError struct {
	Host   string
	Args   []string
	Code   int    // exit status; 128+n when signal n ended it
	Stdout string // the end of standard output, at most 4 KiB, when it was not streamed
	Stderr string // the end of standard error, at most 4 KiB
}

func (e *ExitError) Error() string {
	msg := fmt.Sprintf("%s: %s: ", e.Host, abbreviate(Quote(e.Args), 120))
	switch {
	case e.Code == 127 && len(e.Args) > 0 && e.Stderr == "":
		msg += "command not found"
	case e.Code > 128 && e.Code < 128+65:
		msg += fmt.Sprintf("killed by signal %d", e.Code-128)
	default:
		msg += fmt.Sprintf("exit status %d", e.Code)
	}
	text := strings.TrimSpace(e.Stderr)
	if text == "" {
		text = strings.TrimSpace(e.Stdout)
	}
	if text != "" {
		msg += ": " + lastLines(text, 3)
	}
	return msg
}

// FaultKind makes *ExitError a fault.Kinder.
func (e *ExitError) FaultKind() fault.Kind { return fault.Failed }

// UnreachableError is a host that could not be reached, or was lost.
type UnreachableError struct {
	Host    string
	Addr    string // host:port
	Err     error
	Login   string // the ssh command line that tries the same by hand
	Started bool   // a command had been started: it may have had its effect
}

func (e *UnreachableError) Error() string {
	return fmt.Sprintf("%s: reach %s: %v", e.Host, e.Addr, e.Err)
}

// Unwrap gives the cause.
func (e *UnreachableError) Unwrap() error { return e.Err }

// FaultKind makes *UnreachableError a fault.Kinder.
func (e *UnreachableError) FaultKind() fault.Kind { return fault.Unreachable }

// FaultHint makes *UnreachableError a fault.Hinter.
func (e *UnreachableError) FaultHint() string {
	if e.Login == "" {
		return ""
	}
	return "try by hand: " + e.Login
}

// TimeoutError is a command that did not end within Cmd.Timeout.
type TimeoutError struct {
	Host  string
	Args  []string
	After time.Duration
}

func (e *TimeoutError) Error() string {
	return fmt.Sprintf("%s: %s: no end within %s, killed", e.Host, abbreviate(Quote(e.Args), 120), e.After)
}

// Unwrap makes it a context.DeadlineExceeded.
func (e *TimeoutError) Unwrap() error { return context.DeadlineExceeded }

// FaultKind makes *TimeoutError a fault.Kinder.
func (e *TimeoutError) FaultKind() fault.Kind { return fault.Unreachable }

// AuthError is a host that refused everything we could offer.
type AuthError struct {
	Host  string
	Addr  string
	User  string
	Tried []string // what was offered: key files, "agent", "password"
	Err   error
	Login string
}

func (e *AuthError) Error() string {
	tried := "nothing to offer: no key file, no agent, no password"
	if len(e.Tried) > 0 {
		tried = "tried " + strings.Join(e.Tried, ", ")
	}
	return fmt.Sprintf("%s: %s refuses user %s (%s)", e.Host, e.Addr, e.User, tried)
}

// Unwrap gives the cause.
func (e *AuthError) Unwrap() error { return e.Err }

// FaultKind makes *AuthError a fault.Kinder.
func (e *AuthError) FaultKind() fault.Kind { return fault.Auth }

// FaultHint makes *AuthError a fault.Hinter.
func (e *AuthError) FaultHint() string {
	return "set ssh.user and ssh.identity_file to what works by hand: " + e.Login
}

// SudoError is sudo (or another way to become a user) that failed: the
// command itself never ran.
type SudoError struct {
	Host string
	User string // who we are there
	As   string // who we wanted to be
	Text string // what sudo said
}

func (e *SudoError) Error() string {
	return fmt.Sprintf("%s: user %s may not run commands as %s: %s", e.Host, e.User, e.As, lastLines(e.Text, 2))
}

// FaultKind makes *SudoError a fault.Kinder.
func (e *SudoError) FaultKind() fault.Kind { return fault.Auth }

// FaultHint makes *SudoError a fault.Hinter.
func (e *SudoError) FaultHint() string {
	if e.User == "root" || strings.Contains(e.Text, "unknown user") {
		return fmt.Sprintf("create the user on %s: useradd --create-home %s", e.Host, quoteWord(e.As))
	}
	if strings.Contains(e.Text, "must have a tty") {
		return fmt.Sprintf("put this line into /etc/sudoers.d/%s on %s: Defaults:%s !requiretty", e.User, e.Host, e.User)
	}
	return fmt.Sprintf("put this line into /etc/sudoers.d/%s on %s: %s ALL=(ALL) NOPASSWD: ALL (or set ssh.become_password_file)", e.User, e.Host, e.User)
}

// WrongHostError is an address behind which another machine answers than the
// one seen at first contact.
type WrongHostError struct {
	Host, Addr string
	Want, Got  string // machine-ids
	Hostname   string // what the machine calls itself
}

func (e *WrongHostError) Error() string {
	return fmt.Sprintf("%s: behind %s is now another machine: machine-id %s (%s), at first contact it was %s",
		e.Host, e.Addr, e.Got, e.Hostname, e.Want)
}

// FaultKind makes *WrongHostError a fault.Kinder.
func (e *WrongHostError) FaultKind() fault.Kind { return fault.Check }

// FaultHint makes *WrongHostError a fault.Hinter.
func (e *WrongHostError) FaultHint() string {
	return "nothing was changed there; correct the host's address in the topology, or, if the machine was replaced: cw cluster recover NAME --host " + e.Host + " --full"
}

// lastLines returns the last n lines of s, joined by "; ", about 300 bytes.
func lastLines(s string, n int) string {
	lines := strings.FieldsFunc(strings.TrimSpace(s), func(r rune) bool { return r == '\n' || r == '\r' })
	if len(lines) > n {
		lines = lines[len(lines)-n:]
	}
	return abbreviate(strings.Join(lines, "; "), 300)
}

// abbreviate cuts the middle out of s when it is longer than limit bytes.
func abbreviate(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	head, tail := strings.ToValidUTF8(s[:limit/2], ""), strings.ToValidUTF8(s[len(s)-limit/2:], "")
	return head + " … " + tail
}
