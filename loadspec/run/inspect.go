package run

import (
	"context"

	"cw/loadspec"
	"cw/loadspec/copy"
	"cw/loadspec/ledger"
	"cw/state"
)

// Inspection is what the target database knows of a load.
type Inspection struct {
	Objects  []ledger.ObjectProgress
	Sessions []ledger.WorkerSession
}

// Inspect asks the target database how far a load is with each of its objects,
// and what its sessions are doing.
func Inspect(ctx context.Context, j state.Job) (*Inspection, error) {
	conf, err := storedConn(j)
	if err != nil {
		return nil, err
	}
	conn, err := copy.Connect(ctx, conf, "cw load show")
	if err != nil {
		return nil, err
	}
	defer closeConn(ctx, conn)
	server, err := copy.Ask(ctx, conn)
	if err != nil {
		return nil, err
	}
	in := &Inspection{}
	if in.Objects, err = ledger.Objects(ctx, conn, j.ID); err != nil {
		return nil, copy.Explain(err)
	}
	if in.Sessions, err = ledger.Sessions(ctx, conn, j.ID, server.Waiting); err != nil {
		return nil, copy.Explain(err)
	}
	return in, nil
}

// storedConn is the database of a job, be it a load or an unload.
func storedConn(j state.Job) (loadspec.Conn, error) {
	if loadspec.IsUnload([]byte(j.Spec)) {
		u, err := StoredUnload(j)
		if err != nil {
			return loadspec.Conn{}, err
		}
		return u.Conn, nil
	}
	spec, err := StoredSpec(j)
	if err != nil {
		return loadspec.Conn{}, err
	}
	return spec.Conn, nil
}
