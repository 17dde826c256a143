package report

import (
	"context"
	"fmt"
)

const mostRoles = 200

// roles are those that may log in or do more than own their objects.
func (b *builder) roles(ctx context.Context) error {
	const from = `select r.oid, r.rolname as name, r.rolsuper as superuser, r.rolcanlogin as login, r.rolcreaterole as create_role, r.rolcreatedb as create_db,
  case when r.rolvaliduntil is null or not isfinite(r.rolvaliduntil) then null else r.rolvaliduntil end as valid_until, row_to_json(r) as whole, %s as password,
  array(select distinct g.rolname::text from pg_auth_members m join pg_roles g on g.oid = m.roleid where m.member = r.oid order by 1) as member_of
from pg_roles r %s where r.rolname !~ '^pg_' and (r.rolcanlogin or r.rolsuper or r.rolcreaterole or r.rolcreatedb) order by not r.rolsuper, not r.rolcanlogin, 2 limit 201`
	type row struct {
		Role
		Whole struct { // columns that not every version has
			Replication bool `json:"rolreplication"`
			BypassRLS   bool `json:"rolbypassrls"`
		} `json:"whole"`
	}
	// What is stored of a password never leaves the server, only its kind.
	const kind = `case when a.rolpassword is null then 'none' when a.rolpassword like 'SCRAM-SHA-256$%' then 'scram-sha-256' when a.rolpassword like 'md5%' then 'md5' else 'other' end`
	found, err := ask[row](ctx, b.ask, "", fmt.Sprintf(from, kind, "join pg_authid a on a.oid = r.oid"))
	if err != nil && ctx.Err() == nil {
		b.missing(SectionRoles, "", fmt.Errorf("how passwords are stored: %w", err))
		found, err = ask[row](ctx, b.ask, "", fmt.Sprintf(from, "'unknown'", ""))
	}
	if err != nil {
		return err
	}
	if len(found) > mostRoles {
		found = found[:mostRoles]
		b.missing(SectionRoles, "", fmt.Errorf("only %d roles are listed, superusers first", mostRoles))
	}
	for _, r := range found {
		r.Replication, r.BypassRLS = r.Whole.Replication, r.Whole.BypassRLS
		if r.MemberOf == nil {
			r.MemberOf = []string{}
		}
		b.r.Roles = append(b.r.Roles, r.Role)
	}
	return nil
}
