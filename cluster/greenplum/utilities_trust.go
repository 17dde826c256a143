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

// The utilities go from host to host by ssh, as the database's owner and
// without a password. What that takes is made here: a key of the owner on every
// host, all of them in authorized_keys everywhere, and the hosts' own keys in
// known_hosts, which cw reads over connections that it has verified. Lines of ours end with "cw" and
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

// trustStep lets the owner go from every host to every other: the utilities
// run on the coordinator, and some have the far side copy something back. Of
// the n x n ways those from and to the coordinators are tried.
func (u *Utilities) trustStep(needs []string) step.Step {
	return step.Step{
		ID: "trust", Title: fmt.Sprintf("let %s go from host to host by key", u.top.OSUser), Needs: needs,
		Check: func(ctx context.Context) (step.Observed, error) {
			why, err := u.outOfReach(ctx)
			return step.Observed{Done: why == "" && err == nil, Note: choose(why == "", "all are reached", why)}, err
		},
		Apply: u.trust,
		Verify: func(ctx context.Context) error {
			why, err := u.outOfReach(ctx)
			if err == nil && why != "" {
				return fault.New(fault.Auth, fmt.Sprintf("try it as %s on the first host: ssh SECOND true; sshd must listen on port 22 and take keys", u.top.OSUser), "%s cannot go from %s", u.top.OSUser, why)
			}
			return err
		},
	}
}

// outOfReach says which way from host to host is closed, and why; "" is none.
func (u *Utilities) outOfReach(ctx context.Context) (string, error) {
	var all, heads []string
	central := map[string]bool{}
	for _, n := range u.coordinators() {
		central[n.Host] = true
	}
	for _, h := range u.top.Hosts {
		all = append(all, u.names(h)...)
		if central[h.Name] {
			heads = append(heads, u.names(h)...)
		}
	}
	answers, err := remote.Each(ctx, u.Fleet.Hosts(), 0, func(ctx context.Context, h *remote.Host) (string, error) {
		to := heads
		if central[h.Name()] {
			to = all
		}
		why, err := u.Fleet.Script(ctx, h.Name(), u.top.OSUser, reachScript, to...)
		if err != nil && ignoreAbsent(err) == nil {
			return h.Name() + ": there is no user " + u.top.OSUser, nil
		}
		if why = strings.TrimSpace(why); why != "" {
			why = h.Name() + " to " + why
		}
		return why, err
	})
	if err != nil {
		return "", err
	}
	for _, why := range answers {
		if why != "" {
			return why, nil
		}
	}
	return "", nil
}

// trust makes keys where there are none and spreads them.
func (u *Utilities) trust(ctx context.Context) error {
	type pair struct{ owner, host string }
	keys, err := remote.Each(ctx, u.Fleet.Hosts(), 0, func(ctx context.Context, h *remote.Host) (pair, error) {
		if _, err := u.Fleet.Script(ctx, h.Name(), "root", openScript, u.top.OSUser); err != nil {
			step.Say(ctx, "%s: the account %s was not looked at: %s", h.Name(), u.top.OSUser, clean(err.Error())) // it may be open all the same
		}
		key, err := u.Fleet.Script(ctx, h.Name(), u.top.OSUser, ownerKeyScript, u.trustTag())
		if err != nil {
			return pair{}, fmt.Errorf("making a key of %s: %w", u.top.OSUser, err)
		}
		f := strings.Fields(key)
		if len(f) < 2 {
			return pair{}, fmt.Errorf("the public key of %s is %q", u.top.OSUser, clean(key))
		}
		own, err := u.Fleet.Script(ctx, h.Name(), "", hostKeyScript)
		if err != nil {
			return pair{}, fmt.Errorf("reading the host's keys: %w", err)
		}
		host, _ := u.top.Host(h.Name())
		var b strings.Builder
		for line := range strings.Lines(own) {
			fmt.Fprintf(&b, "%s %s %s\n", strings.Join(u.names(host), ","), strings.TrimSpace(line), u.trustTag())
		}
		return pair{owner: f[0] + " " + f[1] + " " + u.trustTag() + "\n", host: b.String()}, nil
	})
	if err != nil {
		return err
	}
	var authorised, known strings.Builder
	for _, k := range keys {
		authorised.WriteString(k.owner)
		known.WriteString(k.host)
	}
	_, err = remote.Each(ctx, u.Fleet.Hosts(), 0, func(ctx context.Context, h *remote.Host) (struct{}, error) {
		for file, lines := range map[string]string{"authorized_keys": authorised.String(), "known_hosts": known.String()} {
			if _, err := u.Fleet.ScriptInput(ctx, h.Name(), u.top.OSUser, lines, addLinesScript, file); err != nil {
				return struct{}{}, fmt.Errorf("%s of %s: %w", file, u.top.OSUser, err)
			}
		}
		return struct{}{}, nil
	})
	return err
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
