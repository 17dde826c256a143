package cluster

const sampleGreenplum = `# A Greenplum cluster for cw. Check it with:  cw cluster check -f cluster.yaml
# Create it with:                             cw cluster create -f cluster.yaml
apiVersion: cw/v1
kind: Cluster
name: dw1                        # lower-case letters, digits, - and _

engine:
  kind: greenplum                # a coordinator, its standby, segments and their mirrors
  version: 6
  home: /usr/local/greenplum-db  # on every host; the folder that holds bin/
  # package: ./greenplum-db-6.tar.gz   # tar.gz, deb or rpm here: pushed to hosts that lack it

database:
  name: warehouse                # created, owned by admin
  port: 5432                     # of coordinator and standby
  admin: dwadmin
  # password_file: ./dw1.pass    # first line is admin's password; without it cw makes one and says where
  encoding: UTF8
  locale: C.UTF-8                # must exist on every host

node_type: high-speed            # low-capacity, high-capacity, low-speed, high-speed:
                                 # low or high CPU and memory, rotating (capacity) or flash (speed) disks
profile: default                 # default, concurrency, loading, or a file of settings

network:
  allow: [10.0.0.0/8]            # who may connect to the coordinator; nobody else can
  public: false                  # true: listen on all addresses of the hosts

ssh:                             # what is missing comes from ~/.ssh/config
  user: deploy                   # root, or an ordinary user with sudo
  # port: 22
  # identity_file: ~/.ssh/id_ed25519
  # jump: user@bastion:22
  host_key: accept-new           # strict: refuse hosts that known_hosts does not know
  become: sudo                   # none: the SSH user is os_user and nothing needs root

os_user: gpadmin                 # owns the database; created if missing
protected: false                 # true: refuse to delete this cluster

layout:
  segments_per_host: auto        # primaries on each segment host: a number, or auto: what its CPUs and memory carry
  # measured: ./size.json        # of such machines, by cw perf size --save: auto gives no more than it says
  mirrors: group                 # none, group (all of a host's on the next), spread (over the others), block N
  data_dirs: [/data1, /data2]    # segments take turns; files go to <data_dir>/<cluster>/<node>
  port_base: 6000                # of primaries: 6000, 6001, … on each host
  mirror_port_base: 7000         # of mirrors; keep both outside net.ipv4.ip_local_port_range

hosts:                           # address: for SSH; interconnect: [..] where segments reach each other, if elsewhere
                                 # zone: a, b, …: mirrors avoid the zone of their primary
`
