package fdist

// Request is one request of a segment, its headers read and checked.
type Request struct {
	Method string // GET or POST
	Target string // of the request line, as it came
	Path   string // percent-decoded, without leading slashes; several files are separated by spaces
	Peer   string // address and port

	XID, CID, SN string // of the statement; all empty: a client of its own, without a session to share
	Segment      int    // content id
	Segments     int    // primaries in the cluster
	Proto        int    // 0 raw stream, 1 frames
	Seq          int64  // POST: number of the request, from 1
	Done         bool   // POST: the segment has nothing more
	Zstd         bool   // the segment understands zstd on the wire
	Transform    string

	CSV       bool
	Quote     byte
	Escape    byte
	EOL       EOL
	Header    bool
	LineDelim []byte // nil: as EOL says, LF when that is unknown

	Database, User, Session          string // GET only
	CoordinatorHost, CoordinatorPort string

	session int64 // the server's number of the session it has joined
}

// EOL is how rows end.
type EOL int

// The row ends of X-GP-CSVOPT, with its numbers.
const (
	EOLUnknown EOL = iota
	EOLLF
	EOLCR
	EOLCRLF
)
