package commands

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"cw/fault"
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

func redactAttr(_ []string, at slog.Attr) slog.Attr {
	if secretKey.MatchString(at.Key) && !strings.HasSuffix(at.Key, "_file") {
		return slog.String(at.Key, fault.Redacted)
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

func redact(text string) string { return fault.Redact(text) }
