package postgres

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"cw/fault"
)

// scramRounds is PostgreSQL's own default.
const scramRounds = 4096

// AdminPasswordFile is where the password of database.admin is: the
// topology's file, else one that cw makes.
func (e *Engine) AdminPasswordFile() string {
	if f := e.top.Database.PasswordFile; f != "" {
		return f
	}
	return filepath.Join(e.Dir, "admin.pass")
}

// adminPassword reads the admin's password; a file of the topology's must
// exist, ours is made.
func (e *Engine) adminPassword() (string, error) {
	if e.top.Database.PasswordFile == "" {
		return madeSecret(e.AdminPasswordFile())
	}
	pw, err := readSecret(e.AdminPasswordFile())
	if err != nil {
		return "", fault.Wrap(fault.Usage, "database.password_file names a file whose first line is the password", fmt.Errorf("reading the admin's password: %w", err))
	}
	return pw, nil
}

// replicationPassword is known to cw and the standbys only.
func (e *Engine) replicationPassword() (string, error) {
	return madeSecret(filepath.Join(e.Dir, "replication.pass"))
}

func readSecret(file string) (string, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	line, _, _ := strings.Cut(string(data), "\n")
	line = strings.TrimSuffix(line, "\r")
	if line == "" {
		return "", fmt.Errorf("%s: the first line is empty", file)
	}
	if strings.ContainsFunc(line, unicode.IsControl) {
		return "", fmt.Errorf("%s: the password holds control characters", file)
	}
	return line, nil
}

// madeSecret reads a secret that cw made, and makes it the first time. It is
// complete on disk before it is used anywhere.
func madeSecret(file string) (string, error) {
	s, err := readSecret(file)
	if !errors.Is(err, fs.ErrNotExist) {
		return s, err
	}
	var raw [24]byte
	if _, err := rand.Read(raw[:]); err != nil {
		return "", err
	}
	s = hex.EncodeToString(raw[:])
	return s, writePrivate(file, []byte(s+"\n"))
}

// writePrivate writes a file of this machine that only its owner reads, all
// of it or nothing.
func writePrivate(file string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(file), ".cw-*") // mode 0600
	if err != nil {
		return err
	}
	_, err = tmp.Write(data)
	err = errors.Join(err, tmp.Sync(), tmp.Close())
	if err == nil {
		err = os.Rename(tmp.Name(), file)
	}
	if err != nil {
		_ = os.Remove(tmp.Name())
		return fmt.Errorf("writing %s: %w", file, err)
	}
	return nil
}

// verifier is what pg_authid.rolpassword holds for a password. It is computed
// here so that the server, and its log, never see the password itself.
func verifier(password string) (string, error) {
	salt := make([]byte, 16)
	if _, err := rand.Read(salt); err != nil {
		return "", err
	}
	return scram(password, salt, scramRounds)
}

// matches says whether a stored verifier belongs to a password.
func matches(stored, password string) bool {
	fields := strings.Split(stored, "$")
	if len(fields) != 3 || fields[0] != "SCRAM-SHA-256" {
		return false
	}
	rounds, salt64, _ := strings.Cut(fields[1], ":")
	n, err1 := strconv.Atoi(rounds)
	salt, err2 := base64.StdEncoding.DecodeString(salt64)
	if err1 != nil || err2 != nil || n < 1 {
		return false
	}
	want, err := scram(password, salt, n)
	return err == nil && hmac.Equal([]byte(want), []byte(stored))
}

// scram is the verifier of RFC 5803 in PostgreSQL's spelling:
// SCRAM-SHA-256$rounds:salt$StoredKey:ServerKey.
func scram(password string, salt []byte, rounds int) (string, error) {
	salted, err := pbkdf2.Key(sha256.New, saslPrep(password), salt, rounds, sha256.Size)
	if err != nil {
		return "", fmt.Errorf("computing the SCRAM verifier: %w", err)
	}
	mac := func(text string) []byte {
		h := hmac.New(sha256.New, salted)
		h.Write([]byte(text))
		return h.Sum(nil)
	}
	stored := sha256.Sum256(mac("Client Key"))
	b64 := base64.StdEncoding.EncodeToString
	return fmt.Sprintf("SCRAM-SHA-256$%d:%s$%s:%s", rounds, b64(salt), b64(stored[:]), b64(mac("Server Key"))), nil
}

// saslPrep normalises a password as RFC 4013 wants it: other spaces become
// spaces, soft hyphens and joiners vanish, NFKC. ASCII stays as it is.
func saslPrep(password string) string {
	mapped := strings.Map(func(r rune) rune {
		switch {
		case r < 0x80:
			return r
		case r == 0x200B || unicode.Is(unicode.Zs, r):
			return ' '
		case r == 0x00AD, r == 0x034F, r == 0x1806, r >= 0x180B && r <= 0x180D, r >= 0x200C && r <= 0x200D, r == 0x2060, r >= 0xFE00 && r <= 0xFE0F, r == 0xFEFF:
			return -1
		}
		return r
	}, password)
	return norm.NFKC.String(mapped)
}
