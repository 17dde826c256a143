// Package object measures the road from a host to an S3-compatible store:
// multipart uploads, ranged reads, the first byte of small objects, and how
// long a connection takes to make. What it reads it compares with what it had
// written, every byte, while it is measured; what it writes it compares with
// the store's ETag. It removes what it put, unfinished uploads included.
package object

import (
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"cw/fault"
	"cw/loadspec/s3api"
	"cw/perfcheck"
)

// Kind is what a job measures.
type Kind string

// The kinds of jobs.
const (
	Put       Kind = "put"       // multipart uploads, Streams parts at a time
	Get       Kind = "get"       // ranged reads, Streams at a time
	FirstByte Kind = "firstbyte" // reads of small objects, Rate per second
	Connect   Kind = "connect"   // new connections, Rate per second
)

// Job is one measurement. It works on what Prepare made.
type Job struct {
	perfcheck.Timing
	Kind    Kind    `json:"kind"`
	Part    int64   `json:"part,omitempty"`    // bytes of a part (put) or of a range (get)
	Streams int     `json:"streams,omitempty"` // requests under way (put, get)
	Rate    float64 `json:"rate,omitempty"`    // per second (firstbyte, connect)
}

// Settings say where the store is and what is made there.
type Settings struct {
	URL string `json:"url"` // s3://bucket/prefix
	// Access is the way in. Its Credentials and CAFile are of the machine
	// that it is used on: Keys and Authorities travel instead.
	Access      s3api.Access     `json:"access"`
	Keys        *aws.Credentials `json:"keys,omitempty"`        // nil: the host's own chain
	Authorities []byte           `json:"authorities,omitempty"` // PEM of those that are trusted instead of the machine's
	Run         string           `json:"run"`                   // id of the run: the folder of all that it makes
	Host        string           `json:"host"`                  // and the folder in that
	Seed        uint64           `json:"seed"`
	Data        int64            `json:"data"`  // bytes that are put for the reads
	Parts       []int64          `json:"parts"` // sizes that will be put: their sums are computed first
}

// FolderPrefix begins the names of the folders that runs make below the
// prefix of the URL.
const FolderPrefix = "cw-perf-"

const (
	mib = int64(1) << 20
	gib = int64(1) << 30

	smallSize  = 4 << 10  // bytes of an object whose first byte is waited for
	smallCount = 16       //
	dataObject = 64 * mib // largest object of those that are read

	// attempts is how often a request is tried before it fails the test.
	attempts = 5
	// firstPause is what is waited before the second attempt; it doubles.
	firstPause = 100 * time.Millisecond
	// stall is the longest time without a byte before a request is given up.
	stall = 20 * time.Second
)

// DefaultData is how much is put for the reads of a profile.
func DefaultData(profile string) int64 {
	switch profile {
	case "quick":
		return 128 * mib
	case "soak":
		return 4 * gib
	}
	return gib
}

func (j Job) check() error {
	bad := j.Duration <= 0
	switch j.Kind {
	case Put:
		bad = bad || j.Part < 5*mib || j.Streams < 1 // the least that S3 takes for a part
	case Get:
		bad = bad || j.Part < 1 || j.Streams < 1
	case FirstByte, Connect:
		bad = bad || j.Rate <= 0
	default:
		bad = true
	}
	if bad {
		return fault.New(fault.Usage, "", "object: %+v makes no measurement", j)
	}
	return nil
}
