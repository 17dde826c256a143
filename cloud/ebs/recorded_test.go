package ebs

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ebs"
	"github.com/aws/aws-sdk-go-v2/service/ec2"

	"cw/cloud"
	"cw/fault"
)

// frozen signs as if it were always the same moment, and leaves out what
// differs from call to call: the SDK's id of the invocation, and its count of
// attempts.
type frozen struct{ *v4.Signer }

func (f frozen) SignHTTP(ctx context.Context, c aws.Credentials, r *http.Request, payload, service, region string, _ time.Time, o ...func(*v4.SignerOptions)) error {
	r.Header.Del("Amz-Sdk-Invocation-Id")
	r.Header.Del("Amz-Sdk-Request")
	return f.Signer.SignHTTP(ctx, c, r, payload, service, region, time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC), o...)
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) Do(r *http.Request) (*http.Response, error) { return f(r) }

// driver makes a driver whose requests go to fn.
func driver(o Options, fn roundTrip) *Driver {
	o.Region = "eu-central-1"
	c := aws.Config{Region: o.Region, Credentials: credentials.NewStaticCredentialsProvider("AKIDEXAMPLE", "SECRETEXAMPLE", ""), HTTPClient: fn}
	d := newDriver(o, c, func(ctx context.Context, _ time.Duration) error { return context.Cause(ctx) })
	quick := func() aws.Retryer {
		return retry.NewStandard(func(s *retry.StandardOptions) {
			s.MaxAttempts, s.RateLimiter = tries, noLimit{}
			s.Backoff = retry.BackoffDelayerFunc(func(int, error) (time.Duration, error) { return 0, nil })
		})
	}
	d.ec2 = operationsOf(ec2.NewFromConfig(c, func(o *ec2.Options) { o.HTTPSignerV4, o.Retryer = frozen{v4.NewSigner()}, quick() }))
	d.blocks = ebs.NewFromConfig(c, func(o *ebs.Options) { o.HTTPSignerV4, o.Retryer = frozen{v4.NewSigner()}, quick() })
	d.token = func() string { return "token-1" }
	return d
}

// recorded plays exchanges in their order; every request must be the recorded
// one, byte by byte, with its Authorization.
func recorded(t *testing.T, o Options, files ...string) *Driver {
	t.Helper()
	var mu sync.Mutex
	t.Cleanup(func() {
		if len(files) > 0 {
			t.Errorf("never asked for: %v", files)
		}
	})
	return driver(o, func(r *http.Request) (*http.Response, error) {
		mu.Lock()
		defer mu.Unlock()
		var body []byte
		if r.Body != nil {
			body, _ = io.ReadAll(r.Body)
		}
		if len(files) == 0 {
			t.Errorf("one request too many: %s", body)
			return nil, errors.New("no more")
		}
		name := files[0]
		files = files[1:]
		data, err := os.ReadFile(filepath.Join("testdata", name+".txt"))
		if err != nil {
			t.Error(err)
			return nil, err
		}
		head, answer, _ := strings.Cut(string(data), "\n\n")
		lines := strings.Split(head, "\n") // origin, request, body, authorization, status
		if len(body) == 0 {
			body = []byte("-")
		}
		for i, got := range []string{r.Method + " " + r.URL.String(), string(body), r.Header.Get("Authorization")} {
			if want := lines[i+1]; got != want {
				t.Errorf("%s:\ngot  %s\nwant %s", name, got, want)
			}
		}
		status := http.StatusOK
		if lines[4] == "400" {
			status = http.StatusBadRequest
		}
		return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(bytes.NewReader([]byte(answer))), Request: r}, nil
	})
}

