package hostprep

// answers are what hosts of several distributions print for systemScript.
var answers = map[string]string{
	"debian 12, virtio, ext4": `@thp
/sys/kernel/mm/transparent_hugepage/enabled:always [madvise] never
/sys/kernel/mm/transparent_hugepage/defrag:always defer defer+madvise [madvise] never
@block
/sys/dev/block/254:0/uevent:MAJOR=254
/sys/dev/block/254:0/uevent:MINOR=0
/sys/dev/block/254:0/uevent:DEVNAME=vda
/sys/dev/block/254:0/uevent:DEVTYPE=disk
/sys/dev/block/254:1/uevent:DEVNAME=vda1
/sys/dev/block/254:0/queue/scheduler:[none] mq-deadline
/sys/dev/block/254:0/queue/rotational:1
/sys/dev/block/254:0/queue/read_ahead_kb:128
/sys/dev/block/254:1/../queue/scheduler:[none] mq-deadline
/sys/dev/block/254:1/../queue/rotational:1
/sys/dev/block/254:1/../queue/read_ahead_kb:128
@slaves
@mounts
22 27 0:20 / /proc rw,nosuid,nodev,noexec,relatime shared:12 - proc proc rw
27 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw,errors=remount-ro
@pages
16468000
4096
@libc
glibc 2.36
@links
/sys/class/net/lo/speed:
/sys/class/net/eth0/speed:-1
@caps
CapBnd:	000001ffffffffff
@selinux
@zone
UTC+0000
@virt
vm
@services
systemd
has systemd-tmpfiles
has udevadm
has sshd
has pam_limits
@clock
NTP=yes
NTPSynchronized=yes
@sshd
maxsessions 10
maxstartups 10:30:100
usedns no
@sshdend
@own
@kernel
vm/swappiness:60
`,
	"rocky 9, nvme below lvm, xfs, selinux": `@thp
/sys/kernel/mm/transparent_hugepage/enabled:[always] madvise never
/sys/kernel/mm/transparent_hugepage/defrag:always defer defer+madvise [madvise] never
@block
/sys/dev/block/253:2/uevent:DEVNAME=dm-2
/sys/dev/block/259:0/uevent:DEVNAME=nvme0n1
/sys/dev/block/253:2/queue/rotational:0
/sys/dev/block/253:2/queue/read_ahead_kb:128
/sys/dev/block/259:0/queue/scheduler:none [mq-deadline] kyber bfq
/sys/dev/block/259:0/queue/rotational:0
/sys/dev/block/259:0/queue/read_ahead_kb:8192
@slaves
/sys/dev/block/253:2/slaves/nvme0n1
@mounts
61 1 253:0 / / rw,relatime shared:1 - xfs /dev/mapper/rl-root rw,seclabel,attr2,inode64,logbufs=8,logbsize=32k,noquota
98 61 253:2 / /data1 rw,nodev,noatime shared:51 - xfs /dev/mapper/vg-data1 rw,seclabel,attr2,inode64,logbufs=8,logbsize=32k,noquota
@pages
33000000
4096
@libc
glibc 2.34
@links
/sys/class/net/ens5/speed:25000
@caps
CapBnd:	000001ffffffffff
@selinux
1
@zone
CET+0100
/usr/share/zoneinfo/Europe/Berlin
@virt
vm
@services
systemd
active firewalld
has systemd-tmpfiles
has udevadm
has sshd
has pam_limits
@clock
NTP=no
NTPSynchronized=no
@own
file /etc/sysctl.d/90-cw-gp1.conf
 # managed by cw for cluster gp1: cw cluster check gp1 --fix; --revert takes it away
 vm.swappiness = 10

file /etc/hosts
 127.0.0.1   localhost localhost.localdomain
@kernel
vm/swappiness:30
`,
	"ubuntu 24.04, container": `@thp
@block
@slaves
@mounts
700 560 0:61 / / rw,relatime - overlay overlay rw,lowerdir=/a:/b,upperdir=/c,workdir=/d
@pages
4000000
4096
@libc
glibc 2.39
@links
@caps
CapBnd:	00000000a80425fb
@selinux
@zone
UTC+0000
/usr/share/zoneinfo/Etc/UTC
@virt
container
@services
ENABLED=yes
has sshd
has pam_limits
@clock
@own
@kernel
`,
	"sles 15, rotating disks, btrfs": `@thp
/sys/kernel/mm/transparent_hugepage/enabled:always madvise [never]
/sys/kernel/mm/transparent_hugepage/defrag:always defer defer+madvise madvise [never]
@block
/sys/dev/block/8:16/uevent:DEVNAME=sdb
/sys/dev/block/8:16/queue/scheduler:mq-deadline kyber [bfq] none
/sys/dev/block/8:16/queue/rotational:1
/sys/dev/block/8:16/queue/read_ahead_kb:16384
@slaves
@mounts
40 1 0:35 /@/data\040one /data\040one rw,relatime shared:20 - btrfs /dev/sdb rw,space_cache,subvolid=259,subvol=/@/data\040one
@pages
16000000
4096
@libc
glibc 2.38
@links
/sys/class/net/eth0/speed:10000
@caps
CapBnd:	000001ffffffffff
@selinux
@zone
CEST+0200
/usr/share/zoneinfo/Europe/Berlin
@virt
@services
systemd
active firewalld
has systemd-tmpfiles
has udevadm
has sshd
has pam_limits
@clock
Leap status     : Not synchronised
@own
@kernel
vm/swappiness:60
`,
}
