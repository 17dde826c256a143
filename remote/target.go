// Package remote reaches hosts over SSH: one pooled connection per host, the
// argv model with a single quoting function, sudo, atomic file transfer and
// facts. Nothing in it knows what a cluster or a load is.
package remote

import (
	"context"
	"io"
	"log/slog"
	"os"
	"time"
)

// The host key policies of a Target.
const (
	HostKeyAcceptNew = "accept-new" // unknown keys are added to Options.KnownHosts, changed keys are refused
	HostKeyStrict    = "strict"     // unknown keys are refused too
)

// Target says where a host is and how to get in. Empty fields fall back to
// ~/.ssh/config and then to OpenSSH's defaults.
type Target struct {
	Name               string // what messages call the host: its name in the topology
	Address            string // host name, alias of ~/.ssh/config, or IP address
	Port               int
	User               string
	IdentityFile       string
	PasswordFile       string // first line is the SSH password
	Jump               string // user@host:port[,…]; "none" switches ssh_config's ProxyJump off
	HostKey            string // HostKeyAcceptNew (default) or HostKeyStrict
	Become             string // "" or "sudo": how to run as another OS user when User is not root
	BecomePasswordFile string // first line is sudo's password; "" is sudo -n, or Options.Prompt when sudo asks
	MachineID          string // the machine-id seen at first contact; "" when there was none yet
}

// Options are the settings of a Pool that are the same for all hosts.
type Options struct {
	KnownHosts     string        // file that is read first and that accept-new adds to
	UserKnownHosts []string      // further known_hosts files, only read
	ConfigFile     string        // ssh_config file; "" reads none
	ConnectTimeout time.Duration // TCP, handshake and log-in of one attempt; 0 is 10 s
	KeepAlive      time.Duration // between signs of life, three missed end the connection; 0 is 15 s
	// Prompt asks the person at the terminal for a secret; nil never asks.
	Prompt func(ctx context.Context, question string) (string, error)
	Log    *slog.Logger
}

// Cmd is one command on a host. Args is an argv: no shell of the far side
// ever interprets it.
type Cmd struct {
	Args    []string
	Stdin   io.Reader     // read ahead up to 1 MiB; a read under way when the command ends is left behind
	Env     []string      // KEY=value; never a secret
	Dir     string        // working directory; "" is the user's home
	As      string        // OS user to run as; "" or the SSH user's name is the SSH user
	Timeout time.Duration // 0 is none beyond the context
	Stdout  io.Writer     // when set, standard output streams there instead of Result.Stdout
	Stderr  io.Writer     // the same for standard error
	// Tolerate lists non-zero exit statuses that are results, not errors.
	Tolerate []int
}

// Result is what a finished command left.
type Result struct {
	Stdout []byte
	Stderr []byte
	Code   int
}

// FileOptions are the owner and mode of a file written to a host.
type FileOptions struct {
	As   string      // OS user that owns the file and whose rights write it
	Mode os.FileMode // permission bits; 0 is 0644
}

// Facts are what a host says of itself.
type Facts struct {
	Hostname  string        `json:"hostname"`
	MachineID string        `json:"machine_id"`
	OS        string        `json:"os"`         // ID of os-release: debian, rocky, …
	OSVersion string        `json:"os_version"` // VERSION_ID
	OSName    string        `json:"os_name"`    // PRETTY_NAME
	Kernel    string        `json:"kernel"`
	Arch      string        `json:"arch"` // uname -m
	CPUs      int           `json:"cpus"`
	MemTotal  int64         `json:"mem_total"`     // bytes
	MemFree   int64         `json:"mem_available"` // bytes
	SwapTotal int64         `json:"swap_total"`    // bytes
	Disks     []Disk        `json:"disks"`
	NICs      []NIC         `json:"nics"`
	Clock     time.Time     `json:"clock"`
	ClockSkew time.Duration `json:"clock_skew"` // far side minus here, half the round trip taken off
	User      string        `json:"user"`       // who the SSH user is there
	UID       int           `json:"uid"`
	Locale    string        `json:"locale"`
}

// Disk is one mounted file system.
type Disk struct {
	Device string `json:"device"`
	Mount  string `json:"mount"`
	FSType string `json:"fs_type"`
	Size   int64  `json:"size"` // bytes
	Free   int64  `json:"free"` // bytes available to an ordinary user
}

// NIC is one network interface with its addresses.
type NIC struct {
	Name  string   `json:"name"`
	MTU   int      `json:"mtu"`
	Addrs []string `json:"addrs"`
}
