package report

import (
	"math"
	"time"

	"cw/cluster"
	"cw/monitor"
	"cw/monitor/inspect"
	"cw/state"
)

func at(text string) time.Time {
	t, err := time.Parse("2006-01-02 15:04", text)
	if err != nil {
		panic(err)
	}
	return t
}

func num(v float64) *float64 { return &v }

const evil = `</td></table><script>alert("x")</script>|a` + "\n\x1b[31m| [b](http://evil.example) `c` @all"

// sample is a report with something in every section.
func sample() *Report {
	now := at("2026-11-21 12:00")
	lag, age := int64(12<<20), int64(3*86400)
	until, newest := at("2027-03-01 00:00"), at("2026-11-18 12:00")
	r := &Report{
		Cluster: "dw1", Engine: cluster.EngineStatus{Kind: "postgres", Version: "15.18"}, MadeAt: now, By: "ann@desk", Asked: 40,
		Missing: []Missing{{SectionTables, "old", "connection refused"}},
		Health: &Health{
			State: cluster.Degraded, Endpoint: cluster.Endpoint{Host: "10.0.0.10", Port: 5432, Database: "warehouse"}, Problems: []string{"standby n2 on h2 lags behind by 12MB"},
			Nodes: []cluster.NodeStatus{
				{ID: "n1", Role: "primary", Host: "h1", Port: 5432, State: "up"},
				{ID: "n2", Role: "standby", Host: "h2", Port: 5432, State: "up", Mode: "catchup", LagBytes: &lag},
			},
			Hosts: []cluster.HostStatus{{Name: "h1", Address: "10.0.0.10", Reachable: true}, {Name: "h2", Address: "10.0.0.11", Error: "no route to host"}},
		},
		Findings: []inspect.Finding{
			{Rule: "setting.dangerous", Title: "Settings that lose data or let the database rot", Severity: inspect.Critical, Object: "fsync", Text: "off", Remedy: "cw cluster config set CLUSTER fsync=VALUE, or take it out of postgresql.auto.conf"},
			{Rule: "table.bloat", Title: "Tables with many dead rows", Severity: inspect.Critical, Database: "warehouse", Object: "public." + evil, Value: num(0.7), Unit: inspect.Share, Text: "70 %, 700000 dead rows, never vacuumed", Remedy: "vacuum public." + evil},
			{Rule: "index.duplicate", Title: "Indexes that are there twice", Severity: inspect.Warning, Database: "warehouse", Object: "orders_customer_idx, orders_customer_idx1", Text: "on orders, 1200 MB", Remedy: "drop all but one of orders_customer_idx, orders_customer_idx1"},
			{Rule: "key.no_index", Title: "Foreign keys without an index", Severity: inspect.Notice, Database: "warehouse", Object: "lines lines_order_id_fkey", Text: "on orders: deleting there reads all of it", Remedy: "create index concurrently on the columns of lines lines_order_id_fkey"},
		},
		Omitted: []inspect.Omitted{{Rule: "ours.secret", Database: "warehouse", Reason: "permission denied for table secret"}},
		Tables: []Table{
			{Database: "warehouse", Schema: "public", Name: "lineitem", Kind: "partitioned table", Size: 812 << 30, Indexes: 120 << 30, Toast: 1 << 20, Rows: num(6e9), Partitions: 84},
			{Database: "warehouse", Schema: "public", Name: evil, Kind: "table", Size: 90 << 30, Indexes: 9 << 30, Rows: num(7e8), Skew: num(1.94)},
			{Database: "crm", Schema: "sales", Name: "a_table_with_a_name_that_is_as_long_as_names_may_be_in_postgresql", Kind: "table", Size: 7 << 30},
		},
		Queries: []Query{
			{Query: "select l_orderkey, sum(l_extendedprice * ($1 - l_discount)) as revenue from customer, orders, lineitem where c_mktsegment = $2 and c_custkey = o_custkey group by 1", Database: "warehouse", User: "bi", Calls: 1200, TotalSeconds: 5400, Share: 0.61, MeanSeconds: 4.5, Rows: 120000, HitRatio: num(0.42)},
			{Query: "insert into " + evil + " values ($1)", Database: "crm", User: "app", Calls: 8_000_000, TotalSeconds: 1200, Share: 0.14, MeanSeconds: 0.00015, Rows: 8_000_000, HitRatio: num(0.9993)},
		},
		Settings: []Setting{
			{Name: "work_mem", Value: "1GB", Profile: "64MB", Source: "/data/lab/n1/data/postgresql.auto.conf:3", Reason: ReasonProfile},
			{Name: "statement_timeout", Value: "0", Source: "role bi", Reason: ReasonScope},
			{Name: "max_connections", Value: "200", Default: "100", Source: "profile of cw", Reason: ReasonChanged},
		},
		Roles: []Role{
			{Name: "postgres", Superuser: true, Login: true, Password: "none", MemberOf: []string{}},
			{Name: "etl", Login: true, CreateDB: true, Password: "md5", ValidUntil: &until, MemberOf: []string{"pg_monitor", "pg_read_all_data"}},
		},
		Backup: &Backup{Known: true, Newest: &newest, AgeSeconds: &age, By: "the history file of a base backup (nightly)", Archive: &Archive{Mode: "on", LastArchived: &newest, Failures: 2}},
		Loads:  &Loads{Days: 30, Count: 41, Failed: 2, Running: 1, Bytes: 9e12, Rows: 5e9, Rejected: 12},
		Alerts: []state.Alert{
			{ID: "a1", Rule: "node.lag", Severity: "warning", Cluster: "dw1", Host: "h2", Message: "standby n2 lags behind by 12MB", BeganAt: at("2026-11-21 11:30"), FiredAt: at("2026-11-21 11:30")},
			{ID: "a2", Rule: "host.silent", Severity: "critical", Cluster: "dw1", Host: "h2", Message: "host h2 does not answer", BeganAt: at("2026-11-02 03:00"), FiredAt: at("2026-11-02 03:01"), ResolvedAt: at("2026-11-02 09:00")},
		},
	}
	disk := func(used, rate float64) Mount {
		m := Mount{Path: "/data1", Size: 2e12, Used: int64(used), Free: int64(2e12 - used)}
		for i := range 30 * 24 {
			back := float64(30*24-1-i) / 24 // days
			m.History = append(m.History, Point{At: now.Add(-time.Duration(back*24) * time.Hour), Value: used - rate*back + 1e10*math.Sin(float64(i)/7)})
		}
		m.Forecast = NewForecast(m.History, 2e12)
		m.History = monitor.Thin(m.History, mostPoints)
		return m
	}
	r.Capacity = &Capacity{
		Hosts: []HostCapacity{
			{Name: "h1", Mounts: []Mount{disk(1.5e12, 2e10), {Path: "/data2", Size: 2e12, Used: 1e11, Free: 19e11, Forecast: NewForecast(nil, 2e12)}}},
			{Name: "h2", Mounts: []Mount{disk(6e11, -1e6)}},
		},
		Databases: []DatabaseSize{
			databaseSize("warehouse", 14e11, disk(1.4e12, 2e10).History, now),
			databaseSize("crm", 9e9, nil, now),
		},
	}
	r.summarise()
	return r
}
