package remote

import (
	"context"
	"errors"
	"net"
)

var errStub = errors.New("remote: not written yet")

// Pool holds at most one connection per host.
type Pool struct{ o Options }

// NewPool makes a pool; it connects nowhere.
func NewPool(o Options) *Pool { return &Pool{o: o} }

// Close closes all connections; the commands running on them end.
func (p *Pool) Close() {}

// Host returns the host of a target; it connects at first use. The same
// target name gives the same host.
func (p *Pool) Host(t Target) *Host { return &Host{t: t} }

// Host is one machine.
type Host struct{ t Target }

// Name is the host's name in the topology and in messages.
func (h *Host) Name() string { return h.t.Name }

// Target is where the host is.
func (h *Host) Target() Target { return h.t }

// Connect dials and authenticates unless that is done already.
func (h *Host) Connect(ctx context.Context) error { return errStub }

// Run runs one command and waits for it. A non-zero exit status is an
// *ExitError; a connection that broke is an *UnreachableError. When ctx ends
// or the connection is lost, the command's process group is killed there.
func (h *Host) Run(ctx context.Context, c Cmd) (Result, error) { return Result{}, errStub }

// WriteFile puts data at path atomically: a temporary file beside it,
// checksummed on the far side, then renamed.
func (h *Host) WriteFile(ctx context.Context, path string, data []byte, o FileOptions) error {
	return errStub
}

// ReadFile reads a file as OS user as. A missing file is fs.ErrNotExist.
func (h *Host) ReadFile(ctx context.Context, path, as string) ([]byte, error) { return nil, errStub }

// Push copies a local file or folder to path, atomically per file, verified by SHA-256.
func (h *Host) Push(ctx context.Context, local, path string, o FileOptions) error { return errStub }

// Pull copies a file from the host to a local path, the same way.
func (h *Host) Pull(ctx context.Context, path, local, as string) error { return errStub }

// Facts asks the host about itself, once per Host; it fails with a
// *WrongHostError when Target.MachineID is set and differs.
func (h *Host) Facts(ctx context.Context) (Facts, error) { return Facts{}, errStub }

// DialContext opens a connection from the host: network tcp or unix.
func (h *Host) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	return nil, errStub
}
