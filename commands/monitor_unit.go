package commands

import (
	"fmt"
	"net/url"
	"os"
	"os/user"
	"path/filepath"
	"strings"

	"cw/monitor"
)

// printUnit prints a unit that runs the monitor as it is called here, for good.
func (a *App) printUnit(o monitorOptions, c monitor.Config) error {
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	dsn := a.storeDSN()
	shared := strings.Contains(dsn, "://")
	if u, err := url.Parse(dsn); shared && err == nil {
		if _, has := u.User.Password(); has {
			return usagef("put the password into ~/.pgpass and leave it out of --store", "a password in --store would be on the unit's command line")
		}
	}
	command := []string{exe, "monitor", "--no-input", "--store", dsn}
	if !shared {
		if command[4], err = filepath.Abs(dsn); err != nil {
			return err
		}
	}
	if c.File != "" {
		file, err := filepath.Abs(c.File)
		if err != nil {
			return err
		}
		command = append(command, "--file", file)
	}
	if o.listen != "" {
		command = append(command, "--listen", o.listen)
	}
	if o.heal {
		command = append(command, "--auto-recover")
	}
	for i, word := range command {
		command[i] = unitWord(word)
	}
	me, err := user.Current()
	if err != nil {
		return fmt.Errorf("who the unit runs as: %w", err)
	}
	home := a.Getenv("HOME")
	if home == "" {
		home = me.HomeDir
	}
	writable := []string{a.Paths.State}
	if !shared {
		if dir := filepath.Dir(dsn); filepath.Clean(dir) != filepath.Clean(a.Paths.State) {
			writable = append(writable, dir)
		}
	}
	for i, dir := range writable {
		writable[i] = unitWord(dir)
	}
	environment := ""
	for _, word := range []string{"HOME=" + home, "XDG_STATE_HOME=" + filepath.Dir(a.Paths.State), "XDG_CONFIG_HOME=" + filepath.Dir(a.Paths.Config)} {
		environment += "Environment=" + unitWord(word) + "\n"
	}
	_, err = fmt.Fprintf(a.IO.Out, unitText, unitHead, "", me.Username, environment, strings.Join(command, " "), strings.Join(writable, " "))
	return err
}

// packagedUnit is the unit that the packages bring: for any user of this
// machine, with the state that this user has.
func packagedUnit() string {
	return fmt.Sprintf(unitText, packagedUnitHead, " of %i", "%i", "", "/usr/bin/cw monitor --no-input", "-/home/%i/.local/state/cw")
}

// unitWord is a word as systemd reads it: % and $ mean something there.
func unitWord(word string) string {
	word = strings.NewReplacer("%", "%%", "$", "$$").Replace(word)
	if word != "" && !strings.ContainsAny(word, " \t\n'\"\\;") {
		return word
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`, "\t", `\t`).Replace(word) + `"`
}

// unitText is the unit. What a monitor does is SSH, SQL and HTTP, so it needs
// little of the machine. Commands of receivers (exec) run within these bounds.
const unitText = `%s[Unit]
Description=cw monitor%s: watches the clusters of cw
Wants=network-online.target
After=network-online.target
StartLimitIntervalSec=0

[Service]
Type=exec
# It uses this user's SSH keys (without a passphrase) and ~/.pgpass.
User=%s
%sExecStart=%s
Restart=always
RestartSec=2
TimeoutStopSec=30
MemoryMax=1G
UMask=0077

NoNewPrivileges=yes
CapabilityBoundingSet=
PrivateTmp=yes
PrivateDevices=yes
ProtectSystem=strict
ProtectHome=read-only
ReadWritePaths=%s
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectControlGroups=yes
ProtectClock=yes
ProtectHostname=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
SystemCallArchitectures=native

[Install]
WantedBy=multi-user.target
`

const unitHead = `# Written by cw monitor --print-unit. To use it:
#   cw monitor --print-unit | sudo tee /etc/systemd/system/cw-monitor.service
#   sudo systemctl daemon-reload && sudo systemctl enable --now cw-monitor
#   journalctl -u cw-monitor -f
`

const packagedUnitHead = `# Runs cw monitor as the user after the @, who made or adopted the clusters:
#   sudo systemctl enable --now cw-monitor@gpadmin
#   journalctl -u cw-monitor@gpadmin -f
# It is not enabled by the package. For a home that is not below /home, another
# store or other options, as this user: cw monitor --print-unit
`
