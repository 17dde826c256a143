package inspect

import (
	"context"
	"crypto/hmac"
	"crypto/md5" //nolint:gosec // how old servers store passwords
	"crypto/pbkdf2"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// weakPassword is the one rule that is code.
const weakPassword = "role.weak_password"

// Coded are the rules that no SQL can ask, as a list shows them.
func Coded() []Rule {
	return []Rule{{
		Name: weakPassword, Title: "Passwords that are easily guessed", Scope: Cluster, Severity: Critical, Remedy: `in psql: \password {object}`, File: "cw itself",
	}}
}

// guesses are what is tried beside the role's own name: what installation
// guides use.
func guesses(role string) []string {
	return []string{role, "", "password", "postgres", "gpadmin", "changeme", "admin", "123456", "secret", role + "123", role + "1"}
}

// passwords finds roles whose password is among the first that anybody tries.
// It is done here, with what the server stores; no login is tried.
func passwords(ctx context.Context, s Server) ([]Finding, error) {
	secrets, err := s.Secrets(ctx)
	if err != nil {
		return nil, err
	}
	var out []Finding
	for _, role := range slices.Sorted(maps.Keys(secrets)) {
		for _, guess := range guesses(role) {
			if ctx.Err() != nil {
				return out, context.Cause(ctx)
			}
			if !verifies(secrets[role], role, guess) {
				continue
			}
			text := "it is one of the first that anybody tries"
			if guess == role {
				text = "it is the role's own name"
			}
			out = append(out, Finding{
				Rule: weakPassword, Title: "Password that is easily guessed", Severity: Critical, Object: role, Text: text,
				Remedy: fmt.Sprintf(`in psql: \password %s`, role),
			})
			break
		}
	}
	return out, nil
}

// verifies tells whether a stored secret is that of a password: MD5 or
// SCRAM-SHA-256 as pg_authid holds them (RFC 5803 for the latter).
func verifies(stored, role, password string) bool {
	if digest, ok := strings.CutPrefix(stored, "md5"); ok {
		sum := md5.Sum([]byte(password + role)) //nolint:gosec // as above
		return hmac.Equal([]byte(hex.EncodeToString(sum[:])), []byte(digest))
	}
	// SCRAM-SHA-256$iterations:salt$StoredKey:ServerKey
	parts := strings.Split(stored, "$")
	if len(parts) != 3 || parts[0] != "SCRAM-SHA-256" {
		return false
	}
	count, salt64, ok := strings.Cut(parts[1], ":")
	key64, _, ok2 := strings.Cut(parts[2], ":")
	iterations, err := strconv.Atoi(count)
	salt, err2 := base64.StdEncoding.DecodeString(salt64)
	key, err3 := base64.StdEncoding.DecodeString(key64)
	const most = 100_000 // more would take long, and whoever sets that has no weak password
	if !ok || !ok2 || err != nil || err2 != nil || err3 != nil || iterations < 1 || iterations > most {
		return false
	}
	salted, err := pbkdf2.Key(sha256.New, password, salt, iterations, sha256.Size)
	if err != nil {
		return false
	}
	mac := hmac.New(sha256.New, salted)
	mac.Write([]byte("Client Key"))
	want := sha256.Sum256(mac.Sum(nil))
	return hmac.Equal(want[:], key)
}
