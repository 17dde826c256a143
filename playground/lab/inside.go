package lab

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// dropped are the powers that a host's root does not get, because they reach
// the machine: clock, modules, raw devices, reboot, kernel log, device nodes.
const dropped = "-sys_time,-sys_module,-sys_rawio,-sys_boot,-syslog,-mknod"

// becomeHost runs as process 1 of a host. It builds the root, moves into it
// and becomes sshd, which reaps orphans as an init does.
func becomeHost(text string) error {
	var s hostSpec
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		return err
	}
	gate := os.NewFile(3, "gate")
	if _, err := gate.Read(make([]byte, 1)); err != nil { // until the cable is plugged in
		return fmt.Errorf("wait for the network: %w", err)
	}
	_ = gate.Close()
	if err := os.Unsetenv(envHost); err != nil {
		return err
	}
	for _, step := range []func() error{s.network, s.root, s.system, s.firstBoot, s.shield, s.move} {
		if err := step(); err != nil {
			return err
		}
	}
	setpriv, err := lookPath("setpriv")
	if err != nil {
		return err
	}
	args := []string{
		setpriv, "--bounding-set=" + dropped, "/usr/sbin/sshd", "-D", "-e", "-f", "/dev/null",
		"-o", "HostKey=/etc/ssh/ssh_host_ed25519_key", "-o", "AuthorizedKeysFile=.ssh/authorized_keys", "-o", "UsePAM=no", "-o", "PasswordAuthentication=no",
		"-o", "UseDNS=no", "-o", "PidFile=none", "-o", "Subsystem=sftp internal-sftp",
	}
	for _, o := range append(s.SSHD, "MaxStartups=200") { // sshd takes the first of two
		args = append(args, "-o", o)
	}
	return syscall.Exec(setpriv, args, []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"})
}

func (s *hostSpec) at(path ...string) string {
	return filepath.Join(append([]string{s.Dir, "root"}, path...)...)
}

func (s *hostSpec) network() error {
	if err := syscall.Sethostname([]byte(s.Name)); err != nil {
		return err
	}
	return errors.Join(
		tool("ip", "link", "set", "lo", "up"),
		tool("ip", "addr", "add", s.Addr+"/16", "dev", "eth0"),
		tool("ip", "link", "set", "eth0", "up"),
	)
}

// root makes the root file system: the machine's own, with a layer of the
// host over it that takes all writes. Without real root that layer cannot be
// had, and a root is put together from the machine's /usr and a copy of /etc.
func (s *hostSpec) root() error {
	for _, d := range []string{"up", "work", "root", "home", "data"} {
		if err := os.MkdirAll(filepath.Join(s.Dir, d), 0o755); err != nil {
			return err
		}
	}
	if s.Rootless {
		return s.assemble()
	}
	layers := fmt.Sprintf("lowerdir=/,upperdir=%s,workdir=%s", filepath.Join(s.Dir, "up"), filepath.Join(s.Dir, "work"))
	if err := syscall.Mount("overlay", s.at(), "overlay", 0, layers); err != nil {
		return fmt.Errorf("overlay root: %w", err)
	}
	return nil
}

func (s *hostSpec) assemble() error {
	if err := bind(s.at(), s.at()); err != nil { // pivot_root wants a mount
		return err
	}
	first := !exists(s.at("usr"))
	for _, d := range []string{"usr", "opt", "proc", "sys", "dev", "run", "tmp", "home", "data", "root", "mnt", "etc", "sudo", "var/tmp", "var/log", "var/lib", "var/cache", "var/spool"} {
		if err := os.MkdirAll(s.at(d), 0o755); err != nil {
			return err
		}
	}
	if first {
		for _, l := range []string{"bin", "sbin", "lib", "lib64"} {
			if err := os.Symlink("usr/"+l, s.at(l)); err != nil {
				return err
			}
		}
		// What is closed to us is left out; passwords are made anew below.
		_ = exec.Command("cp", "-a", "--no-preserve=ownership", "/etc/.", s.at("etc")).Run()
		if err := s.freshPasswords(); err != nil {
			return err
		}
		if err := errors.Join(os.Chmod(s.at("var/tmp"), os.ModeSticky|0o777), os.Symlink("../run", s.at("var/run"))); err != nil {
			return err
		}
		// sudo has to belong to this namespace's root to be of use.
		for from, to := range map[string]string{"/usr/bin/sudo": "sudo/bin", "/usr/libexec/sudo": "sudo/libexec"} {
			if err := tool("cp", "-r", from, s.at(to)); err != nil {
				return err
			}
		}
		if err := os.Chmod(s.at("sudo/bin"), os.ModeSetuid|0o755); err != nil {
			return err
		}
	}
	for _, d := range []string{"usr", "opt"} {
		if err := syscall.Mount("/"+d, s.at(d), "", syscall.MS_BIND|syscall.MS_REC, ""); err != nil {
			return fmt.Errorf("bind /%s: %w", d, err)
		}
		// Its files belong to nobody here; read-only is only for good measure.
		_ = syscall.Mount("", s.at(d), "", syscall.MS_REMOUNT|syscall.MS_BIND|syscall.MS_RDONLY, "")
	}
	return errors.Join(bind(s.at("sudo/bin"), s.at("usr/bin/sudo")), bind(s.at("sudo/libexec"), s.at("usr/libexec/sudo")))
}

