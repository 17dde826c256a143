package qingcloud

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"cw/cloud"
	"cw/fault"
)

// recording plays recorded exchanges in their order, and holds every request
// byte by byte against the recorded one.
type recording struct {
	t *testing.T

	mu    sync.Mutex
	files []string
}

func (r *recording) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.files) == 0 {
		r.t.Errorf("one request too many: %s", req.URL.RawQuery)
		w.WriteHeader(http.StatusTeapot)
		return
	}
	name := r.files[0]
	r.files = r.files[1:]
	data, err := os.ReadFile(filepath.Join("testdata", name+".txt"))
	if err != nil {
		r.t.Error(err)
		return
	}
	head, body, _ := strings.Cut(string(data), "\n\n")
	lines := strings.Split(head, "\n")
	method, path, query, sig := lines[1], lines[2], lines[3], strings.TrimPrefix(lines[4], "signature ")
	if got := signature(path, query, "SECRETACCESSKEY"); got != sig {
		r.t.Errorf("%s: signature %s, want %s", name, got, sig)
	}
	sig = strings.NewReplacer("+", "%2B", "/", "%2F", "=", "%3D").Replace(sig)
	if want := query + "&signature=" + sig; req.Method != method || req.URL.Path != path || req.URL.RawQuery != want {
		r.t.Errorf("%s:\ngot  %s %s %s\nwant %s %s %s", name, req.Method, req.URL.Path, req.URL.RawQuery, method, path, want)
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write([]byte(body))
}

