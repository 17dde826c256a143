package fdist

import "context"

func (s *Server) status(_ context.Context, c *conn, _ *Request) { c.empty() }
