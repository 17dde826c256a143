package run

import (
	"context"
	"errors"
	"io"

	"github.com/jackc/pgx/v5"

	"cw/loadspec"
	"cw/loadspec/copy"
	"cw/loadspec/external"
	"cw/loadspec/infer"
	"cw/loadspec/source"
	"cw/loadspec/throttle"
)

// suggestBytes of an object are looked at for a new control file.
const suggestBytes = 256 << 10

// Suggestion is what could be found out for a new control file.
type Suggestion struct {
	loadspec.TemplateOptions
	Object string // that was looked at; "" none
	Codec  string
	Guess  infer.Guess
	// Why something could not be looked at; nil when it could.
	ObjectErr, TableErr error
}

// Suggest looks at the first object of a location and at the table that it is
// to go to, as far as they can be reached.
func Suggest(ctx context.Context, o loadspec.TemplateOptions, src source.Options) *Suggestion {
	s := &Suggestion{TemplateOptions: o}
	s.TableErr = s.table(ctx)
	if s.ObjectErr = s.object(ctx, src); s.ObjectErr != nil {
		return s
	}
	s.Format, s.Delimiter, s.Header, s.Names = s.Guess.Format, s.Guess.Delimiter, s.Guess.Header, s.Guess.Names
	return s
}

func (s *Suggestion) table(ctx context.Context) error {
	schemaName, table, err := loadspec.SplitName(s.Table)
	if err != nil {
		return err
	}
	conn, err := copy.Connect(ctx, s.Database, "cw load init")
	if err != nil {
		return err
	}
	defer closeConn(ctx, conn)
	server, err := copy.Ask(ctx, conn)
	if err != nil {
		return err
	}
	s.Database = loadspec.Conn{Host: server.Host, Port: int(server.Port), Database: server.Database, User: server.User}
	s.Columns, err = find(ctx, conn, server, loadspec.Output{Schema: schemaName, Table: table})
	return err
}

func (s *Suggestion) object(ctx context.Context, o source.Options) error {
	set := source.New([]loadspec.Source{{Locations: []string{s.URL}, Endpoint: s.Endpoint, PathStyle: s.Endpoint != ""}}, o)
	objects, err := set.List(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	st, err := set.Stream(ctx, objects[0], loadspec.CompressionAuto, 0, throttle.New(0, nil))
	if err != nil {
		return err
	}
	defer st.Close()
	head := make([]byte, suggestBytes)
	n, err := io.ReadFull(st, head)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return err
	}
	if n < len(head) && n > 0 && head[n-1] != '\n' {
		head[n] = '\n' // the last row has no end
		n++
	}
	var names []string
	for _, c := range s.Columns {
		names = append(names, c.Name)
	}
	s.Object, s.Codec, s.Guess = objects[0].URL, st.Codec, infer.Sniff(head[:n], names)
	return nil
}

// find lists the columns that a load fills unless it is told others: not those
// of sequences, and not computed ones.
func find(ctx context.Context, conn *pgx.Conn, server *copy.Server, o loadspec.Output) (columns []loadspec.Column, err error) {
	add := func(name, typ string, no bool) {
		if !no {
			columns = append(columns, loadspec.Column{Name: name, Type: typ})
		}
	}
	if server.Greenplum {
		t, err := external.Describe(ctx, conn, o)
		if err != nil {
			return nil, err
		}
		for _, c := range t.Columns {
			add(c.Name, c.Type, c.Sequence || c.Generated)
		}
		return columns, nil
	}
	t, err := copy.Find(ctx, conn, o)
	if err != nil {
		return nil, err
	}
	for _, c := range t.Columns {
		add(c.Name, c.Type, c.Sequence || c.Generated)
	}
	return columns, nil
}
