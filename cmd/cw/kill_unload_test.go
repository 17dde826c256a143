package main_test

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"cw/playground/pgtest"
	"cw/playground/s3test"
)

// An unload that is killed at any moment ends, resumed, with exactly the rows
// of the table: no object that is not in the manifest, no upload, no session
// is left.
func TestKillUnloadThenResume(t *testing.T) {
	t.Parallel()
	pg := pgtest.Start(t)
	srv := s3test.Start(t, "bucket")
	const rows = 100_000
	pg.Exec(t, "postgres", fmt.Sprintf("create table public.src as select i as id, 'word ' || i as word from generate_series(1, %d) i", rows))
	conn := pg.Connect(t, "postgres")
	u := newUser(t)
	u.env = append(u.env, "PGPASSWORD=cw", "PGSSLMODE=disable", "AWS_ACCESS_KEY_ID="+srv.Access, "AWS_SECRET_ACCESS_KEY="+srv.Secret, "AWS_EC2_METADATA_DISABLED=true")
	total, known := 0, 0
	killed := func(args ...string) {
		if !u.killAfter(time.Duration(rand.Int64N(int64(1300*time.Millisecond))), args...) { //nolint:gosec // no secret
			return
		}
		total++
		waitUntil(t, "no session is left", func() bool {
			var n int
			err := conn.QueryRow(t.Context(), "select count(*) from pg_stat_activity where application_name like 'cw load%'").Scan(&n)
			return err == nil && n == 0
		})
	}
	for round := range rounds(t, 4) {
		dir := filepath.Join(u.home, fmt.Sprintf("out%d", round))
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		sink := fmt.Sprintf(`{FILE: "%s/r.csv"}`, dir)
		if round%2 == 1 {
			sink = fmt.Sprintf(`{URL: "s3://bucket/out%d/r.csv", ENDPOINT: "%s"}`, round, srv.Endpoint)
		}
		spec := filepath.Join(u.home, fmt.Sprintf("u%d.yaml", round))
		writeFile(t, spec, fmt.Sprintf(`VERSION: 1.0.0.1
HOST: 127.0.0.1
PORT: %d
USER: cw
DATABASE: postgres
GPLOAD:
  INPUT: [{TABLE: src}]
  OUTPUT:
    - SINK: %s
    - FORMAT: csv
    - MAX_SIZE: 200kB
  PARALLEL: {WORKERS: 3}
  SPEED: {LIMIT: 2MB/s}
`, pg.Port, sink))
		killed("unload", "run", spec)
		var jobs struct {
			Items []struct{ ID, State string }
		}
		u.read(&jobs, "load", "list")
		id := ""
		if len(jobs.Items) > known {
			id, known = jobs.Items[0].ID, len(jobs.Items) // the newest
		}
		switch {
		case id == "": // killed before the job was recorded
			u.must("unload", "run", spec)
			known++
		case jobs.Items[0].State != "done":
			killed("load", "resume", id)
			u.must("load", "resume", id)
		}
		objects := objectsIn(t, dir)
		if round%2 == 1 {
			objects = objectsBelow(t, srv, fmt.Sprintf("out%d/", round))
		}
		ids, manifests := map[string]bool{}, 0
		var m struct{ Objects []struct{ URL string } }
		for name, data := range objects {
			if strings.HasSuffix(name, ".manifest.json") {
				manifests++
				if err := json.Unmarshal(data, &m); err != nil {
					t.Fatal(err)
				}
				continue
			}
			records, err := csv.NewReader(bytes.NewReader(data)).ReadAll()
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range records {
				ids[r[0]+r[1]] = true
			}
		}
		if len(ids) != rows || manifests != 1 || len(m.Objects) != len(objects)-1 {
			t.Errorf("round %d: %d rows, want %d; %d objects, %d manifests with %d objects", round, len(ids), rows, len(objects), manifests, len(m.Objects))
		}
	}
	if total == 0 {
		t.Error("no unload was killed: the test proves nothing")
	}
	wantProcesses(t, u.home, 0)
}

// objectsIn are the files of a folder.
func objectsIn(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	objects := map[string][]byte{}
	for _, f := range files {
		data, err := os.ReadFile(filepath.Join(dir, f.Name()))
		if err != nil {
			t.Fatal(err)
		}
		objects[f.Name()] = data
	}
	return objects
}

// objectsBelow are the objects of a folder of the bucket, in which no upload
// may be open.
func objectsBelow(t *testing.T, srv *s3test.Server, prefix string) map[string][]byte {
	t.Helper()
	c := s3.New(s3.Options{Region: "us-east-1", BaseEndpoint: &srv.Endpoint, UsePathStyle: true, Credentials: srv.Credentials()})
	open, err := c.ListMultipartUploads(t.Context(), &s3.ListMultipartUploadsInput{Bucket: aws.String("bucket")})
	if err != nil {
		t.Fatal(err)
	}
	if len(open.Uploads) > 0 {
		t.Errorf("%d uploads are left", len(open.Uploads))
	}
	list, err := c.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: aws.String("bucket"), Prefix: &prefix})
	if err != nil {
		t.Fatal(err)
	}
	objects := map[string][]byte{}
	for _, o := range list.Contents {
		objects[*o.Key] = srv.Get(t, "bucket", *o.Key)
	}
	return objects
}
