package playground

import (
	"fmt"
	"strings"
)

// topology writes the cluster file: the first host is the primary, the others
// follow it.
func (s *State) topology() string {
	var b strings.Builder
	fmt.Fprintf(&b, `# The playground's hosts as a cluster:
#   cw cluster create -f %s
apiVersion: cw/v1
kind: Cluster
name: %s
engine: {kind: postgres}
database: {name: warehouse, port: %d, admin: dwadmin, password_file: %s}
node_type: low-speed
network: {allow: [127.0.0.0/8]}
tls: {mode: self-signed}
ssh: {user: %s, port: %d, identity_file: %s, become: none}
os_user: %s
layout: {data_dirs: [%s]}
hosts:
`, s.Topology(), s.Name, s.DBPort, s.PasswordFile(), s.User, s.SSHPort, s.Key(), s.User, s.file("data"))
	for i, h := range s.Hosts {
		role := "standby"
		if i == 0 {
			role = "primary"
		}
		fmt.Fprintf(&b, "  - {name: %s, address: %s, roles: [%s]}\n", h.Name, h.Address, role)
	}
	return b.String()
}
