package hostprep

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"cw/playground/lab"
)

// crashing makes a script end by SIGKILL before its n-th command that changes
// something.
const crashing = `crash_n=0
crash() { crash_n=$((crash_n+1)); [ "$crash_n" != "$CRASH" ] || kill -9 $$; }
mv() { crash; command mv "$@"; }
cp() { crash; command cp "$@"; }
rm() { crash; command rm "$@"; }
mkdir() { crash; command mkdir "$@"; }
rmdir() { crash; command rmdir "$@"; }
printf() { crash; command printf "$@"; }
cmp() { crash; command cmp "$@"; }
sync() { crash; }
`

// TestKilledRepairs kills the commands of a host at every place. What is left
// must be fit for both: to be repaired again, and to be taken back.
func TestKilledRepairs(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: kills the script at every place")
	}
	l := lab.Up(t, 1)
	f := labFleet(t, l, inData)
	ctx := t.Context()
	install(l, 1, engineHome, "abc")
	addOwner(l, 1)
	disk(l, 1, "mq-deadline", "128")
	l.Run(1, "sh", "-c", `rm -rf /var/lib/cw; printf 'vm.swappiness = 33' >/etc/sysctl.d/90-cw-gp1.conf; rm -rf /etc/tmpfiles.d; sed -i '/ db1$/d' /etc/hosts`)
	before := tree(l, 1)
	r := Run(ctx, f, "")
	fix, revert := r.RootScript(f.Topology, false), r.RootScript(f.Topology, true)
	repairs := r.Repairs(f.Topology)
	if len(repairs) < 5 {
		t.Fatalf("only %d groups are to be repaired", len(repairs))
	}
	run := func(script string, crash int) (killed bool) {
		t.Helper()
		out, err := l.Try(1, "env", fmt.Sprint("CRASH=", crash), "sh", "-c", crashing+script)
		if err == nil {
			return false
		}
		if !strings.Contains(err.Error(), "killed") && !strings.Contains(err.Error(), "137") {
			t.Fatalf("crash %d: %v: %s", crash, err, out)
		}
		return true
	}
	restored := func(what string, n int) {
		t.Helper()
		if d := difference(before, tree(l, 1)); d != "" {
			t.Fatalf("%s %d: not as it was:\n%s", what, n, d)
		}
	}
	crashes := 0
	for n := 1; ; n += 2 {
		if !run(fix, n) {
			break
		}
		crashes++
		if n%3 == 0 { // a second one dies too, elsewhere
			run(fix, n/2+1)
		}
		if n%4 == 1 {
			if run(fix, 0) {
				t.Fatal("killed by nobody")
			}
			if n%8 == 1 {
				if failed := slices.DeleteFunc(Run(ctx, f, "").Checks, func(c Check) bool { return c.OK || c.Fix == "" }); len(failed) > 0 {
					t.Errorf("after crash %d and a repair: %+v", n, failed)
				}
			}
		}
		if run(revert, 0) {
			t.Fatal("killed by nobody")
		}
		restored("fix killed at", n)
	}
	run(revert, 0)
	restored("after", crashes)
	reversals := 0
	for n := 1; ; n++ {
		run(fix, 0)
		if !run(revert, n) {
			break
		}
		reversals++
		if n%2 == 0 {
			run(fix, 0) // which finds part of it
		}
		run(revert, 0)
		restored("revert killed at", n)
	}
	restored("after reversals", reversals)
	if crashes < 20 || reversals < 20 {
		t.Errorf("only %d and %d places were tried", crashes, reversals)
	}
	t.Logf("%d places of a repair, %d of a reversal", crashes, reversals)
}
