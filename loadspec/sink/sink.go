// Package sink is where unloaded rows go: objects of S3-compatible stores and
// local files, behind one interface. An object appears whole, with Commit, or
// not at all: until then its bytes are parts of a multipart upload, or a
// hidden file beside the target. Outputs puts the write sessions of a gpfdist
// server on top, one object per segment and statement or one for all.
package sink

import (
	"context"
	"io"
	"net/url"
	"path"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"cw/fault"
	"cw/loadspec/s3api"
)

// Store is a place for objects: a prefix of a bucket, or a folder.
type Store interface {
	// Create begins an object. Names are relative to the store; nothing is
	// visible under it before Commit. The object lives on when ctx ends.
	Create(ctx context.Context, name string) (Object, error)
	// Check tries what Create would need, without leaving anything behind.
	Check(ctx context.Context) error
	// Sweep removes what a killed process has left of objects in the making
	// with this epoch in their names. Nobody may be making such objects meanwhile.
	Sweep(ctx context.Context, epoch string) error
	// Clear removes objects with this epoch in their names, which a run has
	// published that did not come to its end.
	Clear(ctx context.Context, epoch string) error
	// URL names an object in messages.
	URL(name string) string
}

// Object is one object in the making. Only Abort is for another goroutine than
// the one that writes; it makes that one stop.
type Object interface {
	io.Writer
	// Finish brings to the store what is still here, so that Commit has
	// little left to do; nothing can be written after it.
	Finish(ctx context.Context) error
	// Commit makes the object visible.
	Commit(ctx context.Context) error
	// Abort throws away what is not committed; after Commit it does nothing.
	Abort(ctx context.Context) error
}

// Options says how a store is reached; the zero value is Amazon S3 with the
// credentials of the AWS chain.
type Options struct {
	Endpoint  string // of an S3-compatible store
	Region    string
	Profile   string // of ~/.aws
	PathStyle bool

	Access      *s3api.Access           // instead of the above, with all there is to say
	Credentials aws.CredentialsProvider // instead of the AWS chain
	Attempts    int                     // tries of one request before giving up; 0: 10, about a minute
	Backoff     time.Duration           // first wait between tries, doubled up to 50 times; 0: 200 ms
	Stall       time.Duration           // longest silence of a store; 0: 30 s
	PartSize    int64                   // bytes of the first 1000 parts; 0: 8 MiB, the least S3 takes is 5 MiB
	Uploads     int                     // parts under way at once, all objects together; 0: 16
	OnRetry     func(url string, err error, wait time.Duration)
}

func (o Options) withDefaults() Options {
	if o.Access == nil {
		o.Access = &s3api.Access{Endpoint: o.Endpoint, Region: o.Region, Profile: o.Profile, PathStyle: o.PathStyle}
	}
	o.Endpoint = o.Access.Endpoint
	if o.Attempts == 0 {
		o.Attempts = 10
	}
	if o.Backoff == 0 {
		o.Backoff = 200 * time.Millisecond
	}
	if o.Stall == 0 {
		o.Stall = 30 * time.Second
	}
	if o.PartSize == 0 {
		o.PartSize = 8 << 20
	}
	if o.Uploads == 0 {
		o.Uploads = 16
	}
	if o.OnRetry == nil {
		o.OnRetry = func(string, error, time.Duration) {}
	}
	return o
}

// Open prepares a store: s3://bucket/prefix, file:///folder or a path. Nothing
// is contacted yet.
func Open(location string, o Options) (Store, error) {
	o = o.withDefaults()
	switch {
	case strings.HasPrefix(location, "s3://"):
		bucket, prefix, _ := strings.Cut(strings.TrimPrefix(location, "s3://"), "/")
		if bucket == "" {
			return nil, fault.New(fault.Usage, "write s3://bucket/prefix", "%s: names no bucket", location)
		}
		return newS3Store(bucket, strings.Trim(prefix, "/"), o), nil
	case strings.HasPrefix(location, "file://"):
		u, err := url.Parse(location)
		if err != nil || u.Host != "" && u.Host != "localhost" || u.Path == "" {
			return nil, fault.New(fault.Usage, "write file:///folder", "%s: is not the URL of a local folder", location)
		}
		return newFileStore(u.Path), nil
	case strings.Contains(location, "://"):
		return nil, fault.New(fault.Usage, "write s3://bucket/prefix, file:///folder or a path", "%s: cw cannot write there", location)
	default:
		return newFileStore(location), nil
	}
}

// cleanName refuses names that leave the store.
func cleanName(name string) (string, error) {
	clean := path.Clean("/" + name)[1:]
	if clean == "" || clean != strings.TrimLeft(name, "/") {
		return "", fault.New(fault.Usage, "", "%q cannot be the name of an object", name)
	}
	return clean, nil
}
