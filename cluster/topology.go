// Package cluster holds the words of a cluster: the topology file a person
// writes, the layout of nodes it expands to, the settings computed for a
// host, and what a status report says. It is a leaf: it reads the topology
// and profile files and does no other I/O; the packages below it act.
package cluster

// The values of Topology.APIVersion and Topology.Kind.
const (
	APIVersion = "cw/v1"
	Kind       = "Cluster"
)

// The engine kinds.
const (
	Postgres   = "postgres"
	Greenplum  = "greenplum"
	Cloudberry = "cloudberry"
)

// Topology is a cluster.yaml with host ranges expanded, defaults filled in
// and paths of this machine made absolute. It holds no secrets, only the
// names of files that do, and can therefore be stored and shown.
type Topology struct {
	APIVersion string   `yaml:"apiVersion" json:"apiVersion"`
	Kind       string   `yaml:"kind" json:"kind"`
	Name       string   `yaml:"name" json:"name"`
	Engine     Engine   `yaml:"engine" json:"engine"`
	Database   Database `yaml:"database" json:"database"`
	NodeType   string   `yaml:"node_type" json:"node_type"`
	Profile    string   `yaml:"profile" json:"profile"`
	Network    Network  `yaml:"network" json:"network"`
	TLS        TLS      `yaml:"tls" json:"tls"`
	SSH        SSH      `yaml:"ssh" json:"ssh"`
	OSUser     string   `yaml:"os_user" json:"os_user"`
	Protected  bool     `yaml:"protected" json:"protected"`
	Layout     Rule     `yaml:"layout" json:"layout"`
	Hosts      []Host   `yaml:"hosts" json:"hosts"`

	// Overrides are the settings of a profile that was read from a file; they
	// stand above the computed ones. They are kept with the topology so that a
	// resume elsewhere does not need the file.
	Overrides map[string]string `yaml:"-" json:"overrides,omitempty"`
	// Measured is the content of the file that Layout.Measured names, kept
	// for the same reason.
	Measured *Measured `yaml:"-" json:"measured,omitempty"`
}

// Engine says what database software a cluster runs.
type Engine struct {
	Kind    string `yaml:"kind" json:"kind"`
	Version string `yaml:"version" json:"version,omitempty"` // "15"; "" is the newest that all hosts have
	Home    string `yaml:"home" json:"home,omitempty"`       // folder with bin/ on the hosts
	Package string `yaml:"package" json:"package,omitempty"` // local package file, pushed to the hosts
	Install bool   `yaml:"install" json:"install,omitempty"` // install the distribution's packages
	Via     string `yaml:"via" json:"via,omitempty"`         // native or utilities
}

// Database is the initial database and its owner.
type Database struct {
	Name         string `yaml:"name" json:"name"`
	Port         int    `yaml:"port" json:"port"`
	Admin        string `yaml:"admin" json:"admin"`
	PasswordFile string `yaml:"password_file" json:"password_file,omitempty"` // first line is Admin's password; "" has one generated
	Encoding     string `yaml:"encoding" json:"encoding"`
	Locale       string `yaml:"locale" json:"locale"`
}

// Network says who may connect.
type Network struct {
	Allow  []string `yaml:"allow" json:"allow,omitempty"` // CIDR ranges, the only ones in pg_hba.conf
	Public bool     `yaml:"public" json:"public"`         // listen on all addresses, and let Allow hold 0.0.0.0/0
}

// The TLS modes.
const (
	TLSOff        = "off"
	TLSSelfSigned = "self-signed"
	TLSFiles      = "files"
)

// TLS says how connections are encrypted. In the file names {host} stands for
// the host's name.
type TLS struct {
	Mode     string `yaml:"mode" json:"mode"`
	CertFile string `yaml:"cert_file" json:"cert_file,omitempty"`
	KeyFile  string `yaml:"key_file" json:"key_file,omitempty"`
	CAFile   string `yaml:"ca_file" json:"ca_file,omitempty"`
}

// SSH says how to get into the hosts.
type SSH struct {
	User               string `yaml:"user" json:"user,omitempty"`
	Port               int    `yaml:"port" json:"port,omitempty"`
	IdentityFile       string `yaml:"identity_file" json:"identity_file,omitempty"`
	PasswordFile       string `yaml:"password_file" json:"password_file,omitempty"`
	HostKey            string `yaml:"host_key" json:"host_key,omitempty"`
	Jump               string `yaml:"jump" json:"jump,omitempty"`
	Become             string `yaml:"become" json:"become,omitempty"` // sudo or none
	BecomePasswordFile string `yaml:"become_password_file" json:"become_password_file,omitempty"`
}

// Rule is the layout rule that Expand turns into nodes. Only DataDirs matters
// to the postgres engine.
type Rule struct {
	SegmentsPerHost string   `yaml:"segments_per_host" json:"segments_per_host,omitempty"` // auto or a number
	Measured        string   `yaml:"measured" json:"measured,omitempty"`                   // file of cw perf size that bounds auto
	Mirrors         string   `yaml:"mirrors" json:"mirrors,omitempty"`                     // none, group, spread, block N
	DataDirs        []string `yaml:"data_dirs" json:"data_dirs"`
	PortBase        int      `yaml:"port_base" json:"port_base,omitempty"`
	MirrorPortBase  int      `yaml:"mirror_port_base" json:"mirror_port_base,omitempty"`
}

// The roles of a host, as topologies spell them after parsing: primary and
// replica are accepted as other words for coordinator and standby.
const (
	RoleCoordinator = "coordinator"
	RoleStandby     = "standby"
	RoleSegment     = "segment"
)

// Host is one machine of the cluster.
type Host struct {
	Name         string   `yaml:"name" json:"name"`
	Address      string   `yaml:"address" json:"address"`                     // where SSH goes, and the database where no interconnect is given
	Interconnect []string `yaml:"interconnect" json:"interconnect,omitempty"` // where nodes reach each other
	Roles        []string `yaml:"roles" json:"roles"`
	Zone         string   `yaml:"zone" json:"zone,omitempty"`
	SSHPort      int      `yaml:"ssh_port" json:"ssh_port,omitempty"` // when it differs from ssh.port
}

// Has says whether the host carries a role.
func (h Host) Has(role string) bool {
	for _, r := range h.Roles {
		if r == role {
			return true
		}
	}
	return false
}

// Peer is the address under which other nodes reach this host.
func (h Host) Peer() string {
	if len(h.Interconnect) > 0 {
		return h.Interconnect[0]
	}
	return h.Address
}

// Host returns the host of a name.
func (t *Topology) Host(name string) (Host, bool) {
	for _, h := range t.Hosts {
		if h.Name == name {
			return h, true
		}
	}
	return Host{}, false
}
