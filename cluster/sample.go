package cluster

import (
	"fmt"
	"strings"
)

// Sample is the commented topology that `cw cluster init` writes. It parses.
func Sample() string { return sample }

// SampleFor is Sample for a cluster of that name; hosts, if there are any,
// are addresses, the primary's first.
func SampleFor(name string, hosts []string) string {
	text := strings.Replace(sample, "name: dw1 ", "name: "+name+" ", 1)
	head, _, _ := strings.Cut(text, "  - {name: db1")
	if len(hosts) == 0 {
		return text
	}
	for i, address := range hosts {
		role := RoleStandby
		if i == 0 {
			role = "primary"
		}
		head += fmt.Sprintf("  - {name: db%d, address: %q, roles: [%s]}\n", i+1, address, role)
	}
	return head
}

const sample = `# A cluster for cw. Check it with:  cw cluster check -f cluster.yaml
# Create it with:                   cw cluster create -f cluster.yaml
apiVersion: cw/v1
kind: Cluster
name: dw1                        # lower-case letters, digits, - and _

engine:
  kind: postgres                 # one primary and any number of streaming standbys
  version: 15                    # 13 to 18; without it the newest that all hosts have
  install: false                 # true: install the distribution's packages where missing

database:
  name: warehouse                # created, owned by admin
  port: 5432
  admin: dwadmin
  # password_file: ./dw1.pass    # first line is admin's password; without it cw makes one and says where
  encoding: UTF8
  locale: C.UTF-8                # must exist on every host

node_type: high-speed            # low-capacity, high-capacity, low-speed, high-speed:
                                 # low or high CPU and memory, rotating (capacity) or flash (speed) disks
profile: default                 # default, concurrency, loading, or a file of settings

network:
  allow: [10.0.0.0/8]            # who may connect; nobody else can
  public: false                  # true: listen on all addresses of the hosts

tls: {mode: self-signed}         # off, self-signed, or files with cert_file, key_file and ca_file

ssh:                             # what is missing comes from ~/.ssh/config
  user: deploy                   # root, or an ordinary user with sudo
  # port: 22
  # identity_file: ~/.ssh/id_ed25519
  # jump: user@bastion:22
  host_key: accept-new           # strict: refuse hosts that known_hosts does not know
  become: sudo                   # none: the SSH user is os_user and nothing needs root

os_user: postgres                # owns the database; created if missing
protected: false                 # true: refuse to delete this cluster

layout:
  data_dirs: [/var/lib/cw]       # files go to <data_dir>/<cluster>/<node>

hosts:                           # one host is a cluster; each standby adds one
  - {name: db1, address: 10.0.0.10, roles: [primary]}
  - {name: "db[2-3]", address: "10.0.0.[11-12]", roles: [standby]}
`
