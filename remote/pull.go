package remote

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/pkg/sftp"
)

// upload writes f to a new file that only its owner may read.
func (h *Host) upload(open func(string, int) (*sftp.File, error), tmp string, f *os.File, size int64) error {
	out, err := open(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL)
	if err != nil {
		return err
	}
	err = out.Chmod(0o600)
	if err == nil {
		_, err = out.ReadFromWithConcurrency(io.LimitReader(f, size), 64)
	}
	return errors.Join(err, out.Close())
}

// pullScript prints the checksum of a file and then the file. The file is
// opened once, so that a rename in between cannot mix two files.
const pullScript = `[ -d "$1" ] && exit 92
exec 3<"$1" || exit
sha256sum </dev/fd/3 | cut -c1-64
exec cat </dev/fd/3`

// Pull copies a file from the host to a local path, atomically and verified
// by SHA-256; the local file is
// readable by its owner only.
func (h *Host) Pull(ctx context.Context, path, local, as string) error {
	dir := filepath.Dir(local)
	f, err := os.CreateTemp(dir, "."+filepath.Base(local)+".cw-*")
	if err != nil {
		return fmt.Errorf("%s: pull %s: %w", h.t.Name, path, err)
	}
	defer func() { _ = os.Remove(f.Name()); _ = f.Close() }()
	w := &summedWriter{w: f, hash: sha256.New()}
	_, err = h.Run(ctx, Cmd{Args: []string{"/bin/sh", "-c", pullScript, "cw-pull", path}, As: as, Stdout: w})
	if err != nil {
		return h.fileError("pull", path, err)
	}
	if got := hex.EncodeToString(w.hash.Sum(nil)); got != strings.TrimSpace(string(w.head)) {
		return fmt.Errorf("%s: pull %s: what arrived has another SHA-256 than the file there (was it being written?)", h.t.Name, path)
	}
	if err := f.Sync(); err != nil {
		return fmt.Errorf("%s: pull %s: %w", h.t.Name, path, err)
	}
	if err := os.Rename(f.Name(), local); err != nil {
		return fmt.Errorf("%s: pull %s: %w", h.t.Name, path, err)
	}
	return nil
}

// sumLine is the length of pullScript's first line.
const sumLine = 65

// summedWriter splits the checksum line off and hashes the rest.
type summedWriter struct {
	head []byte
	w    io.Writer
	hash hash.Hash
}

func (s *summedWriter) Write(p []byte) (int, error) {
	n := min(len(p), sumLine-len(s.head))
	s.head = append(s.head, p[:n]...)
	s.hash.Write(p[n:])
	m, err := s.w.Write(p[n:])
	return n + m, err
}
