package greenplum

import (
	"context"
	"crypto/md5" //nolint:gosec // the server's own password hash
	"encoding/hex"
	"fmt"
	"path/filepath"
	"strings"

	"cw/cluster/secret"
	"cw/cluster/step"
)

// AdminPasswordFile is where the password of database.admin is: the
// topology's file, else one that cw makes.
func (e *Engine) AdminPasswordFile() string {
	if f := e.top.Database.PasswordFile; f != "" {
		return f
	}
	return filepath.Join(e.Dir, "admin.pass")
}

func (e *Engine) adminPassword() (string, error) {
	if e.top.Database.PasswordFile == "" {
		return secret.Made(e.AdminPasswordFile())
	}
	return secret.Given("database.password_file", e.AdminPasswordFile())
}

// verifier is what pg_authid.rolpassword holds for a password: "md5" and the
// MD5 of password and role (Greenplum 6 knows no SCRAM). It is computed here
// so that the server, and its log, never see the password itself.
func verifier(role, password string) string {
	sum := md5.Sum([]byte(password + role)) //nolint:gosec // as above
	return "md5" + hex.EncodeToString(sum[:])
}

// adminStep makes the owner of the database. The owner may make databases,
// roles and external tables on gpfdist servers, but is no superuser.
func (e *Engine) adminStep(needs ...string) step.Step {
	name := e.top.Database.Admin
	return step.Step{
		ID: "admin", Host: e.coordinator().Host, Title: "create role " + name, Needs: needs,
		Check: func(ctx context.Context) (step.Observed, error) {
			pw, err := e.adminPassword()
			if err != nil {
				return step.Observed{}, err
			}
			if s, err := e.see(ctx, e.coordinator()); err != nil || s.Proc != procReady {
				return step.Observed{Note: "the coordinator does not run"}, err
			}
			out, err := e.sql(ctx, session{node: e.coordinator()}, fmt.Sprintf("select rolpassword from pg_authid where rolname = %s and rolcanlogin;", literal(name)))
			same := out == verifier(name, pw)
			return step.Observed{Done: same, Note: choose(same, "role "+name, choose(out == "", "no role "+name, "another password"))}, err
		},
		Apply: func(ctx context.Context) error {
			pw, err := e.adminPassword()
			if err != nil {
				return err
			}
			_, err = e.sql(ctx, session{node: e.coordinator()}, e.roleStatements(name, verifier(name, pw)))
			if err != nil {
				return fmt.Errorf("creating role %s: %w", name, err)
			}
			return nil
		},
		Verify: verified,
	}
}

// roleStatements create a role, unless it is there, and set its password. The
// lock makes them wait for those of a cw that was killed: its session goes on
// to the end of its statement.
func (e *Engine) roleStatements(name, hash string) string {
	return fmt.Sprintf(`set lock_timeout = '2min';
set client_min_messages = warning;
do $cw$
begin
  perform pg_advisory_xact_lock(hashtext('cw cluster'));
  if not exists (select 1 from pg_authid where rolname = %[1]s) then execute %[2]s; end if;
  execute %[3]s;
end $cw$;
`, literal(name), literal("create role "+ident(name)),
		literal(fmt.Sprintf("alter role %s login createdb createrole createexttable (type = 'readable', protocol = 'gpfdist') createexttable (type = 'writable', protocol = 'gpfdist') password %s", ident(name), literal(hash))))
}

// databaseStep makes the initial database.
func (e *Engine) databaseStep(needs ...string) step.Step {
	d := e.top.Database
	exists := func(ctx context.Context) (bool, error) {
		out, err := e.sql(ctx, session{node: e.coordinator()}, fmt.Sprintf("select count(*) from pg_database where datname = %s;", literal(d.Name)))
		return out == "1", err
	}
	return step.Step{
		ID: "database", Host: e.coordinator().Host, Title: "create database " + d.Name, Needs: needs,
		Check: func(ctx context.Context) (step.Observed, error) {
			if s, err := e.see(ctx, e.coordinator()); err != nil || s.Proc != procReady {
				return step.Observed{Note: "the coordinator does not run"}, err
			}
			there, err := exists(ctx)
			return step.Observed{Done: there, Note: choose(there, "exists", "missing")}, err
		},
		Apply: func(ctx context.Context) error {
			create := fmt.Sprintf("create database %s owner %s template template0 encoding %s lc_collate %s lc_ctype %s;\n",
				ident(d.Name), ident(d.Admin), literal(d.Encoding), literal(d.Locale), literal(d.Locale))
			_, err := e.sql(ctx, session{node: e.coordinator()}, "set lock_timeout = '2min';\n"+create)
			if err == nil {
				return nil
			}
			// One that an earlier run was still making may be there now.
			if there, lerr := exists(ctx); lerr == nil && there && strings.Contains(err.Error(), "already exists") {
				return nil
			}
			return fmt.Errorf("creating database %s: %w", d.Name, err)
		},
		Verify: verified,
	}
}
