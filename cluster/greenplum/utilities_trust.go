package greenplum

import (
	"context"
	"fmt"
	"strings"

	"cw/cluster"
	"cw/cluster/step"
	"cw/fault"
	"cw/remote"
)

// The utilities go from the coordinator to all hosts by ssh, as the database's
// owner and without a password. What that takes is made here: a key of the
// owner on the coordinator's and the standby's host, that key in
// authorized_keys everywhere, and the hosts' own keys in known_hosts, which cw
// reads over connections that it has verified. Lines of ours end with "cw" and
// the cluster's unique id, by which a delete finds them.

// trustTag ends the lines that trustStep writes.
func (u *Utilities) trustTag() string { return "cw-" + u.UID }

// hostKeyScript prints the public host keys of sshd: from its files, or as it
// shows them on the host itself, where nobody is in between.
const hostKeyScript = `cat /etc/ssh/ssh_host_*_key.pub 2>/dev/null | cut -d ' ' -f 1,2 | grep . || ssh-keyscan -T 10 127.0.0.1 2>/dev/null | sed -n 's/^127\.0\.0\.1 //p'`

// ownerKeyScript prints a public key of the caller, making one if there is
// none; $1 is its comment.
const ownerKeyScript = `set -e
umask 077
cd
mkdir -p .ssh
for k in ed25519 ecdsa rsa; do
  if [ -f ".ssh/id_$k" ] && [ -f ".ssh/id_$k.pub" ]; then cat ".ssh/id_$k.pub"; exit; fi
done
ssh-keygen -q -t ed25519 -N '' -C "$1" -f .ssh/id_ed25519 </dev/null
cat .ssh/id_ed25519.pub`

// addLinesScript adds the lines of standard input to file $1 of the caller's
// .ssh folder unless it has them.
const addLinesScript = `set -e
umask 077
cd
mkdir -p .ssh
touch ".ssh/$1"
new=
while IFS= read -r line; do
  grep -Fxq -e "$line" ".ssh/$1" || new="$new$line
"
done
[ -z "$new" ] || { if [ -s ".ssh/$1" ] && [ "$(tail -c 1 ".ssh/$1" | wc -l)" -eq 0 ]; then echo >>".ssh/$1"; fi; printf '%s' "$new" >>".ssh/$1"; }`

// reachScript goes to each host given and prints the first reason why one
// cannot be reached.
const reachScript = `for h in "$@"; do
  why=$(ssh -n -o BatchMode=yes -o ConnectTimeout=10 -o StrictHostKeyChecking=yes "$h" true 2>&1) || { echo "$h: $(echo "$why" | tail -n 1)"; exit; }
done`

// openScript lets user $1, who may have been made without a password, in by
// key: sshd without PAM takes a locked account for closed. A password is not
// thereby given. The utilities keep their logs in the user's home.
const openScript = `case $(getent shadow "$1" | cut -d: -f2) in '!'|'!!') usermod -p '*' "$1" || exit;; esac
h=$(getent passwd "$1" | cut -d: -f6)
if [ "$h" ] && [ ! -e "$h" ]; then mkdir -p -- "$h" && chown "$1": "$h" && chmod 0750 "$h"; fi`

// names are what a host is called in the catalogue, and so by the utilities.
func (u *Utilities) names(h cluster.Host) []string {
	out := append([]string{h.Name, h.Address}, h.Interconnect...)
	seen := map[string]bool{}
	kept := out[:0]
	for _, n := range out {
		if n != "" && !seen[n] {
			seen[n] = true
			kept = append(kept, n)
		}
	}
	return kept
}

// trustStep lets the owner go from a coordinator's host to all.
func (u *Utilities) trustStep(from cluster.Node, needs []string) step.Step {
	var all []string
	for _, h := range u.top.Hosts {
		all = append(all, u.names(h)...)
	}
	return step.Step{
		ID: "trust@" + from.Host, Host: from.Host, Title: fmt.Sprintf("let %s go from %s to all hosts by key", u.top.OSUser, from.Host), Needs: needs,
		Check: func(ctx context.Context) (step.Observed, error) {
			why, err := u.Fleet.Script(ctx, from.Host, u.top.OSUser, reachScript, all...)
			if err != nil {
				return step.Observed{}, ignoreAbsent(err)
			}
			why = strings.TrimSpace(why)
			return step.Observed{Done: why == "", Note: choose(why == "", "all are reached", why)}, nil
		},
		Apply: func(ctx context.Context) error { return u.trust(ctx, from) },
		Verify: func(ctx context.Context) error {
			why, err := u.Fleet.Script(ctx, from.Host, u.top.OSUser, reachScript, all...)
			if why = strings.TrimSpace(why); err == nil && why != "" {
				return fault.New(fault.Auth, fmt.Sprintf("try it on %s as %s: ssh HOST true; its sshd must listen on port 22 and take keys", from.Host, u.top.OSUser),
					"%s cannot go from %s to %s", u.top.OSUser, from.Host, why)
			}
			return err
		},
	}
}

