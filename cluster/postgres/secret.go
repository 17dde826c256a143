package postgres

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"cw/cluster/secret"
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
		return secret.Made(e.AdminPasswordFile())
	}
	return secret.Given("database.password_file", e.AdminPasswordFile())
}

// replicationPassword is known to cw and the standbys only.
func (e *Engine) replicationPassword() (string, error) {
	return secret.Made(filepath.Join(e.Dir, "replication.pass"))
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
