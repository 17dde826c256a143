package cluster

import (
	"fmt"
	"strings"
)

// SampleOptions say what a sample topology describes; the zero value is the
// one for PostgreSQL with examples of hosts.
type SampleOptions struct {
	Kind     string   // of engine; "" is postgres
	Name     string   // of the cluster; "" is dw1
	Hosts    []string // addresses, the primary's or coordinator's first
	Standby  bool     // of greenplum: a standby coordinator, on the second host
	Segments int      // of greenplum: primaries per segment host; 0 is auto
}

// Sample is the commented topology that `cw cluster init` writes. It parses.
func Sample() string { return SampleFor(SampleOptions{}) }

// SampleFor is Sample for a cluster of one's own.
func SampleFor(o SampleOptions) string {
	text, hosts := sample, o.postgresHosts()
	if o.Kind == Greenplum {
		text, hosts = sampleGreenplum, o.greenplumHosts()
	}
	if o.Name != "" {
		text = strings.Replace(text, "name: dw1 ", "name: "+o.Name+" ", 1)
	}
	if o.Segments > 0 {
		text = strings.Replace(text, "segments_per_host: auto ", fmt.Sprintf("segments_per_host: %d    ", o.Segments), 1)
	}
	if len(o.Hosts) > 0 && o.SegmentHosts() < 2 { // a mirror needs another host than its primary's
		text = strings.Replace(text, "mirrors: group ", "mirrors: none  ", 1)
	}
	return text + hosts
}

func (o SampleOptions) postgresHosts() string {
	if len(o.Hosts) == 0 {
		return `  - {name: db1, address: 10.0.0.10, roles: [primary]}
  - {name: "db[2-3]", address: "10.0.0.[11-12]", roles: [standby]}
`
	}
	text := ""
	for i, address := range o.Hosts {
		role := RoleStandby
		if i == 0 {
			role = "primary"
		}
		text += sampleHost("db", i+1, address, role)
	}
	return text
}

// greenplumHosts gives the first host the coordinator, the second the standby
// if there is to be one, and the others segments; the last host always has
// some. Without examples of addresses there are four segment hosts.
func (o SampleOptions) greenplumHosts() string {
	if len(o.Hosts) == 0 {
		text := sampleHost("cdw", 0, "10.0.0.10", RoleCoordinator)
		if o.Standby {
			text += sampleHost("scdw", 0, "10.0.0.11", RoleStandby)
		}
		return text + `  - {name: "sdw[1-4]", address: "10.0.0.[21-24]", roles: [segment]}
`
	}
	text, segments := "", o.SegmentHosts()
	for i, address := range o.Hosts {
		var roles []string
		name, number := "sdw", i-(len(o.Hosts)-segments)+1
		if i == 0 {
			roles, name, number = append(roles, RoleCoordinator), "cdw", 0
		} else if i == 1 && o.Standby {
			roles, name, number = append(roles, RoleStandby), "scdw", 0
		}
		if i >= len(o.Hosts)-segments {
			roles = append(roles, RoleSegment)
		}
		text += sampleHost(name, number, address, strings.Join(roles, ", "))
	}
	return text
}

// SegmentHosts is how many of the hosts carry segments: those that are left
// by coordinator and standby, or else all.
func (o SampleOptions) SegmentHosts() int {
	left := len(o.Hosts) - 1
	if o.Standby {
		left--
	}
	if left < 1 {
		return len(o.Hosts)
	}
	return left
}

func sampleHost(name string, number int, address, roles string) string {
	if number > 0 {
		name += fmt.Sprint(number)
	}
	return fmt.Sprintf("  - {name: %s, address: %q, roles: [%s]}\n", name, address, roles)
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
`
