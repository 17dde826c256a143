package remote

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"

	"cw/fault"
)

// The statuses of the scripts below; sh and the tools end with 1 or 2.
const (
	statusSum    = 90 // the checksum differs
	statusFolder = 92 // there is a folder where a file should be
)

// receiveScript writes standard input to a temporary file beside the target,
// compares its checksum and renames it. $1 is the target, $2 the checksum,
// $3 the mode, $4 the temporary file.
const receiveScript = `umask 077
[ -d "$1" ] && exit 92
trap 'rm -f -- "$4"' EXIT
trap 'exit 143' TERM HUP INT
cat >"$4" || exit
` + placeScript

// placeScript is the second half: check, then rename.
const placeScript = `s=$(sha256sum <"$4") || exit
[ "${s%% *}" = "$2" ] || exit 90
chmod "$3" -- "$4" && { sync -d -- "$4" 2>/dev/null || :; } && mv -fT -- "$4" "$1"`

// adoptScript is placeScript for a file that SFTP has brought, in a folder of
// its own.
const adoptScript = `trap 'rm -rf -- "${4%/*}"' EXIT
trap 'exit 143' TERM HUP INT
[ -d "$1" ] && exit 92
` + placeScript

// WriteFile puts data at path atomically: a temporary file beside it,
// checksummed on the far side, then renamed.
func (h *Host) WriteFile(ctx context.Context, path string, data []byte, o FileOptions) error {
	sum := sha256.Sum256(data)
	return h.receive(ctx, path, bytes.NewReader(data), hex.EncodeToString(sum[:]), o)
}

// receive streams r to a file over an exec session.
func (h *Host) receive(ctx context.Context, target string, r io.Reader, sum string, o FileOptions) error {
	_, err := h.Run(ctx, Cmd{
		Args:  []string{"/bin/sh", "-c", receiveScript, "cw-receive", target, sum, modeWord(o.Mode), temporary(target)},
		Stdin: r, As: o.As,
	})
	return h.fileError("write", target, err)
}

// fileError gives the scripts' statuses their words.
func (h *Host) fileError(verb, target string, err error) error {
	var exit *ExitError
	if err == nil || !errors.As(err, &exit) {
		return err
	}
	switch exit.Code {
	case statusSum:
		return fmt.Errorf("%s: %s %s: what arrived has another SHA-256 than what was sent", h.t.Name, verb, target)
	case statusFolder:
		return fmt.Errorf("%s: %s %s: it is a folder", h.t.Name, verb, target)
	}
	// sh and the tools speak LC_ALL=C; the second text is dash's.
	if strings.Contains(exit.Stderr, "No such file") || strings.Contains(exit.Stderr, "Directory nonexistent") {
		return fmt.Errorf("%s: %s %s: %w", h.t.Name, verb, target, fs.ErrNotExist)
	}
	if strings.Contains(exit.Stderr, "No space left") {
		return fault.New(fault.Failed, fmt.Sprintf("make room there: df -h %s", quoteWord(path.Dir(target))), "%s: %s %s: no space left on the device", h.t.Name, verb, target)
	}
	return fmt.Errorf("%s: %s %s: %s", h.t.Name, verb, target, lastLines(exit.Stderr, 2))
}

func modeWord(mode os.FileMode) string {
	if mode == 0 {
		mode = 0o644
	}
	return fmt.Sprintf("%04o", mode.Perm())
}

// temporary is the name beside target under which it arrives.
func temporary(target string) string {
	dir, base := path.Split(target)
	return dir + "." + base + ".cw-" + newNonce()[:12]
}

// ReadFile reads a file as OS user as. A missing file is fs.ErrNotExist.
func (h *Host) ReadFile(ctx context.Context, path, as string) ([]byte, error) {
	r, err := h.Run(ctx, Cmd{
		Args: []string{"/bin/sh", "-c", `[ -d "$1" ] && exit 92; exec cat -- "$1"`, "cw-read", path},
		As:   as,
	})
	if err != nil {
		return nil, h.fileError("read", path, err)
	}
	return r.Stdout, nil
}

// Push copies a local file or folder to path, atomically per file, verified
// by SHA-256. A folder is merged into what is there: files that are only
// there stay. Symbolic links are followed, other special files refused. With
// o.Mode 0 the modes of the local files are kept.
func (h *Host) Push(ctx context.Context, local, target string, o FileOptions) error {
	info, err := os.Stat(local)
	if err != nil {
		return fmt.Errorf("%s: push: %w", h.t.Name, err)
	}
	if !info.IsDir() {
		return h.pushFile(ctx, local, target, info, o)
	}
	return h.pushFolder(ctx, local, target, o)
}

