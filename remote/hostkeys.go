package remote

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"

	"github.com/skeema/knownhosts"
	"golang.org/x/crypto/ssh"
	xknownhosts "golang.org/x/crypto/ssh/knownhosts"

	"cw/fault"
)

// HostKeyError is a host whose key is not the one on record, or not on record
// at all under the strict policy.
type HostKeyError struct {
	Host        string
	Addr        string // as known_hosts spells it: host or [host]:port
	Fingerprint string // SHA256:… of the key the host showed; "" when none was shown
	KeyType     string
	File        string // where the other key is on record; where it would be, when unknown
	Line        int    // of File, 0 when unknown
	Revoked     bool
	Remedy      string // the exact command
}

func (e *HostKeyError) Error() string {
	switch {
	case e.Revoked:
		return fmt.Sprintf("%s: the host key of %s (%s %s) is marked as revoked at %s:%d", e.Host, e.Addr, e.KeyType, e.Fingerprint, e.File, e.Line)
	case e.Line > 0 && e.Fingerprint == "":
		return fmt.Sprintf("%s: the host key of %s has changed: the host has no key of the type on record at %s:%d", e.Host, e.Addr, e.File, e.Line)
	case e.Line > 0:
		return fmt.Sprintf("%s: the host key of %s has changed: it shows %s %s, on record at %s:%d is another", e.Host, e.Addr, e.KeyType, e.Fingerprint, e.File, e.Line)
	}
	return fmt.Sprintf("%s: the host key of %s (%s %s) is unknown and host_key is strict", e.Host, e.Addr, e.KeyType, e.Fingerprint)
}

// FaultKind makes *HostKeyError a fault.Kinder.
func (e *HostKeyError) FaultKind() fault.Kind { return fault.Auth }

// FaultHint makes *HostKeyError a fault.Hinter.
func (e *HostKeyError) FaultHint() string {
	switch {
	case e.Revoked:
		return "do not connect; ask who revoked the key"
	case e.Line > 0:
		return "if the host was reinstalled on purpose, forget the old key: " + e.Remedy
	}
	return "compare the fingerprint on the host's console, then: " + e.Remedy
}

// hostKeys checks host keys against known_hosts files. It is safe for
// concurrent use, by several processes too.
type hostKeys struct {
	mu     sync.Mutex
	record string   // accept-new adds here; "" is nowhere
	others []string // only read
}

// load reads all files that exist.
func (k *hostKeys) load() (*knownhosts.HostKeyDB, error) {
	var files []string
	for _, f := range append([]string{k.record}, k.others...) {
		if f == "" {
			continue
		}
		if _, err := os.Stat(f); err == nil {
			files = append(files, f)
		} else if !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("read known hosts: %w", err)
		}
	}
	db, err := knownhosts.NewDB(files...)
	if err != nil {
		return nil, fault.New(fault.Auth, "correct or remove that line", "read known hosts: %w", err)
	}
	return db, nil
}

// policy is what ssh.ClientConfig needs for one endpoint. refused, when it is
// not nil after a failed handshake, says more than the handshake's error.
type policy struct {
	keys     *hostKeys
	e        *endpoint
	known    []*xknownhosts.KnownKey
	algos    []string // nil when the host is unknown
	refused  error
	accepted string // fingerprint of a key that was added
}

func (k *hostKeys) policy(e *endpoint) (*policy, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	db, err := k.load()
	if err != nil {
		return nil, err
	}
	p := &policy{keys: k, e: e, algos: db.HostKeyAlgorithms(e.addr())}
	// A key that nobody has tells where the known ones are on record.
	var want *xknownhosts.KeyError
	if errors.As(db.HostKeyCallback()(e.addr(), &net.TCPAddr{IP: net.IPv4zero}, noKey{}), &want) {
		for i := range want.Want {
			p.known = append(p.known, &want.Want[i])
		}
	}
	return p, nil
}

// noKey is a public key that is on nobody's record.
type noKey struct{}