func (u *Utilities) trust(ctx context.Context, from cluster.Node) error {
	if _, err := remote.Each(ctx, u.Fleet.Hosts(), 0, func(ctx context.Context, h *remote.Host) (struct{}, error) {
		if _, err := u.Fleet.Script(ctx, h.Name(), "root", openScript, u.top.OSUser); err != nil {
			step.Say(ctx, "%s: the account %s was not looked at: %s", h.Name(), u.top.OSUser, clean(err.Error())) // it may be open all the same
		}
		return struct{}{}, nil
	}); err != nil {
		return err
	}
	key, err := u.Fleet.Script(ctx, from.Host, u.top.OSUser, ownerKeyScript, u.trustTag())
	if err != nil {
		return fmt.Errorf("making a key of %s on %s: %w", u.top.OSUser, from.Host, err)
	}
	f := strings.Fields(key)
	if len(f) < 2 {
		return fmt.Errorf("%s: the public key of %s is %q", from.Host, u.top.OSUser, clean(key))
	}
	authorised := f[0] + " " + f[1] + " " + u.trustTag() + "\n"
	known, err := remote.Each(ctx, u.Fleet.Hosts(), 0, func(ctx context.Context, h *remote.Host) (string, error) {
		if _, err := u.Fleet.ScriptInput(ctx, h.Name(), u.top.OSUser, authorised, addLinesScript, "authorized_keys"); err != nil {
			return "", fmt.Errorf("authorised keys of %s: %w", u.top.OSUser, err)
		}
		keys, err := u.Fleet.Script(ctx, h.Name(), "", hostKeyScript)
		if err != nil {
			return "", err
		}
		host, _ := u.top.Host(h.Name())
		var b strings.Builder
		for line := range strings.Lines(keys) {
			fmt.Fprintf(&b, "%s %s %s\n", strings.Join(u.names(host), ","), strings.TrimSpace(line), u.trustTag())
		}
		return b.String(), nil
	})
	if err != nil {
		return err
	}
	var lines strings.Builder
	for _, k := range known {
		lines.WriteString(k)
	}
	if _, err := u.Fleet.ScriptInput(ctx, from.Host, u.top.OSUser, lines.String(), addLinesScript, "known_hosts"); err != nil {
		return fmt.Errorf("known hosts of %s on %s: %w", u.top.OSUser, from.Host, err)
	}
	return nil
}

// distrustScript takes the lines that end with $1 out of the caller's files,
// and the key that was made with that comment.
const distrustScript = `cd || exit
for f in authorized_keys known_hosts; do
  [ -f ".ssh/$f" ] && grep -q " $1\$" ".ssh/$f" || continue
  grep -v " $1\$" ".ssh/$f" >".ssh/$f.cw-new"
  chmod 0600 ".ssh/$f.cw-new"
  if [ -s ".ssh/$f.cw-new" ]; then mv -f ".ssh/$f.cw-new" ".ssh/$f"; else rm -f ".ssh/$f.cw-new" ".ssh/$f"; fi
done
if grep -q " $1\$" .ssh/id_ed25519.pub 2>/dev/null; then rm -f .ssh/id_ed25519 .ssh/id_ed25519.pub; fi
rmdir .ssh 2>/dev/null
:`

const distrustedScript = `cd && ! grep -qs " $1\$" .ssh/authorized_keys .ssh/known_hosts .ssh/id_ed25519.pub`

// distrustStep takes back what trustStep did on a host.
func (u *Utilities) distrustStep(host string) step.Step {
	return step.Step{
		ID: "distrust@" + host, Host: host, Title: "take the key of " + u.top.OSUser + " away",
		Check: func(ctx context.Context) (step.Observed, error) {
			out, err := u.Fleet.Script(ctx, host, u.top.OSUser, distrustedScript+" && echo none", u.trustTag())
			if ignoreAbsent(err) == nil && err != nil {
				return step.Observed{Done: true, Note: "no such user"}, nil
			}
			done := strings.TrimSpace(out) == "none"
			if !done && isExit(err) {
				err = nil
			}
			return step.Observed{Done: done, Note: choose(done, "no key", "has a key")}, err
		},
		Apply: func(ctx context.Context) error {
			_, err := u.Fleet.Script(ctx, host, u.top.OSUser, distrustScript, u.trustTag())
			return err
		},
	}
}
