package commands

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// logMax is when the log file is rotated: one old file is kept.
const logMax = 20 << 20

// openLog opens the structured log: JSON lines, everything down to debug,
// redacted. cw works without it when it cannot be written.
func openLog(path string) (*slog.Logger, io.Closer, error) {
	discard := slog.New(slog.DiscardHandler)
	if err := makePrivateDir(filepath.Dir(path)); err != nil {
		return discard, nil, err
	}
	if st, err := os.Stat(path); err == nil && st.Size() > logMax {
		_ = os.Rename(path, path+".1")
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return discard, nil, fmt.Errorf("open log: %w", err)
	}
	h := slog.NewJSONHandler(f, &slog.HandlerOptions{Level: slog.LevelDebug, ReplaceAttr: redactAttr})
	return slog.New(h).With("pid", os.Getpid()), f, nil
}

// secretKey matches names whose values never reach log or audit.
var secretKey = regexp.MustCompile(`(?i)(passw|passphrase|secret|token|credential|private_?key)`)

var (
	// urlPassword is the password in scheme://user:password@host.
	urlPassword = regexp.MustCompile(`(://[^/\s:@]*:)[^@\s]+@`)
	// assigned is password=… anywhere, and "password: …" where it is a key of
	// YAML or JSON: in prose it is a sentence.
	assigned = regexp.MustCompile(`(?im)(\b` + secretWord + `['"]?\s*=\s*|(?:^[\s-]*|[{,]\s*)['"]?` + secretWord + `['"]?\s*:\s*)('[^']*'|"[^"]*"|[^\s,;&'"}]+)`)
	// sqlPassword is PASSWORD '…' of SQL.
	sqlPassword = regexp.MustCompile(`(?i)(\b` + secretWord + `\s+)'[^']*'`)
)

const secretWord = `(?:\w*passw(?:or)?d|passphrase|token|(?:\w*_)?secret(?:_?access)?(?:_?key)?)`

const redacted = "[redacted]"

func redactAttr(_ []string, at slog.Attr) slog.Attr {
	if secretKey.MatchString(at.Key) && !strings.HasSuffix(at.Key, "_file") {
		return slog.String(at.Key, redacted)
	}
	switch v := at.Value.Any().(type) {
	case string:
		at.Value = slog.StringValue(redact(v))
	case error:
		at.Value = slog.StringValue(redact(v.Error()))
	case []string:
		at.Value = slog.StringValue(redact(strings.Join(v, " ")))
	case fmt.Stringer:
		at.Value = slog.StringValue(redact(v.String()))
	}
	return at
}

// redact blanks what looks like a secret in free text: passwords in URLs and
// values given to words such as password. Names of files that hold secrets
// stay, since they are what one looks for.
func redact(text string) string {
	text = urlPassword.ReplaceAllString(text, "${1}"+redacted+"@")
	text = sqlPassword.ReplaceAllString(text, "${1}"+redacted)
	return assigned.ReplaceAllString(text, "${1}"+redacted)
}
