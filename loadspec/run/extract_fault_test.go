package run

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"cw/fault"
	"cw/loadspec"
	"cw/loadspec/copy"
	"cw/loadspec/sink"
	"cw/loadspec/source"
	"cw/playground/pgtest"
	"cw/playground/s3test"
)

// leftovers are all files below a folder, and empty folders.
func leftovers(t *testing.T, dir string) (left []string) {
	t.Helper()
	_ = filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if path != dir {
			left = append(left, path)
		}
		return err
	})
	return left
}

// bucket lists the objects and uploads of a bucket.
func bucket(t *testing.T, srv *s3test.Server, name string) (keys, uploads []string) {
	t.Helper()
	c := s3.New(s3.Options{Region: "us-east-1", BaseEndpoint: &srv.Endpoint, UsePathStyle: true, Credentials: srv.Credentials()})
	objects, err := c.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: &name})
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range objects.Contents {
		keys = append(keys, aws.ToString(o.Key))
	}
	open, err := c.ListMultipartUploads(t.Context(), &s3.ListMultipartUploadsInput{Bucket: &name})
	if err != nil {
		t.Fatal(err)
	}
	for _, u := range open.Uploads {
		uploads = append(uploads, aws.ToString(u.Key))
	}
	return keys, uploads
}

// complete checks that a folder has the table many, and that alone.
func (e *env) complete(dir string) {
	e.t.Helper()
	_, data := readManifest(e.t, dir)
	if got, want := sortedLines(bytes.Join(data, nil)), sortedLines(e.copied("copy many to stdout csv")); got != want {
		e.t.Errorf("%d bytes, want %d: rows differ", len(got), len(want))
	}
}

// TestExtractInterrupted ends an unload at any moment; each time nothing is
// left, and at last all of it is there.
func TestExtractInterrupted(t *testing.T) {
	t.Parallel()
	e := newEnv(t, pgtest.Start(t), manyRows)
	for _, more := range []string{"MERGE: false", "PARTITION_BY: [day]"} {
		dir := t.TempDir()
		u := e.out(dir, "m.csv", "TABLE: many", "FORMAT: csv", more)
		u.Limit = 4_000_000
		o := Options{Job: "u" + fmt.Sprint(len(more))}
		runs := 0
		for ; runs < 60; runs++ {
			ctx, cancel := context.WithTimeout(t.Context(), time.Duration(20+rand.IntN(200+100*runs))*time.Millisecond)
			_, err := Unload(ctx, u, o)
			over := ctx.Err() != nil
			cancel()
			if err == nil {
				break
			}
			if !over {
				t.Fatalf("run %d: %v", runs, err)
			}
			if left := leftovers(t, dir); len(left) > 0 {
				t.Fatalf("run %d left %v", runs, left)
			}
			u.Limit += 500_000
		}
		if runs < 2 {
			t.Errorf("done after %d runs: nothing was interrupted", runs)
		}
		e.complete(dir)
		e.sessionsGone(o.Job)
	}
}

// TestExtractSessionsKilled ends sessions of the job at random moments, the
// one that holds the snapshot among them.
func TestExtractSessionsKilled(t *testing.T) {
	t.Parallel()
	e := newEnv(t, pgtest.Start(t), manyRows)
	dir := t.TempDir()
	u := e.out(dir, "m.csv", "TABLE: many", "FORMAT: csv")
	u.Workers, u.Limit = 3, 5_000_000
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	admin := e.pg.Connect(t, "postgres")
	var kills atomic.Int64
	var killer sync.WaitGroup
	killer.Go(func() {
		for ctx.Err() == nil && kills.Load() < 8 {
			tag, err := admin.Exec(ctx, "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'cw load u' and datname = $1 order by random() limit 1", e.db)
			if err != nil && ctx.Err() == nil {
				t.Error(err)
				return
			}
			kills.Add(tag.RowsAffected())
			time.Sleep(time.Duration(50+rand.IntN(300)) * time.Millisecond)
		}
	})
	_, err := Unload(t.Context(), u, Options{Job: "u"})
	stop()
	killer.Wait()
	if err != nil || kills.Load() == 0 {
		t.Fatalf("after %d kills: %v", kills.Load(), err)
	}
	e.complete(dir)
	e.sessionsGone("u")
}

