package run

import (
	"context"

	"github.com/jackc/pgx/v5"

	"cw/loadspec"
	"cw/loadspec/copy"
	"cw/loadspec/external"
	"cw/loadspec/sink"
)

// UnloadPlan is what an unload would do.
type UnloadPlan struct {
	Server     *copy.Server
	Source     string // table, or "query"
	Columns    []loadspec.Column
	Place      string // URL of the objects, with * for part or segment, and job
	Format     string
	Segments   int      // of Greenplum, that write in parallel
	Ranges     int      // that are read on their own; 1 is one stream
	Relations  []string // tables and partitions that are read; none for what is read as one
	Workers    int
	Snapshot   bool   // sessions share an exported snapshot
	OneStream  string // why there is one stream; ""
	BytesTotal int64  // an estimate of what is read; 0 unknown
	Statement  string // of the first range
	Notes      []string
}

// PlanUnload looks everything up that an unload needs, and changes nothing.
func PlanUnload(ctx context.Context, u *loadspec.Unload, o Options) (*UnloadPlan, error) {
	r := newUnload(u, o)
	if err := r.open(ctx); err != nil {
		return nil, err
	}
	conn, err := r.connect(ctx)
	if err != nil {
		return nil, err
	}
	defer closeConn(ctx, conn)
	if r.server, err = copy.Ask(ctx, conn); err != nil {
		return nil, err
	}
	p := &UnloadPlan{Server: r.server, Source: u.Subject(), Format: u.Format.Kind, Place: sink.Pattern(r.store, r.name, u.Merge, compressionOf(u.Format), u.PartitionBy)}
	if r.server.Greenplum {
		return p, r.planGreenplum(ctx, conn, p)
	}
	snap, err := copy.TakeSnapshot(ctx, conn, u.Table)
	if err != nil {
		return nil, err
	}
	defer func() { _ = snap.Rollback(ctx) }()
	e, err := r.newExtraction(ctx, snap)
	if err != nil {
		return nil, err
	}
	for _, c := range e.x.Columns {
		p.Columns = append(p.Columns, loadspec.Column{Name: c.Name, Type: c.Type})
	}
	for _, rel := range e.x.Relations {
		p.Relations = append(p.Relations, rel.Schema+"."+rel.Name)
	}
	p.Ranges, p.Workers, p.Snapshot, p.OneStream, p.Notes = len(e.slices), e.workers, e.workers > 1, e.x.Reason, e.notes
	p.BytesTotal, p.Statement = e.x.Bytes, e.shape.statement(e.slices[0])
	return p, nil
}

func (r *unload) planGreenplum(ctx context.Context, conn *pgx.Conn, p *UnloadPlan) error {
	warnings, err := r.u.OnGreenplum()
	if err != nil {
		return err
	}
	r.warn(warnings)
	r.gp = &greenplum{}
	t, from, err := r.table(ctx, conn)
	if err != nil {
		return err
	}
	p.Columns, p.Statement = t.Columns, "INSERT INTO "+external.Qualified(t.Schema, "…")+" "+from
	err = conn.QueryRow(ctx, "select count(*) from gp_segment_configuration where content >= 0 and role = 'p'").Scan(&p.Segments)
	return copy.Explain(err)
}
