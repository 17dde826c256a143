package cluster

import "cw/schema"

// Keys is the table of a topology file's keys. Parser, `cw explain` and the
// JSON Schema are all made from it.
func Keys() schema.Key {
	str := func(name, doc string) schema.Key { return schema.Key{Name: name, Type: schema.String, Doc: doc} }
	list := func(name, doc string) schema.Key {
		return schema.Key{Name: name, Type: schema.List, Doc: doc, Elem: &schema.Key{Type: schema.String}}
	}
	return schema.Key{Type: schema.Map, Keys: []schema.Key{
		{Name: "apiVersion", Type: schema.Enum, Enum: []string{APIVersion}, Required: true, Example: APIVersion, Doc: "Version of this file format."},
		{Name: "kind", Type: schema.Enum, Enum: []string{Kind}, Required: true, Example: Kind, Doc: "What the file describes."},
		{Name: "name", Type: schema.String, Required: true, Example: "dw1", Doc: "Name of the cluster: lower-case letters, digits, - and _."},
		{Name: "engine", Type: schema.Map, Required: true, Example: "{kind: postgres, version: 15}", Doc: "The database software.", Keys: []schema.Key{
			{Name: "kind", Type: schema.Enum, Enum: []string{Postgres, Greenplum, Cloudberry}, Required: true, Example: Postgres, Doc: "Which engine."},
			str("version", "Major version; without it the newest that every host has."),
			str("home", "Folder on the hosts that holds bin/, when the engine is not where its packages put it."),
			str("package", "Local .tar.gz, .deb or .rpm that is pushed to the hosts and installed (greenplum, cloudberry)."),
			{Name: "install", Type: schema.Bool, Default: "false", Doc: "Install the distribution's packages where they are missing; needs root or sudo."},
			{Name: "via", Type: schema.Enum, Enum: []string{"native", "utilities"}, Default: "native", Doc: "Drive the engine itself, or its own utilities (greenplum, cloudberry)."},
		}},
		{Name: "database", Type: schema.Map, Doc: "The initial database.", Keys: []schema.Key{
			{Name: "name", Type: schema.String, Default: "warehouse", Doc: "Its name."},
			{Name: "port", Type: schema.Int, Default: "5432", Doc: "TCP port of coordinator and standbys."},
			{Name: "admin", Type: schema.String, Default: "dwadmin", Doc: "Role that owns it."},
			str("password_file", "File whose first line is the admin's password; without it cw makes one and says where."),
			{Name: "encoding", Type: schema.String, Default: "UTF8", Doc: "Character set."},
			{Name: "locale", Type: schema.String, Default: "C.UTF-8", Doc: "Locale; must exist on every host."},
		}},
		{Name: "node_type", Type: schema.Enum, Enum: []string{LowCapacity, HighCapacity, LowSpeed, HighSpeed}, Default: HighSpeed, Doc: "Low or high CPU and memory, capacity (rotating) or speed (flash) disks; settings are computed from it."},
		{Name: "profile", Type: schema.String, Default: "default", Doc: "Configuration group: default, concurrency, loading, or a file of settings."},
		{Name: "network", Type: schema.Map, Doc: "Who may connect.", Keys: []schema.Key{
			list("allow", "CIDR ranges that may connect; nobody else can."),
			{Name: "public", Type: schema.Bool, Default: "false", Doc: "Listen on all addresses of the hosts instead of the ones named here."},
		}},
		{Name: "tls", Type: schema.Map, Doc: "Encryption of database connections.", Keys: []schema.Key{
			{Name: "mode", Type: schema.Enum, Enum: []string{TLSOff, TLSSelfSigned, TLSFiles}, Default: TLSSelfSigned, Doc: "off, certificates signed by a CA that cw makes, or your own files; greenplum: off, which is its default."},
			str("cert_file", "Certificate for mode files; {host} stands for the host's name."),
			str("key_file", "Private key for mode files."),
			str("ca_file", "CA certificate for mode files."),
		}},
		{Name: "ssh", Type: schema.Map, Doc: "How to get into the hosts; what is missing comes from ~/.ssh/config.", Keys: []schema.Key{
			str("user", "User to log in as."),
			{Name: "port", Type: schema.Int, Doc: "TCP port of sshd."},
			str("identity_file", "Private key."),
			str("password_file", "File whose first line is the SSH password."),
			{Name: "host_key", Type: schema.Enum, Enum: []string{"accept-new", "strict"}, Default: "accept-new", Doc: "What to do about unknown host keys; changed ones are always refused."},
			str("jump", "Jump hosts, user@host:port, comma separated."),
			{Name: "become", Type: schema.Enum, Enum: []string{"sudo", "none"}, Default: "sudo", Doc: "How to act as os_user and root when the SSH user is neither."},
			str("become_password_file", "File whose first line is the sudo password; without it sudo must not ask."),
		}},
		{Name: "os_user", Type: schema.String, Doc: "User on the hosts that owns the database; created if missing. Default: postgres, or gpadmin for greenplum."},
		{Name: "protected", Type: schema.Bool, Default: "false", Doc: "Refuse to delete the cluster until this is taken out."},
		{Name: "layout", Type: schema.Map, Doc: "Where nodes go.", Keys: []schema.Key{
			{Name: "segments_per_host", Type: schema.String, Default: "auto", Doc: "Primaries per segment host: auto or a number (greenplum, cloudberry)."},
			str("measured", "File that cw perf size --save wrote for such machines: auto gives no more primaries than were measured to fit (greenplum, cloudberry)."),
			{Name: "mirrors", Type: schema.String, Default: "none", Doc: "none, group, spread or block N (greenplum, cloudberry)."},
			list("data_dirs", "Folders for data on every host; postgres uses the first."),
			{Name: "port_base", Type: schema.Int, Default: "6000", Doc: "First port of primaries (greenplum, cloudberry)."},
			{Name: "mirror_port_base", Type: schema.Int, Default: "7000", Doc: "First port of mirrors (greenplum, cloudberry)."},
		}},
		{Name: "hosts", Type: schema.List, Required: true, Example: "[{name: db1, address: 10.0.0.10, roles: [coordinator]}]", Doc: "The machines; sdw[01-16] in name, address and interconnect stands for sixteen.", Elem: &schema.Key{Type: schema.Map, Keys: []schema.Key{
			{Name: "name", Type: schema.String, Required: true, Example: "db1", Doc: "What the host is called in cw."},
			{Name: "address", Type: schema.String, Doc: "Address for SSH, and for the database where no interconnect is given; default is the name."},
			list("interconnect", "Addresses under which nodes reach each other."),
			{Name: "roles", Type: schema.List, Required: true, Example: "[coordinator]", Doc: "coordinator (or primary), standby (or replica), segment.", Elem: &schema.Key{Type: schema.Enum, Enum: []string{RoleCoordinator, "primary", RoleStandby, "replica", RoleSegment}}},
			str("zone", "Failure zone; mirrors avoid their primary's."),
			{Name: "ssh_port", Type: schema.Int, Doc: "TCP port of sshd when it differs from ssh.port."},
		}}},
	}}
}