// TestExtractServerRestarts while an unload is under way.
func TestExtractServerRestarts(t *testing.T) {
	t.Parallel()
	e := newEnv(t, pgtest.Start(t), manyRows)
	dir := t.TempDir()
	u := e.out(dir, "m.csv", "TABLE: many", "FORMAT: csv")
	u.Limit = 3_000_000
	begun := make(chan struct{})
	var once sync.Once
	w := &watch{on: func(p Progress) {
		if p.Rows > 1000 {
			once.Do(func() { close(begun) })
		}
	}}
	done := make(chan error, 1)
	go func() {
		_, err := Unload(t.Context(), u, Options{Job: "u", Reporter: w})
		done <- err
	}()
	<-begun
	e.pg.StopServer(t, "immediate")
	if left := leftovers(t, dir); len(left) > 8 {
		t.Errorf("%v", left)
	}
	e.pg.StartServer(t)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	e.complete(dir)
}

// TestExtractNoServer says so at once.
func TestExtractNoServer(t *testing.T) {
	t.Parallel()
	e := newEnv(t, pgtest.Start(t), manyRows)
	u := e.out(t.TempDir(), "m.csv", "TABLE: many", "FORMAT: csv")
	u.Conn.Port = pgtest.FreePort(t)
	begun := time.Now()
	if _, err := Unload(t.Context(), u, Options{Job: "u"}); fault.KindOf(err) != fault.Unreachable || time.Since(begun) > 20*time.Second {
		t.Errorf("%v after %s", err, time.Since(begun))
	}
}

// s3Out is an unload of many to a bucket.
func (e *env) s3Out(endpoint string) *loadspec.Unload {
	return e.unload("  INPUT: [{TABLE: many}]\n  OUTPUT:\n    - SINK: {URL: 's3://bucket/out/m.csv', ENDPOINT: '" + endpoint + "'}\n    - FORMAT: csv\n")
}

// TestExtractStoreFails unloads into a store whose requests fail in all ways,
// and loads it again.
func TestExtractStoreFails(t *testing.T) {
	t.Parallel()
	srv := s3test.Start(t, "bucket")
	e := newEnv(t, pgtest.Start(t), manyRows+"; create table back (like many)")
	p := srv.Proxy(t)
	p.Set(allFaults())
	o := Options{Job: "u", Source: source.Options{Credentials: srv.Credentials(), Backoff: time.Millisecond, Stall: time.Second, Attempts: 30}}
	if _, err := Unload(t.Context(), e.s3Out(p.Endpoint), o); err != nil {
		t.Fatal(err)
	}
	e.o = source.Options{Credentials: srv.Credentials()}
	body := strings.Replace(simple("X", "csv", "back"), "{FILE: ['X']}", "{URL: ['s3://bucket/out/m.*.csv'], ENDPOINT: '"+srv.Endpoint+"'}", 1)
	if _, err := Run(t.Context(), e.options(e.spec(body, 0), "l")); err != nil {
		t.Fatal(err)
	}
	e.equal("select * from back", "select * from many")
	if _, uploads := bucket(t, srv, "bucket"); len(uploads) > 0 {
		t.Errorf("uploads are left: %v", uploads)
	}
}

