package fdist

import (
	"context"
	"time"
)

// writeSessions are the statements that write at present.
type writeSessions struct{}

func (w *writeSessions) init() {}

func (w *writeSessions) closeAll(context.Context) {}

func (w *writeSessions) sweep(context.Context, time.Time) {}

// live tells whether the statement of a request writes the request's path at
// this moment.
func (w *writeSessions) live(*Request) bool { return false }

func (w *writeSessions) infos() []SessionInfo { return nil }

func (s *Server) post(_ context.Context, c *conn, _ *Request) {
	c.fail(&StatusError{Code: 500, Reason: "writing is not there yet"})
}
