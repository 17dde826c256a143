package remote

import (
	"crypto/rand"
	_ "embed"
	"encoding/hex"
	"regexp"
	"strings"

	"cw/fault"
)

//go:embed wrapper.sh
var wrapperSource string

// maxCommandLine is below what Linux takes as one argument (128 KiB).
const maxCommandLine = 120 << 10

var (
	envName  = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*=`)
	userName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.-]*\$?$`)
)

// wrapperLine is wrapper.sh as one line without its comments.
func wrapperLine() string {
	var lines []string
	for line := range strings.Lines(wrapperSource) {
		line = strings.TrimSpace(line)
		if line != "" && !strings.HasPrefix(line, "#") {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, " ")
}

// newNonce makes the random word that no output of a login shell contains.
func newNonce() string {
	b := make([]byte, 16)
	_, _ = rand.Read(b) // never fails: see crypto/rand
	return hex.EncodeToString(b)
}

// become says how a command gets to its OS user.
type become int

const (
	becomeNobody  become = iota // it is the SSH user's
	becomeByRoot                // runuser and the like, inside the wrapper
	becomeSudo                  // sudo -n
	becomeSudoAsk               // sudo -S with a password
)

// commandLine builds what sshd hands to the login shell.
func commandLine(c Cmd, nonce string, how become) (string, error) {
	if err := checkCmd(c); err != nil {
		return "", err
	}
	args := []string{"0", "-", "-"}
	if c.Stdin != nil {
		args[0] = "1"
	}
	if how == becomeByRoot {
		args[1] = c.As
	}
	if c.Dir != "" {
		args[2] = c.Dir
	}
	args = append(append(append(args, c.Env...), "--"), c.Args...)

	var words []string
	switch how {
	case becomeSudo:
		words = []string{"sudo", "-n", "-H", "-u", c.As, "--"}
	case becomeSudoAsk:
		words = []string{"sudo", "-S", "-p", nonce + strings.ReplaceAll(promptMark, "%", "%%"), "-H", "-u", c.As, "--"}
	}
	words = append(words, "/bin/sh", "-c", wrapperLine(), nonce)
	line, ok := loginQuote(append(words, args...))
	if !ok {
		line, ok = loginQuote(append(words, "-x", printfFormat(Quote(args))))
	}
	if !ok || len(line) > maxCommandLine {
		return "", fault.New(fault.Failed, "pass large data on standard input",
			"run %s: the command line is too long (%d bytes)", abbreviate(Quote(c.Args), 60), len(line))
	}
	return "exec " + line, nil
}

// checkCmd refuses what no argv or environment can hold.
func checkCmd(c Cmd) error {
	if len(c.Args) == 0 || c.Args[0] == "" {
		return fault.New(fault.Usage, "", "run a command: the argv is empty")
	}
	for _, w := range append(append([]string{c.Dir}, c.Args...), c.Env...) {
		if strings.IndexByte(w, 0) >= 0 {
			return fault.New(fault.Usage, "", "run %s: a word holds a NUL byte", abbreviate(Quote(c.Args), 60))
		}
	}
	for _, e := range c.Env {
		if !envName.MatchString(e) {
			return fault.New(fault.Usage, "", "run %s: %q is not NAME=value", Quote(c.Args[:1]), e)
		}
	}
	if c.As != "" && !userName.MatchString(c.As) {
		return fault.New(fault.Usage, "", "run %s: %q is not the name of an OS user", Quote(c.Args[:1]), c.As)
	}
	return nil
}