// TestExtractStoreGivesUp at the worst moment: some objects are visible, the
// manifest is not. Nobody may take them for the whole.
func TestExtractStoreGivesUp(t *testing.T) {
	t.Parallel()
	srv := s3test.Start(t, "bucket")
	e := newEnv(t, pgtest.Start(t), manyRows)
	p := srv.Proxy(t)
	var bad atomic.Pointer[string]
	refuse := func(what string) { bad.Store(&what) }
	p.Set(func(r *http.Request) s3test.Fault {
		if what := *bad.Load(); r.Method != http.MethodGet && r.Method != http.MethodDelete && what != "" && strings.Contains(r.URL.Path+"?"+r.URL.RawQuery, what) {
			return s3test.Fault{Status: 503}
		}
		return s3test.Fault{}
	})
	o := Options{Job: "u", Source: source.Options{Credentials: srv.Credentials(), Backoff: time.Millisecond, Attempts: 3}}
	for _, what := range []string{"partNumber", "00000", "manifest"} {
		refuse(what)
		_, err := Unload(t.Context(), e.s3Out(p.Endpoint), o)
		if fault.KindOf(err) != fault.Unreachable {
			t.Errorf("%s refused: %v", what, err)
		}
		if keys, uploads := bucket(t, srv, "bucket"); len(keys) > 0 || len(uploads) > 0 {
			t.Errorf("%s refused: left are %v, uploads %v", what, keys, uploads)
		}
	}
	// A run that was killed while it published leaves whole objects that the
	// next one, with more or fewer workers, does not write again.
	srv.Put(t, "bucket", "out/m.00077.u.csv", []byte("1\n"))
	srv.Put(t, "bucket", "out/m.00077.u2.csv", []byte("another's\n"))
	refuse("")
	res, err := Unload(t.Context(), e.s3Out(p.Endpoint), o)
	if err != nil {
		t.Fatal(err)
	}
	keys, uploads := bucket(t, srv, "bucket")
	if int64(len(keys)) != res.Objects+2 || len(uploads) > 0 || strings.Contains(fmt.Sprint(keys), "00077.u.csv") || !strings.Contains(fmt.Sprint(keys), "00077.u2.csv") {
		t.Errorf("%d objects, in the bucket: %v %v", res.Objects, keys, uploads)
	}
	if _, err := Unload(t.Context(), e.s3Out(p.Endpoint), o); err != nil {
		t.Errorf("a second run: %v", err)
	}
}

// TestExtractDiskFull fails with what is full, and leaves nothing.
func TestExtractDiskFull(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("only root can mount a small disk")
	}
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=1m"); err != nil {
		t.Skip("a small disk cannot be mounted here: ", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, 0) })
	e := newEnv(t, pgtest.Start(t), manyRows)
	_, err := Unload(t.Context(), e.out(dir, "m.csv", "TABLE: many", "FORMAT: csv"), Options{Job: "u"})
	if err == nil || !strings.Contains(err.Error(), "no space left") || !strings.Contains(err.Error(), dir) {
		t.Errorf("%v", err)
	}
	if left := leftovers(t, dir); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	e.sessionsGone("u")
}

// TestExtractWaitsForNobody: a session that wants to change a table stands
// behind the snapshot, and the workers must not stand behind it.
func TestExtractWaitsForNobody(t *testing.T) {
	t.Parallel()
	e := newEnv(t, pgtest.Start(t), `create table parted (id int, k int) partition by list (k); create table p1 partition of parted for values in (1); create table p2 partition of parted for values in (2);
		insert into parted select i, 1 + i % 2 from generate_series(1, 200000) i`)
	dir := t.TempDir()
	u := e.out(dir, "p.csv", "TABLE: parted", "FORMAT: csv")
	u.Workers, u.Limit = 3, 1_500_000
	want := sortedLines(e.copied("copy (select * from parted) to stdout csv"))
	r := newUnload(u, Options{Job: "u"})
	if err := r.open(t.Context()); err != nil {
		t.Fatal(err)
	}
	conn, err := r.connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer closeConn(t.Context(), conn)
	snap, err := copy.TakeSnapshot(t.Context(), conn, u.Table)
	if err != nil {
		t.Fatal(err)
	}
	r.server = &copy.Server{Encoding: "UTF8"}
	x, err := r.newExtraction(t.Context(), snap)
	if err != nil {
		t.Fatal(err)
	}
	if x.parts, err = sink.NewParts(r.store, sink.PartOptions{Name: r.name, Epoch: "u"}); err != nil {
		t.Fatal(err)
	}
	changed := make(chan error, 1)
	changer := e.pg.Connect(t, e.db)
	go func() {
		_, err := changer.Exec(t.Context(), "truncate p1")
		changed <- err
	}()
	for e.scalar("select count(*)::text from pg_locks where not granted") == "0" {
		time.Sleep(10 * time.Millisecond)
	}
	if err := x.copyAll(t.Context(), snap); err != nil {
		t.Fatal(err)
	}
	if len(x.left) == 0 {
		t.Error("no slice was left to the first session")
	}
	if err := snap.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-changed; err != nil {
		t.Fatal(err)
	}
	published, err := x.parts.Commit(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var got []byte
	for _, o := range published {
		data, err := os.ReadFile(strings.TrimPrefix(o.URL, "file://"))
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, data...)
	}
	if sortedLines(got) != want {
		t.Error("rows are missing")
	}
}
