package postgres

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"cw/cluster"
	"cw/cluster/step"
)

// query runs an SQL query that returns one JSON value and decodes it.
func (e *Engine) query(ctx context.Context, n cluster.Node, sql string, into any) error {
	out, err := e.sql(ctx, n, sql)
	if err != nil {
		return err
	}
	if err := json.Unmarshal([]byte(out), into); err != nil {
		return fmt.Errorf("node %s answers %q: %w", n.Name(), out, err)
	}
	return nil
}

// role is what is looked at in pg_authid.
type role struct {
	Password *string `json:"password"`
	Login    bool    `json:"login"`
}

func (e *Engine) role(ctx context.Context, n cluster.Node, name string) (*role, error) {
	var r *role
	err := e.query(ctx, n, fmt.Sprintf(
		"select coalesce((select json_build_object('password', rolpassword, 'login', rolcanlogin) from pg_authid where rolname = %s), 'null'::json)", literal(name)), &r)
	return r, err
}

// roleCheck is done when the role can log in with the password. Before the
// server runs nothing can be seen, which is not an error.
func (e *Engine) roleCheck(ctx context.Context, n cluster.Node, name, password string) (step.Observed, error) {
	if state, err := e.proc(ctx, n); err != nil || state != procReady {
		return step.Observed{Note: "node " + n.Name() + " does not run"}, ignoreNoUser(err)
	}
	r, err := e.role(ctx, n, name)
	switch {
	case err != nil:
		return step.Observed{}, err
	case r == nil:
		return step.Observed{Note: "no role " + name}, nil
	case r.Password == nil || !r.Login || !matches(*r.Password, password):
		return step.Observed{Note: "another password"}, nil
	}
	return step.Observed{Done: true, Note: "role " + name}, nil
}

// putRole creates the role or gives it the password. Only the verifier is
// sent, so that no server log can hold the password.
func (e *Engine) putRole(ctx context.Context, n cluster.Node, name, attributes, password string) error {
	v, err := verifier(password)
	if err != nil {
		return err
	}
	return e.alter(ctx, n,
		once("create role "+ident(name), "pg_authid where rolname = "+literal(name))+
			fmt.Sprintf("alter role %s %s password %s;\n", ident(name), attributes, literal(v)))
}

// alter runs statements of psql one after the other with those of any other
// cw. A cw that was killed leaves a session that goes on to the end of its
// statement: the lock makes what follows wait until that is known.
func (e *Engine) alter(ctx context.Context, n cluster.Node, statements string) error {
	const lock = "set lock_timeout = '2min';\nselect pg_advisory_lock(hashtext('cw cluster'));\n"
	_, err := e.sql(ctx, n, lock+statements)
	return err
}

// once is a statement that is run only when from (a FROM clause with its
// WHERE) finds nothing.
func once(statement, from string) string {
	return fmt.Sprintf("select %s where not exists (select from %s) \\gexec\n", literal(statement), from)
}

// adminStep makes the owner of the database. The owner may make databases and
// roles of its own and look at everything that is going on, but is no
// superuser.
func (e *Engine) adminStep(n cluster.Node) step.Step {
	name := e.top.Database.Admin
	return step.Step{
		ID: "admin@" + n.Host, Host: n.Host, Title: "create role " + name, Needs: []string{"start@" + n.Host},
		Check: func(ctx context.Context) (step.Observed, error) {
			pw, err := e.adminPassword()
			if err != nil {
				return step.Observed{}, err
			}
			return e.roleCheck(ctx, n, name, pw)
		},
		Apply: func(ctx context.Context) error {
			pw, err := e.adminPassword()
			if err != nil {
				return err
			}
			if err := e.putRole(ctx, n, name, "login createdb createrole", pw); err != nil {
				return fmt.Errorf("creating role %s: %w", name, err)
			}
			return e.alter(ctx, n, "grant pg_monitor to "+ident(name)+";\n")
		},
	}
}

