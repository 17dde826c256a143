package sink

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"cw/playground/s3test"
)

// TestSweep removes what a killed process left, and nothing else.
func TestSweep(t *testing.T) {
	t.Parallel()
	srv := s3test.Start(t, "bucket")
	dir := t.TempDir()
	for _, location := range []string{dir, "s3://bucket/out"} {
		store, err := Open(location, Options{Endpoint: srv.Endpoint, PathStyle: true, Credentials: srv.Credentials()})
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"a.0.mine.csv", "a.0.theirs.csv"} {
			o, err := store.Create(t.Context(), name)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := o.Write(make([]byte, 9<<20)); err != nil { // begins an upload
				t.Fatal(err)
			}
			if err := o.Finish(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if err := store.Sweep(t.Context(), "mine"); err != nil {
			t.Fatal(err)
		}
	}
	if names, err := os.ReadDir(dir); err != nil || len(names) != 1 || filepath.Base(names[0].Name())[:10] != ".a.0.their" {
		t.Errorf("%v, %v", names, err)
	}
	s := newS3Store("bucket", "out", Options{Endpoint: srv.Endpoint, PathStyle: true, Credentials: srv.Credentials()}.withDefaults())
	c, err := s.Client(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	left, err := c.ListMultipartUploads(t.Context(), &s3.ListMultipartUploadsInput{Bucket: aws.String("bucket")})
	if err != nil || len(left.Uploads) != 1 || aws.ToString(left.Uploads[0].Key) != "out/a.0.theirs.csv" {
		t.Errorf("%+v, %v", left, err)
	}
}
