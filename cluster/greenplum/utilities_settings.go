package greenplum

import (
	"context"
	"fmt"
	"strings"

	"cw/cluster"
	"cw/cluster/step"
)

// appendScript adds the lines of standard input to file $1 unless it has them.
const appendScript = `set -e
cp -p -- "$1" "$1.cw-new"
while IFS= read -r line; do
  grep -Fxq -e "$line" "$1.cw-new" || printf '%s\n' "$line" >>"$1.cw-new"
done
mv -T -- "$1.cw-new" "$1"`

// settingsStep gives a cluster that gpinitsystem made the settings that cw
// computes and lets network.allow in. Many count from the next start only.
func (u *Utilities) settingsStep(needs ...string) step.Step {
	return step.Step{
		ID: "settings", Host: u.coordinator().Host, Title: "write the computed settings and restart (gpstop -r)", Needs: needs,
		Check: func(ctx context.Context) (step.Observed, error) {
			if ok, err := u.initialised(ctx); err != nil || !ok {
				return step.Observed{Note: "not initialised"}, err
			}
			missing, err := u.missingSettings(ctx)
			if err != nil {
				return step.Observed{}, err
			}
			lines, err := u.missingClients(ctx)
			n := len(lines)
			for _, m := range missing {
				n += len(m)
			}
			pending := 0
			if n == 0 && err == nil {
				pending, err = u.pendingRestart(ctx)
			}
			return step.Observed{Done: err == nil && n+pending == 0, Note: fmt.Sprintf("%d to write, %d wait for a restart", n, pending)}, err
		},
		Apply: func(ctx context.Context) error {
			defer u.lookAnew()
			return u.writeSettings(ctx)
		},
	}
}

func (u *Utilities) writeSettings(ctx context.Context) error {
	missing, err := u.missingSettings(ctx)
	if err != nil {
		return err
	}
	for _, h := range u.hosts() {
		var args, dirs []string
		for _, n := range u.lay.On(h) {
			list := missing[n.ID]
			args, dirs = append(args, n.DataDir, fmt.Sprint(len(list))), append(dirs, n.DataDir)
			for _, s := range list {
				args = append(args, s.Name, "s", confLine(s.Name, s.Value))
			}
		}
		if _, err := u.sh(ctx, h, editScript, args...); err != nil {
			return fmt.Errorf("writing the settings of %s: %w", names(u.lay.On(h)), err)
		}
		if _, err := u.sh(ctx, h, keepScript, dirs...); err != nil {
			return err
		}
	}
	lines, err := u.missingClients(ctx)
	if err != nil {
		return err
	}
	for _, n := range u.coordinators() {
		if _, err := u.shInput(ctx, n.Host, strings.Join(lines, "\n")+"\n", appendScript, n.DataDir+"/pg_hba.conf"); err != nil {
			return fmt.Errorf("pg_hba.conf of %s: %w", describe(n), err)
		}
	}
	return u.utility(ctx, call{node: u.coordinator(), name: "gpstop", args: []string{"-a", "-r", "-M", "fast"}, warnings: []int{1}})
}

// missingSettings are the computed settings that are not in a node's file.
func (u *Utilities) missingSettings(ctx context.Context) (map[int][]cluster.Setting, error) {
	all, err := u.readValues(ctx)
	if err != nil {
		return nil, err
	}
	known := u.anyRows(all)
	out := map[int][]cluster.Setting{}
	for i, n := range u.lay.Nodes {
		if all[i].file == nil {
			return nil, fmt.Errorf("settings of %s on %s: %w", describe(n), n.Host, all[i].err)
		}
		list, err := u.settingsOf(ctx, n)
		if err != nil {
			return nil, err
		}
		for _, s := range list {
			if _, is := known[s.Name]; !is && known != nil {
				continue // of another generation
			}
			if have, set := all[i].file[s.Name]; !set || !known[s.Name].Same(have, s.Value) {
				out[n.ID] = append(out[n.ID], s)
			}
		}
	}
	return out, nil
}

// pendingRestart counts settings that the file has and a server does not run
// with.
func (u *Utilities) pendingRestart(ctx context.Context) (int, error) {
	list, err := u.Settings(ctx, nil)
	n := 0
	for _, s := range list {
		if s.PendingRestart {
			n++
		}
	}
	return n, err
}

// missingClients are the lines that let clients in and are not in the
// coordinator's pg_hba.conf. They come last: those that gpinitsystem wrote for
// the superuser and for the cluster itself must be found first.
func (u *Utilities) missingClients(ctx context.Context) ([]string, error) {
	c := u.coordinator()
	lines := []string{"local all all md5"}
	for _, text := range u.top.Network.Allow {
		p, err := cluster.ParseCIDR(text)
		if err != nil {
			return nil, err
		}
		lines = append(lines, fmt.Sprintf("host all all %s md5", p))
	}
	have, err := u.sh(ctx, c.Host, `cat -- "$1/pg_hba.conf"`, c.DataDir)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, l := range lines {
		if !strings.Contains("\n"+have, "\n"+l+"\n") {
			out = append(out, l)
		}
	}
	return out, nil
}
