package run

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"cw/loadspec/s3api"
	"cw/perfcheck"
	"cw/perfcheck/object"
	"cw/playground/s3test"
)

// stored are options of a run of two agents of this machine against a store.
func storedAt(srv *s3test.Server, q Reporter, only ...string) Options {
	return Options{
		ID: "pobject", Areas: []perfcheck.Area{perfcheck.Object}, Profile: short(), Only: only, Seed: 1, Reporter: q,
		Machines: []Machine{{Name: "a"}, {Name: "b"}},
		Object: &object.Settings{
			URL: "s3://bkt/bench", Data: 16 << 20, Keys: &aws.Credentials{AccessKeyID: srv.Access, SecretAccessKey: srv.Secret},
			Access: s3api.Access{Endpoint: srv.Endpoint, PathStyle: true, Region: "us-east-1"},
		},
	}
}

func inStore(t *testing.T, srv *s3test.Server) (out []string) {
	t.Helper()
	_ = filepath.WalkDir(srv.Dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && d.Name() == ".vgwlocks" {
			return filepath.SkipDir
		}
		if err == nil && !d.IsDir() {
			out = append(out, path)
		}
		return nil
	})
	return out
}

func TestObjectStoreFromTwoHosts(t *testing.T) {
	t.Parallel()
	srv := s3test.Start(t, "bkt")
	srv.Put(t, "bkt", "bench/cw-perf-pdead/h/data", []byte("left"))
	q := &quietReporter{t: t}
	o := storedAt(srv, q, "object.get.c1", "object.get.c2", "object.get.c16", "object.get.c16.alone", "object.get.knee", "object.connect", "object.put.16m.c16")
	report, err := Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"object.get.c1", "object.get.c2", "object.get.c16.alone", "object.get.knee", "object.connect.rate10", "object.put.16m.c16"} {
		n := 0
		for i := range report.Tests {
			got := &report.Tests[i]
			if got.ID != id {
				continue
			}
			n++
			if got.Verdict == perfcheck.Error || got.Params["store"] != srv.Endpoint {
				t.Errorf("%s %s: %s %s, %v", got.ID, got.Host, got.Verdict, got.Reason, got.Params)
			}
			switch id {
			case "object.get.c16.alone":
				if got.Metrics[contention].Value <= 0 {
					t.Errorf("one against all is not said: %v", got.Metrics)
				}
			case "object.get.knee":
				if s := got.Metrics["streams"].Value; s != 1 && s != 2 && s != 16 || len(got.Events) == 0 {
					t.Errorf("knee: %+v", got)
				}
			}
		}
		if n != 2 {
			t.Errorf("%s: %d results", id, n)
		}
	}
	if !slices.ContainsFunc(q.warnings, func(w string) bool { return strings.Contains(w, "cw-perf-pdead") && strings.Contains(w, "--clean") }) {
		t.Errorf("what an earlier run left is not named: %q", q.warnings)
	}
	if left := inStore(t, srv); len(left) != 1 {
		t.Errorf("left: %q", left)
	}
	o.Clean, o.Only = true, []string{"object.get.c1"}
	if _, err := Run(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	if left := inStore(t, srv); len(left) != 0 {
		t.Errorf("left after --clean: %q", left)
	}
}

// An interruption and a host that is lost leave nothing in the store.
func TestObjectStoreIsEmptyAfterTrouble(t *testing.T) {
	t.Parallel()
	for _, phase := range []string{"putting", "measuring"} {
		srv := s3test.Start(t, "bkt")
		ctx, cancel := context.WithCancel(t.Context())
		q := &stopper{quietReporter: quietReporter{t: t}, at: phase, stop: cancel}
		o := storedAt(srv, q, "object.put.16m.c16")
		o.Profile.Timing.Duration = time.Minute
		report, err := Run(ctx, o)
		cancel()
		if err == nil || report.Run.Complete {
			t.Errorf("%s: it was not interrupted: %v", phase, err)
		}
		if left := inStore(t, srv); len(left) != 0 {
			t.Errorf("%s: left: %q, %q", phase, left, q.warnings)
		}
	}
}

func TestObjectStoreThatIsNotThere(t *testing.T) {
	t.Parallel()
	srv := s3test.Start(t, "bkt")
	o := storedAt(srv, &quietReporter{t: t}, "object.get.c1")
	o.Object.URL = "s3://nowhere/bench"
	if _, err := Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), "nowhere") {
		t.Errorf("%v", err)
	}
	o.Object = nil
	if _, err := Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), "store") {
		t.Errorf("%v", err)
	}
}

// An agent whose control has gone removes what it put, by itself.
func TestObjectStoreIsEmptyWhenControlIsGone(t *testing.T) {
	t.Parallel()
	srv := s3test.Start(t, "bkt")
	o := storedAt(srv, &quietReporter{t: t})
	fleet, err := StartFleet(t.Context(), o.Machines[:1], FleetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	m := fleet.Members()[0]
	o.Object.Run, o.Object.Host = "pgone", "a"
	if err := m.a.Call(t.Context(), opObjectPrepare, o.Object, nil); err != nil {
		t.Fatal(err)
	}
	if left := inStore(t, srv); len(left) == 0 {
		t.Fatal("nothing was put")
	}
	fleet.Close(t.Context()) // its input ends, and nobody has asked it to remove anything
	<-m.a.Ended()
	if left := inStore(t, srv); len(left) != 0 {
		t.Errorf("left: %q", left)
	}
}