// recorded makes a driver that talks to a recording.
func recorded(t *testing.T, zone string, files ...string) *Driver {
	t.Helper()
	rec := &recording{t: t, files: files}
	s := httptest.NewServer(rec)
	t.Cleanup(func() {
		s.Close()
		if len(rec.files) > 0 {
			t.Errorf("never asked for: %v", rec.files)
		}
	})
	d, err := New(Options{
		Zone: zone, Endpoint: s.URL + "/iaas", Keys: Keys{"QYACCESSKEYIDEXAMPLE", "SECRETACCESSKEY"},
		Image: "centos64x86a", InstanceType: "small_b", VxNets: []string{"vxnet-0"}, KeyPair: "kp-bn2wyilc",
		Now:   func() time.Time { return time.Date(2013, 8, 27, 14, 30, 10, 0, time.UTC) },
		Sleep: func(ctx context.Context, _ time.Duration) error { return ctx.Err() },
		Token: func() string { return "0001" },
	})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestRecorded(t *testing.T) {
	t.Parallel()
	created := time.Date(2014, 3, 11, 15, 47, 34, 0, time.UTC)
	pair := []cloud.Snapshot{
		{ID: "ss-qhnolmyt", Volume: "vol-k9015e6r", Parent: "ss-mtlngntb", Kind: cloud.Incremental, State: cloud.Pending, Progress: -1, Size: cloud.Unknown, Total: 10 << 30, Created: created},
		{ID: "ss-ibk50c1o", Volume: "vol-s1hnvwyh", Parent: "ss-mtlngntb", Kind: cloud.Incremental, State: cloud.Pending, Progress: -1, Size: cloud.Unknown, Total: 20 << 30, Created: created},
	}
	attached := cloud.Volume{ID: "vol-df3m8oal", State: cloud.InUse, Machine: "i-8ovc23m0", Device: "/dev/vdc", Size: 50 << 30}
	two := cloud.CreateOptions{Volumes: []string{"vol-k9015e6r", "vol-s1hnvwyh"}, Name: "nightly run"}
	for _, c := range []struct {
		name  string
		zone  string
		files []string
		do    func(context.Context, *Driver) (any, error)
		want  any
	}{
		{
			"two volumes at one moment", "pek3a",
			[]string{"create-snapshots", "describe-snapshots-new", "describe-volume-a", "describe-volume-b"},
			func(ctx context.Context, d *Driver) (any, error) { return d.CreateSnapshots(ctx, two) }, pair,
		},
		{
			"job as a list, code as a string", "pek3a",
			[]string{"create-snapshots-list", "describe-snapshots-new", "describe-volume-a", "describe-volume-b"},
			func(ctx context.Context, d *Driver) (any, error) {
				got, err := d.CreateSnapshots(ctx, two)
				if d.jobOf("ss-ibk50c1o") != "j-aj3b6pjl" {
					return nil, errors.New("the job is not known")
				}
				return got, err
			}, pair,
		},
		{
			"incremental", "pek3a",
			[]string{"describe-snapshots", "describe-volume-of-snapshot"},
			func(ctx context.Context, d *Driver) (any, error) { return d.Snapshot(ctx, "ss-z9y03ggk") },
			cloud.Snapshot{ID: "ss-z9y03ggk", Volume: "vom-s1hnvwyh", Parent: "ss-mtlngntb", Kind: cloud.Incremental, State: cloud.Available, Captured: true, Progress: 1, Size: 1 << 20, Total: 50 << 30, Created: created},
		},
		{
			"changed since the parent", "pek3a",
			[]string{"describe-snapshots", "describe-volume-of-snapshot"},
			func(ctx context.Context, d *Driver) (any, error) {
				return d.ChangedBytes(ctx, "ss-z9y03ggk", "ss-mtlngntb")
			}, int64(1 << 20),
		},
		{
			"changed since another", "pek3a",
			[]string{"describe-snapshots", "describe-volume-of-snapshot"},
			func(ctx context.Context, d *Driver) (any, error) {
				return d.ChangedBytes(ctx, "ss-z9y03ggk", "ss-other")
			}, cloud.Unknown,
		},
		{
			"free volume", "ap2a",
			[]string{"describe-volumes-free"},
			func(ctx context.Context, d *Driver) (any, error) { return d.Volume(ctx, "vol-df3m8oal") },
			cloud.Volume{ID: "vol-df3m8oal", State: cloud.Available, Size: 50 << 30},
		},
		{
			"attach", "ap2a",
			[]string{"attach-volumes", "describe-volumes"},
			func(ctx context.Context, d *Driver) (any, error) {
				if v, err := d.AttachVolume(ctx, "vol-df3m8oal", "i-8ovc23m0"); err != nil || v.State != cloud.Pending {
					return v, err
				}
				return d.Volume(ctx, "vol-df3m8oal")
			}, attached,
		},
		{
			"detach waits", "ap2a",
			[]string{"describe-volumes", "detach-volumes", "describe-jobs"},
			func(ctx context.Context, d *Driver) (any, error) { return nil, d.DetachVolume(ctx, "vol-df3m8oal") }, nil,
		},
		{
			"detach of a free one", "ap2a",
			[]string{"describe-volumes-free"},
			func(ctx context.Context, d *Driver) (any, error) { return nil, d.DetachVolume(ctx, "vol-df3m8oal") }, nil,
		},
		{
			"delete a volume", "ap2a",
			[]string{"delete-volumes"},
			func(ctx context.Context, d *Driver) (any, error) { return nil, d.DeleteVolume(ctx, "vol-o2pgphwn") }, nil,
		},
		{
			"restore", "gd2",
			[]string{"create-volume-from-snapshot"},
			func(ctx context.Context, d *Driver) (any, error) {
				return d.RestoreSnapshot(ctx, "ss-zlcorbog", "volume_from_snapshot")
			},
			cloud.Volume{ID: "vol-2rtnfux2", State: cloud.Pending},
		},
		{
			"launch", "pek1",
			[]string{"run-instances"},
			func(ctx context.Context, d *Driver) (any, error) { return d.LaunchMachine(ctx, "demo") },
			cloud.Machine{ID: "i-rtyv0968", State: cloud.Pending},
		},
		{
			"machine", "ap2a",
			[]string{"describe-instances"},
			func(ctx context.Context, d *Driver) (any, error) { return d.Machine(ctx, "i-8ovc23m0") },
			cloud.Machine{ID: "i-8ovc23m0", State: cloud.InUse, Address: "192.168.1.2"},
		},
		{"stop", "ap2a", []string{"stop-instances"}, func(ctx context.Context, d *Driver) (any, error) { return nil, d.StopMachine(ctx, "i-8ovc23m0") }, nil},
		{"terminate", "ap2a", []string{"terminate-instances"}, func(ctx context.Context, d *Driver) (any, error) { return nil, d.DeleteMachine(ctx, "i-8ovc23m0") }, nil},
		{"delete a snapshot", "pek3a", []string{"delete-snapshots"}, func(ctx context.Context, d *Driver) (any, error) { return nil, d.DeleteSnapshot(ctx, "ss-tdr8i4we") }, nil},
		{
			"unknown machine", "pek3a",
			[]string{"not-found"},
			func(ctx context.Context, d *Driver) (any, error) { return d.Machine(ctx, "i-gone") },
			cloud.Machine{ID: "i-gone", State: cloud.Gone},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, err := c.do(t.Context(), recorded(t, c.zone, c.files...))
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, c.want) {
				t.Errorf("got  %+v\nwant %+v", got, c.want)
			}
		})
	}
}

// The sample of a full snapshot has a size that no volume can hold.
func TestDeletedSampleIsGone(t *testing.T) {
	t.Parallel()
	d := recorded(t, "pek3a", "describe-snapshots-deleted")
	d.volumes["vom-2cwmmo5t"] = 10 << 30
	s, err := d.Snapshot(t.Context(), "ss-69wldt5b")
	if err != nil || s.State != cloud.Gone || s.Kind != cloud.Full || s.Parent != "" || s.Size != cloud.Unknown {
		t.Errorf("%+v %v", s, err)
	}
}

func TestWrongKeysAreAnAuthError(t *testing.T) {
	t.Parallel()
	_, err := recorded(t, "pek3a", "auth-failure").Machine(t.Context(), "i-8ovc23m0")
	if fault.KindOf(err) != fault.Auth || fault.HintOf(err) == "" || !strings.Contains(err.Error(), "signature not matched") {
		t.Errorf("kind %v, hint %q: %v", fault.KindOf(err), fault.HintOf(err), err)
	}
	if strings.Contains(err.Error(), "signature=") || strings.Contains(err.Error(), "SECRETACCESSKEY") {
		t.Errorf("the error holds a secret: %v", err)
	}
}