func TestRecorded(t *testing.T) {
	t.Parallel()
	started := time.Date(2026, 11, 21, 11, 0, 0, 0, time.UTC)
	zone := Options{Zone: "eu-central-1a"}
	for _, c := range []struct {
		name  string
		o     Options
		files []string
		do    func(context.Context, *Driver) (any, error)
		want  any
	}{
		{"first snapshot is full", zone, []string{"create-snapshot", "describe-snapshots-none", "describe-snapshot-done"}, func(ctx context.Context, d *Driver) (any, error) {
			s, err := d.CreateSnapshots(ctx, cloud.CreateOptions{Volumes: []string{"vol-1234567890abcdef0"}, Name: "nightly run"})
			if err != nil || s[0].State != cloud.Pending || !s[0].Captured {
				return s, err
			}
			return d.Snapshot(ctx, s[0].ID)
		}, cloud.Snapshot{ID: "snap-066877671789bd71b", Volume: "vol-1234567890abcdef0", Kind: cloud.Full, State: cloud.Available, Captured: true, Progress: 1, Size: 5368709120, Total: 30 << 30, Created: started}},
		{
			"progress", zone,
			[]string{"describe-snapshot-pending"},
			func(ctx context.Context, d *Driver) (any, error) { return d.Snapshot(ctx, "snap-066877671789bd71b") },
			cloud.Snapshot{ID: "snap-066877671789bd71b", Volume: "vol-1234567890abcdef0", State: cloud.Pending, Captured: true, Progress: 0.8, Size: -1, Total: 30 << 30, Created: started},
		},
		{
			"unknown snapshot", zone,
			[]string{"snapshot-not-found"},
			func(ctx context.Context, d *Driver) (any, error) { return d.Snapshot(ctx, "snap-066877671789bd71b") },
			cloud.Snapshot{ID: "snap-066877671789bd71b", State: cloud.Gone, Progress: -1, Size: -1, Total: -1},
		},
		{"changed blocks on two pages", zone, []string{"changed-blocks-1", "changed-blocks-2"}, func(ctx context.Context, d *Driver) (any, error) {
			return d.ChangedBytes(ctx, "snap-0b", "snap-0a")
		}, int64(3 * 524288)},
		{"restore", zone, []string{"create-volume"}, func(ctx context.Context, d *Driver) (any, error) {
			return d.RestoreSnapshot(ctx, "snap-066877671789bd71b", "back")
		}, cloud.Volume{ID: "vol-0aa", State: cloud.Pending, Size: 30 << 30}},
		{
			"volume", zone,
			[]string{"describe-volume"},
			func(ctx context.Context, d *Driver) (any, error) { return d.Volume(ctx, "vol-0aa") },
			cloud.Volume{ID: "vol-0aa", State: cloud.InUse, Machine: "i-0bb", Device: "/dev/sdf", Size: 30 << 30},
		},
		{
			"attach to the first free name", zone,
			[]string{"describe-instance", "attach-volume"},
			func(ctx context.Context, d *Driver) (any, error) { return d.AttachVolume(ctx, "vol-0aa", "i-0bb") },
			cloud.Volume{ID: "vol-0aa", State: cloud.Pending, Machine: "i-0bb", Device: "/dev/sdg", Size: -1},
		},
		{
			"machine", zone,
			[]string{"describe-instance"},
			func(ctx context.Context, d *Driver) (any, error) { return d.Machine(ctx, "i-0bb") },
			cloud.Machine{ID: "i-0bb", State: cloud.InUse, Address: "10.0.0.12"},
		},
		{
			"launch",
			Options{LaunchTemplate: "lt-01", Zone: "eu-central-1a"},
			[]string{"run-instances"},
			func(ctx context.Context, d *Driver) (any, error) { return d.LaunchMachine(ctx, "new") },
			cloud.Machine{ID: "i-0cc", State: cloud.Pending, Address: "10.0.0.13"},
		},
		{"stop hard", zone, []string{"stop-instances"}, func(ctx context.Context, d *Driver) (any, error) { return nil, d.StopMachine(ctx, "i-0bb") }, nil},
		{"terminate", zone, []string{"terminate-instances"}, func(ctx context.Context, d *Driver) (any, error) { return nil, d.DeleteMachine(ctx, "i-0bb") }, nil},
		{"private address", zone, []string{"describe-instance", "assign-private"}, func(ctx context.Context, d *Driver) (any, error) {
			return nil, d.MoveAddress(ctx, "10.0.0.99", "i-0bb")
		}, nil},
		{"elastic address", zone, []string{"associate-address"}, func(ctx context.Context, d *Driver) (any, error) {
			return nil, d.MoveAddress(ctx, "eipalloc-01", "i-0bb")
		}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, err := c.do(t.Context(), recorded(t, c.o, c.files...))
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, c.want) {
				t.Errorf("got  %+v\nwant %+v", got, c.want)
			}
		})
	}
}

func TestRefusedByPolicy(t *testing.T) {
	t.Parallel()
	_, err := recorded(t, Options{}, "unauthorized").Machine(t.Context(), "i-0bb")
	if fault.KindOf(err) != fault.Auth || fault.HintOf(err) == "" || !strings.Contains(err.Error(), "not authorized") {
		t.Errorf("%v (%s)", err, fault.HintOf(err))
	}
}