func (h *Host) pushFolder(ctx context.Context, local, target string, o FileOptions) error {
	var folders, files []string
	err := filepath.WalkDir(local, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := os.Stat(p)
		switch {
		case err != nil:
			return err
		case info.IsDir() && d.IsDir():
			folders = append(folders, p)
		case info.Mode().IsRegular():
			files = append(files, p)
		default:
			return fmt.Errorf("%s is not a file or a folder", p)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("%s: push %s: %w", h.t.Name, local, err)
	}
	there := func(p string) string {
		rel, _ := filepath.Rel(local, p) // below local by construction
		return path.Join(target, filepath.ToSlash(rel))
	}
	// One command makes all folders, unless there are very many.
	for len(folders) > 0 {
		n := min(len(folders), 200)
		args := []string{"mkdir", "-p", "--"}
		for _, f := range folders[:n] {
			args = append(args, there(f))
		}
		folders = folders[n:]
		if _, err := h.Run(ctx, Cmd{Args: args, As: o.As}); err != nil {
			return h.fileError("make the folders of", target, err)
		}
	}
	for _, f := range files {
		info, err := os.Stat(f)
		if err != nil {
			return fmt.Errorf("%s: push: %w", h.t.Name, err)
		}
		if err := h.pushFile(ctx, f, there(f), info, o); err != nil {
			return err
		}
	}
	return nil
}

func (h *Host) pushFile(ctx context.Context, local, target string, info fs.FileInfo, o FileOptions) error {
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s: push %s: it is not a regular file", h.t.Name, local)
	}
	if o.Mode == 0 {
		o.Mode = info.Mode().Perm()
	}
	f, err := os.Open(local)
	if err != nil {
		return fmt.Errorf("%s: push: %w", h.t.Name, err)
	}
	defer func() { _ = f.Close() }()
	hash := sha256.New()
	if _, err := io.Copy(hash, f); err != nil {
		return fmt.Errorf("%s: push %s: %w", h.t.Name, local, err)
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("%s: push %s: %w", h.t.Name, local, err)
	}
	sum := hex.EncodeToString(hash.Sum(nil))
	if done, err := h.pushSFTP(ctx, f, target, sum, info.Size(), o); done {
		return err
	}
	return h.receive(ctx, target, f, sum, o)
}

// sftpWorth is the size from which the extra round trips of SFTP pay.
const sftpWorth = 256 << 10

// pushSFTP tries the SFTP way; done is false when it does not apply.
func (h *Host) pushSFTP(ctx context.Context, f *os.File, target, sum string, size int64, o FileOptions) (done bool, err error) {
	l, err := h.link()
	if err != nil {
		return true, err
	}
	if how, err := h.become(l, o.As); err != nil || how != becomeNobody || size < sftpWorth {
		return err != nil, err
	}
	c, client, err := l.sftp(ctx)
	var refused *ssh.OpenChannelError
	switch {
	case errors.Is(err, errNoSFTP) || errors.As(err, &refused):
		return false, nil // exec does it, and reports what is really wrong
	case err != nil && ctx.Err() == nil && c != nil:
		return true, h.lost(l, err, false)
	case err != nil:
		return true, err
	}
	// The file arrives in a folder of its own beside the target. Removing the
	// folder also ends what a server whose connection broke is still to do.
	dir := temporary(target)
	tmp := path.Join(dir, "file")
	if _, err := h.Run(ctx, Cmd{Args: []string{"mkdir", "-m", "700", "--", dir}}); err != nil {
		h.removeAfter(ctx, err, dir)
		return true, h.fileError("write", target, err)
	}
	defer context.AfterFunc(ctx, func() { _ = client.Close() })()
	if err := h.upload(client.OpenFile, tmp, f, size); err != nil {
		h.remove(ctx, dir)
		switch {
		case ctx.Err() != nil:
			return true, fmt.Errorf("%s: push %s: %w", h.t.Name, target, context.Cause(ctx))
		case l.live() != c:
			return true, h.lost(l, err, true)
		}
		return true, fmt.Errorf("%s: push %s: %w", h.t.Name, target, err)
	}
	_, err = h.Run(ctx, Cmd{Args: []string{"/bin/sh", "-c", adoptScript, "cw-adopt", target, sum, modeWord(o.Mode), tmp}})
	h.removeAfter(ctx, err, dir)
	return true, h.fileError("write", target, err)
}

// sftp opens an SFTP session, dialling anew, once, when the connection turns
// out to be lost: nothing has been written yet then. The conn is nil when none
// could be had.
func (l *link) sftp(ctx context.Context) (*conn, *sftp.Client, error) {
	for try := 0; ; try++ {
		c, err := l.get(ctx)
		if err != nil {
			return nil, nil, err
		}
		client, err := c.files(ctx)
		var refused *ssh.OpenChannelError
		if err == nil || errors.Is(err, errNoSFTP) || errors.As(err, &refused) || ctx.Err() != nil || try > 0 {
			return c, client, err
		}
		_ = c.client.Close()
		<-c.dead
	}
}

// removeAfter removes a temporary folder when a command ended without its
// status, so that nobody knows whether it made or removed it.
func (h *Host) removeAfter(ctx context.Context, err error, dir string) {
	var exit *ExitError
	if ctx.Err() != nil || err != nil && !errors.As(err, &exit) {
		h.remove(ctx, dir)
	}
}

// removeScript removes a folder for three seconds: a server whose connection
// broke may still be about to start the command that makes it.
const removeScript = `for i in 1 2 3 4 5 6; do rm -rf -- "$1" || exit; sleep 0.5; done; rm -rf -- "$1"`

// remove removes a temporary folder after a failure, on a new connection when
// it must be, whatever became of the context.
func (h *Host) remove(ctx context.Context, dir string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	var exit *ExitError
	var err error
	// The connection that broke may look alive for a moment more, and take
	// the first try with it.
	for range 3 {
		if _, err = h.Run(ctx, Cmd{Args: []string{"/bin/sh", "-c", removeScript, "cw-remove", dir}}); err == nil {
			return
		}
		if errors.As(err, &exit) || ctx.Err() != nil {
			break
		}
	}
	h.pool.log.Warn("temporary folder left behind", "host", h.t.Name, "folder", dir, "error", err)
}