func (noKey) Type() string                            { return "no-key" }
func (noKey) Marshal() []byte                         { return []byte("no key") }
func (noKey) Verify(_ []byte, _ *ssh.Signature) error { return errors.New("no key") }

// check is the ssh.HostKeyCallback.
func (p *policy) check(addr string, remote net.Addr, key ssh.PublicKey) error {
	p.refused = p.keys.check(p, addr, remote, key)
	return p.refused
}

func (k *hostKeys) check(p *policy, addr string, remote net.Addr, key ssh.PublicKey) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	// Read again: another goroutine or process may have added the host
	// since the handshake began.
	db, err := k.load()
	if err != nil {
		return err
	}
	err = db.HostKeyCallback()(addr, remote, key)
	if err == nil {
		return nil
	}
	found := &HostKeyError{
		Host: p.e.name, Addr: knownhosts.Normalize(addr), KeyType: key.Type(),
		Fingerprint: ssh.FingerprintSHA256(key), File: k.record,
	}
	var revoked *xknownhosts.RevokedError
	var mismatch *xknownhosts.KeyError
	switch {
	case errors.As(err, &revoked):
		found.Revoked, found.File, found.Line = true, revoked.Revoked.Filename, revoked.Revoked.Line
		return found
	case !errors.As(err, &mismatch):
		return err // a certificate that does not hold
	case len(mismatch.Want) > 0:
		found.blame(mismatch.Want)
		return found
	case p.e.hostKey == HostKeyStrict || k.record == "":
		found.Remedy = fmt.Sprintf("ssh-keyscan -p %d %s >> %s", p.e.port, quoteWord(p.e.host), quoteWord(k.record))
		return found
	}
	if err := k.add(addr, remote, key); err != nil {
		return fmt.Errorf("record the host key of %s: %w", p.e.name, err)
	}
	p.accepted = found.Fingerprint
	return nil
}

// blame points at the record that the key contradicts: the one of its own
// type, else the first.
func (e *HostKeyError) blame(want []xknownhosts.KnownKey) {
	old := want[0]
	for _, w := range want {
		if w.Key.Type() == e.KeyType {
			old = w
			break
		}
	}
	e.File, e.Line = old.Filename, old.Line
	e.Remedy = fmt.Sprintf("ssh-keygen -R %s -f %s", quoteWord(e.Addr), quoteWord(e.File))
}

// noCommonType is the error for a host that has none of the key types on
// record, which a handshake reports as a failed negotiation.
func (p *policy) noCommonType() error {
	if len(p.known) == 0 {
		return nil
	}
	e := &HostKeyError{Host: p.e.name, Addr: knownhosts.Normalize(p.e.addr())}
	want := make([]xknownhosts.KnownKey, len(p.known))
	for i, w := range p.known {
		want[i] = *w
	}
	e.blame(want)
	return e
}

// add appends a line to the record under a lock that other processes see,
// unless one of them was faster with the same key.
func (k *hostKeys) add(addr string, remote net.Addr, key ssh.PublicKey) error {
	if err := os.MkdirAll(filepath.Dir(k.record), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(k.record, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		return fmt.Errorf("lock %s: %w", k.record, err)
	}
	db, err := k.load()
	if err != nil {
		return err
	}
	if err := db.HostKeyCallback()(addr, remote, key); err == nil || knownhosts.IsHostKeyChanged(err) {
		return err
	}
	line := knownhosts.Line([]string{addr}, key) + "\n"
	if text, err := os.ReadFile(k.record); err == nil && len(text) > 0 && !bytes.HasSuffix(text, []byte("\n")) {
		line = "\n" + line // the last line was written by an editor that ends none
	}
	if strings.Count(strings.TrimSpace(line), " ") != 2 {
		return fmt.Errorf("host name %q has a space", addr)
	}
	if _, err := f.WriteString(line); err != nil {
		return err
	}
	return f.Sync()
}
