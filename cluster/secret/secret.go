// Package secret keeps the passwords and keys of a cluster in files of this
// machine that only their owner reads.
package secret

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"unicode"

	"cw/fault"
)

// Given reads a password file that the topology names under key: the first
// line. That it cannot be used is the user's error.
func Given(key, file string) (string, error) {
	pw, err := read(file)
	if err != nil {
		return "", fault.Wrap(fault.Usage, key+" names a file whose first line is the password", fmt.Errorf("reading the password: %w", err))
	}
	return pw, nil
}

// Made reads a secret that cw made, and makes it the first time: 48
// hexadecimal digits. It is complete on disk before it is used anywhere.
func Made(file string) (string, error) {
	s, err := read(file)
	if !errors.Is(err, fs.ErrNotExist) {
		return s, err
	}
	var raw [24]byte
	if _, err := rand.Read(raw[:]); err != nil {
		return "", err
	}
	s = hex.EncodeToString(raw[:])
	return s, Write(file, []byte(s+"\n"))
}

func read(file string) (string, error) {
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

// Write writes a file that only its owner reads, all of it or nothing.
func Write(file string, data []byte) error {
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