// databaseStep makes the initial database.
func (e *Engine) databaseStep(n cluster.Node) step.Step {
	d := e.top.Database
	return step.Step{
		ID: "database@" + n.Host, Host: n.Host, Title: "create database " + d.Name, Needs: []string{"admin@" + n.Host},
		Check: func(ctx context.Context) (step.Observed, error) {
			if state, err := e.proc(ctx, n); err != nil || state != procReady {
				return step.Observed{Note: "node " + n.Name() + " does not run"}, ignoreNoUser(err)
			}
			var there bool
			err := e.query(ctx, n, fmt.Sprintf("select to_json(exists(select from pg_database where datname = %s))", literal(d.Name)), &there)
			return step.Observed{Done: there, Note: choose(there, "exists", "missing")}, err
		},
		Apply: func(ctx context.Context) error {
			create := fmt.Sprintf("create database %s owner %s template template0 encoding %s lc_collate %s lc_ctype %s",
				ident(d.Name), ident(d.Admin), literal(d.Encoding), literal(d.Locale), literal(d.Locale))
			err := e.alter(ctx, n, once(create, "pg_database where datname = "+literal(d.Name)))
			if err != nil {
				return fmt.Errorf("creating database %s: %w", d.Name, err)
			}
			return nil
		},
	}
}

// rewindFunctions are what pg_rewind calls on its source (PostgreSQL docs,
// pg_rewind, Notes). The role could read the same files with a base backup.
var rewindFunctions = []string{ //nolint:gochecknoglobals // constant table
	"pg_ls_dir(text, boolean, boolean)", "pg_stat_file(text, boolean)", "pg_read_binary_file(text)", "pg_read_binary_file(text, bigint, bigint, boolean)",
}

const grantedQuery = `select to_json(bool_and(has_function_privilege('` + cluster.ReplicationRole + `', 'pg_catalog.' || f, 'execute')))
from unnest(array['pg_ls_dir(text, boolean, boolean)', 'pg_stat_file(text, boolean)', 'pg_read_binary_file(text)', 'pg_read_binary_file(text, bigint, bigint, boolean)']) f`

// rewindGrants let the replication role be the source user of pg_rewind.
func rewindGrants() string {
	var b strings.Builder
	for _, f := range rewindFunctions {
		fmt.Fprintf(&b, "grant execute on function pg_catalog.%s to %s;\n", f, ident(cluster.ReplicationRole))
	}
	return b.String()
}

// replicationStep makes the role and the slots with which standbys stream.
// The slots keep WAL from now on, so that no clone can fall behind.
func (e *Engine) replicationStep(p cluster.Node, standbys []cluster.Node) step.Step {
	missing := func(ctx context.Context) ([]string, error) {
		var have []string
		if err := e.query(ctx, p, "select coalesce(json_agg(slot_name), '[]'::json) from pg_replication_slots where slot_type = 'physical'", &have); err != nil {
			return nil, err
		}
		var out []string
		for _, n := range standbys {
			if !strings.Contains("\n"+strings.Join(have, "\n")+"\n", "\n"+slot(n)+"\n") {
				out = append(out, slot(n))
			}
		}
		return out, nil
	}
	return step.Step{
		ID: "replication@" + p.Host, Host: p.Host, Title: "create role " + cluster.ReplicationRole + " and the slots of the standbys",
		Needs: []string{"start@" + p.Host},
		Check: func(ctx context.Context) (step.Observed, error) {
			pw, err := e.replicationPassword()
			if err != nil {
				return step.Observed{}, err
			}
			o, err := e.roleCheck(ctx, p, cluster.ReplicationRole, pw)
			if err != nil || !o.Done {
				return o, err
			}
			lack, err := missing(ctx)
			if err != nil || len(lack) > 0 {
				return step.Observed{Note: "without slots " + strings.Join(lack, ", ")}, err
			}
			var granted bool
			err = e.query(ctx, p, grantedQuery, &granted)
			return step.Observed{Done: granted, Note: choose(granted, "role "+cluster.ReplicationRole, "may not be used by pg_rewind")}, err
		},
		Apply: func(ctx context.Context) error {
			pw, err := e.replicationPassword()
			if err != nil {
				return err
			}
			if err := e.putRole(ctx, p, cluster.ReplicationRole, "login replication", pw); err != nil {
				return fmt.Errorf("creating role %s: %w", cluster.ReplicationRole, err)
			}
			if err := e.alter(ctx, p, rewindGrants()); err != nil {
				return fmt.Errorf("granting role %s what pg_rewind needs: %w", cluster.ReplicationRole, err)
			}
			var slots strings.Builder
			for _, n := range standbys {
				fmt.Fprintf(&slots, "select pg_create_physical_replication_slot(%[1]s, true) where not exists (select from pg_replication_slots where slot_name = %[1]s);\n", literal(slot(n)))
			}
			if err := e.alter(ctx, p, slots.String()); err != nil {
				return fmt.Errorf("creating the standbys' replication slots: %w", err)
			}
			return nil
		},
	}
}