// freshPasswords replaces the files that only real root could read.
func (s *hostSpec) freshPasswords() error {
	users, err := os.ReadFile(s.at("etc/passwd"))
	if err != nil {
		return err
	}
	var shadow strings.Builder
	for line := range strings.Lines(string(users)) {
		name, _, _ := strings.Cut(line, ":")
		fmt.Fprintf(&shadow, "%s:*:19000:0:99999:7:::\n", name)
	}
	for _, name := range []string{"shadow", "gshadow", "sudoers"} {
		_ = os.Remove(s.at("etc", name))
	}
	return errors.Join(
		os.MkdirAll(s.at("etc/sudoers.d"), 0o755),
		os.WriteFile(s.at("etc/shadow"), []byte(shadow.String()), 0o600),
		os.WriteFile(s.at("etc/gshadow"), nil, 0o600),
		os.WriteFile(s.at("etc/sudoers"), []byte("@includedir /etc/sudoers.d\n"), 0o440),
	)
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

func bind(from, to string) error {
	if err := syscall.Mount(from, to, "", syscall.MS_BIND, ""); err != nil {
		return fmt.Errorf("bind %s: %w", to, err)
	}
	return nil
}

// system mounts what the kernel and the devices show.
func (s *hostSpec) system() error {
	for _, m := range []struct{ kind, at, options string }{
		{"proc", "proc", ""}, {"sysfs", "sys", ""}, {"tmpfs", "dev", "mode=755"}, {"tmpfs", "run", "mode=755"}, {"tmpfs", "tmp", "mode=1777"},
	} {
		if err := syscall.Mount(m.kind, s.at(m.at), m.kind, 0, m.options); err != nil {
			return fmt.Errorf("mount /%s: %w", m.at, err)
		}
	}
	for _, d := range []string{"dev/pts", "dev/shm", "run/sshd", "run/lock"} {
		if err := os.MkdirAll(s.at(d), 0o755); err != nil {
			return err
		}
	}
	for _, d := range []string{"null", "zero", "full", "random", "urandom", "tty"} {
		if err := os.WriteFile(s.at("dev", d), nil, 0o666); err != nil {
			return err
		}
		if err := bind("/dev/"+d, s.at("dev", d)); err != nil {
			return err
		}
	}
	for from, to := range map[string]string{"ptmx": "pts/ptmx", "fd": "/proc/self/fd", "stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1", "stderr": "/proc/self/fd/2"} {
		if err := os.Symlink(to, s.at("dev", from)); err != nil {
			return err
		}
	}
	if err := syscall.Mount("devpts", s.at("dev/pts"), "devpts", 0, "newinstance,ptmxmode=0666,mode=620,gid=5"); err != nil {
		return fmt.Errorf("mount /dev/pts: %w", err)
	}
	if err := syscall.Mount("shm", s.at("dev/shm"), "tmpfs", 0, "mode=1777"); err != nil {
		return fmt.Errorf("mount /dev/shm: %w", err)
	}
	// Settings of the kernel that are not per namespace: the host gets a copy
	// to write to, before the mounts below could be in the way.
	for _, d := range []string{"vm", "fs"} {
		mine := s.at("run", ".sys-"+d)
		_ = exec.Command("cp", "-r", "--no-preserve=all", "/proc/sys/"+d, mine).Run()
		if err := bind(mine, s.at("proc/sys", d)); err != nil {
			return err
		}
	}
	return s.shieldKernel()
}

// perNamespace are the settings in /proc/sys/kernel that a host has for itself
// (ipc_namespaces(7), uts_namespaces(7)); all others are the machine's.
const perNamespace = " sem shmall shmmax shmmni shm_rmid_forced shm_next_id msgmax msgmnb msgmni msg_next_id sem_next_id auto_msgmni hostname domainname ns_last_pid "

// shieldKernel puts copies over what else in /proc/sys/kernel and /sys is
// written to: there are no namespaces of it, and root here is root there.
func (s *hostSpec) shieldKernel() error {
	kernel := s.at("proc/sys/kernel")
	entries, err := os.ReadDir(kernel)
	if err != nil {
		return err
	}
	copies := s.at("run", ".sys-kernel")
	if err := os.MkdirAll(copies, 0o700); err != nil {
		return err
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || !info.Mode().IsRegular() || info.Mode()&0o200 == 0 || strings.Contains(perNamespace, " "+e.Name()+" ") {
			continue
		}
		value, _ := os.ReadFile(filepath.Join(kernel, e.Name())) // of those that only take orders it is empty
		mine := filepath.Join(copies, e.Name())
		if err := os.WriteFile(mine, value, info.Mode().Perm()); err != nil {
			return err
		}
		if err := bind(mine, filepath.Join(kernel, e.Name())); err != nil {
			return err
		}
	}
	const pages = "sys/kernel/mm/transparent_hugepage"
	if exists(s.at(pages)) {
		mine := s.at("run", ".sys-thp")
		_ = exec.Command("cp", "-r", "--no-preserve=all", "/"+pages, mine).Run()
		if err := bind(mine, s.at(pages)); err != nil {
			return err
		}
	}
	// What is left of /sys, as the queues of disks, is to be looked at only.
	if err := syscall.Mount("", s.at("sys"), "", syscall.MS_REMOUNT|syscall.MS_BIND|syscall.MS_RDONLY|syscall.MS_NOSUID|syscall.MS_NODEV|syscall.MS_NOEXEC, ""); err != nil && !s.Rootless {
		return fmt.Errorf("make /sys read-only: %w", err)
	}
	return nil
}

// firstBoot gives the host its identity and its user, once; Off and On keep
// the disk.
func (s *hostSpec) firstBoot() error {
	if exists(s.at("etc/lab-host")) {
		return nil
	}
	id := make([]byte, 16)
	_, _ = rand.Read(id)
	home := filepath.Join(s.Dir, "home", User)
	old, _ := filepath.Glob(s.at("etc/ssh/ssh_host_*"))
	for _, f := range old {
		if err := os.Remove(f); err != nil {
			return err
		}
	}
	if err := errors.Join(os.MkdirAll(s.at("etc/ssh"), 0o755), os.MkdirAll(s.at("data"), 0o755), os.MkdirAll(filepath.Join(home, ".ssh"), 0o700)); err != nil {
		return err
	}
	if _, err := newKey(s.at("etc/ssh/ssh_host_ed25519_key")); err != nil {
		return err
	}
	for _, f := range []struct {
		path, text string
		mode       os.FileMode
		add        bool
	}{
		{s.at("etc/hostname"), s.Name + "\n", 0o644, false},
		{s.at("etc/machine-id"), hex.EncodeToString(id) + "\n", 0o444, false},
		{s.at("etc/hosts"), "127.0.0.1 localhost\n" + strings.Join(s.Names, "\n") + "\n", 0o644, false},
		{s.at("etc/passwd"), User + ":x:2000:2000::/home/" + User + ":/bin/bash\n", 0o644, true},
		{s.at("etc/group"), User + ":x:2000:\n", 0o644, true},
		{s.at("etc/shadow"), User + ":*:19000:0:99999:7:::\n", 0o600, true},
		{s.at("etc/sudoers.d", User), User + " ALL=(ALL) NOPASSWD:ALL\n", 0o440, false},
		{filepath.Join(home, ".ssh/authorized_keys"), s.PublicKey, 0o600, false},
		{s.at("etc/lab-host"), "", 0o644, false},
	} {
		if err := put(f.path, f.text, f.mode, f.add); err != nil {
			return err
		}
	}
	for _, p := range []string{home, filepath.Join(home, ".ssh"), filepath.Join(home, ".ssh/authorized_keys"), filepath.Join(s.Dir, "data")} {
		if err := os.Chown(p, 2000, 2000); err != nil {
			return err
		}
	}
	return nil
}

// put writes or appends to a file, whatever its mode was.
func put(path, text string, mode os.FileMode, add bool) error {
	if add {
		f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY|os.O_CREATE, mode)
		if err != nil {
			return err
		}
		_, err = f.WriteString(text)
		return errors.Join(err, f.Close())
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		return err
	}
	return os.Chmod(path, mode)
}

// shield hides what belongs to the machine, and puts the host's own folders
// in place.
func (s *hostSpec) shield() error {
	for _, d := range []string{"root", "mnt"} {
		if exists(s.at(d)) {
			if err := syscall.Mount("none", s.at(d), "tmpfs", 0, "mode=700"); err != nil {
				return fmt.Errorf("hide /%s: %w", d, err)
			}
		}
	}
	return errors.Join(bind(filepath.Join(s.Dir, "home"), s.at("home")), bind(filepath.Join(s.Dir, "data"), s.at("data")))
}

// move makes the new root the only one.
func (s *hostSpec) move() error {
	old := s.at(".old")
	if err := os.MkdirAll(old, 0o700); err != nil {
		return err
	}
	if err := syscall.PivotRoot(s.at(), old); err != nil {
		return fmt.Errorf("pivot_root: %w", err)
	}
	if err := os.Chdir("/"); err != nil {
		return err
	}
	if err := syscall.Unmount("/.old", syscall.MNT_DETACH); err != nil {
		return fmt.Errorf("leave the machine's root: %w", err)
	}
	return os.Remove("/.old")
}
