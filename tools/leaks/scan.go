package main

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// The kinds of files that are kept.
const (
	secretFile = "secret" // what must be nowhere else
	logFile    = "log"
	storeFile  = "store"  // SQLite: state, audit, events
	reportFile = "report" // what people pass on
)

// kindOf tells by its name what a file is, "" for what is not kept.
func kindOf(path string) string {
	base := strings.ToLower(filepath.Base(path))
	switch ext := filepath.Ext(base); {
	case base == "cw.log" || base == "cw.log.1" || ext == ".log" || ext == ".jsonl" || ext == ".out" || ext == ".err":
		return logFile
	case ext == ".db" || ext == ".db-wal" || ext == ".sqlite":
		return storeFile
	case ext == ".html" || ext == ".xml" || ext == ".md":
		return reportFile
	case ext == ".pass" || ext == ".secret" || ext == ".token" || base == ".pgpass" || base == "pgpass" || base == "credentials" || ext == ".pgpass":
		return secretFile
	case !strings.Contains(base, ".") && (strings.Contains(base, "passw") && base != "passwd" || strings.Contains(base, "secret") || strings.Contains(base, "token")):
		return secretFile
	}
	return ""
}

// shapes are what must not be anywhere whatever its value. A blanked value
// begins with a bracket, a variable with $, a pattern of a test with a star.
var shapes = []*regexp.Regexp{
	regexp.MustCompile(`-----BEGIN [A-Z ]*PRIVATE KEY-----`),
	regexp.MustCompile(`(?i)X-Amz-Signature=[0-9a-f]{16}`),
	regexp.MustCompile(`AWS4-HMAC-SHA256 Credential=\w+`),
	regexp.MustCompile(`SCRAM-SHA-256\$\d+:[A-Za-z0-9+/]{8}`),
	regexp.MustCompile(`://[\w.-]+:[^@\s\[\]/$*:"'<>\\{}]+@[\w.]`),
	regexp.MustCompile(`(?i)\bpassword\s*=\s*'?[^\s'"\[\]$*%\\<{.,;)(&|x]{3}`),
}

type counts struct {
	files, secrets int
	byKind         map[string]int
}

func (c counts) kinds() string {
	var parts []string
	for _, k := range []string{logFile, storeFile, reportFile} {
		parts = append(parts, fmt.Sprintf("%d %ss", c.byKind[k], k))
	}
	return strings.Join(parts, ", ")
}

// readKnown reads a file of secrets, one a line; # begins a comment.
func readKnown(path string) ([]string, error) {
	if path == "" {
		return nil, nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var words []string
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			words = append(words, line)
		}
	}
	return words, nil
}

// scan looks for secrets in what was kept; each finding is a line.
func scan(k *keeper, words []string) ([]string, counts, error) {
	n := counts{byKind: map[string]int{}}
	secrets := map[string]string{}
	for _, w := range words {
		secrets[w] = "a known secret"
	}
	for name, origin := range k.origin {
		if filepath.Ext(name) != "."+secretFile {
			continue
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return nil, n, err
		}
		for _, s := range secretsIn(string(text)) {
			if secrets[s] == "" {
				secrets[s] = "of " + origin
				n.secrets++
			}
		}
	}
	var found []string
	for name, origin := range k.origin {
		if filepath.Ext(name) == "."+secretFile {
			continue
		}
		n.files++
		n.byKind[strings.TrimPrefix(filepath.Ext(name), ".")]++
		f, err := scanFile(name, origin, secrets)
		if err != nil {
			return nil, n, err
		}
		found = append(found, f...)
	}
	slices.Sort(found)
	return found, n, nil
}

// secretsIn are the values in a secret file: whole lines, and of a pgpass line
// its last field. Short ones would be found everywhere; what is no text is some
// program's file of that name (Chromium's "Trust Tokens").
func secretsIn(text string) []string {
	if strings.ContainsRune(text, 0) {
		return nil
	}
	var out []string
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if f := strings.Split(line, ":"); len(f) == 5 {
			line = f[4]
		}
		if _, value, ok := strings.Cut(line, "= "); ok {
			line = value
		}
		if len(line) >= 6 && !strings.HasPrefix(line, "[") {
			out = append(out, line)
		}
	}
	return out
}

func scanFile(name, origin string, secrets map[string]string) ([]string, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	var found []string
	r := bufio.NewReaderSize(f, 1<<20)
	for no := 1; ; no++ {
		line, err := r.ReadBytes('\n')
		for s, why := range secrets {
			if bytes.Contains(line, []byte(s)) {
				found = append(found, fmt.Sprintf("%s:%d: %s: %s", origin, no, why, around(line, []byte(s))))
			}
		}
		for _, re := range shapes {
			if m := re.FindIndex(line); m != nil {
				found = append(found, fmt.Sprintf("%s:%d: looks like a secret: %s", origin, no, around(line, line[m[0]:m[1]])))
			}
		}
		if err != nil {
			return found, nil
		}
	}
}

// around is what stands around a finding: this is a developer's tool and the
// secrets are those of tests.
func around(line, what []byte) string {
	i := bytes.Index(line, what)
	return fmt.Sprintf("%q", line[max(0, i-120):min(len(line), i+len(what)+40)])
}
