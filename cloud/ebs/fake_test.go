package ebs

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"cw/cloud"
	"cw/fault"
)

// What the fake does to the next call of an action.
type fakeFault string

const (
	throttle fakeFault = "throttle"      // RequestLimitExceeded
	fail500  fakeFault = "500 before"    // does nothing
	after500 fakeFault = "500 after"     // does it
	cut      fakeFault = "cut before"    // breaks the connection, does nothing
	cutAfter fakeFault = "cut after"     // does it, breaks the connection
	half     fakeFault = "half after"    // does it, breaks off in the answer
	garbage  fakeFault = "garbage after" // does it, answers something else
)

// fake is an EC2 that keeps state.
type fake struct {
	t *testing.T
	d *Driver

	mu     sync.Mutex
	n      int
	faults map[string][]fakeFault
	done   map[string]int
	calls  map[string]int
	tokens map[string]string // client token → id
	things map[string]*thing
	hide   int // DescribeSnapshots by tag that do not show what is new
}

type thing struct {
	id, state, volume, tag, instance string
	left                             int // questions until the next state
}

func newFake(t *testing.T) *fake {
	t.Helper()
	f := &fake{t: t, faults: map[string][]fakeFault{}, done: map[string]int{}, calls: map[string]int{}, tokens: map[string]string{}, things: map[string]*thing{}}
	f.d = driver(Options{Zone: "eu-central-1a", Image: "ami-1", InstanceType: "m7i.large"}, f.do)
	n := 0
	f.d.token = func() string { n++; return fmt.Sprint("token-", n) }
	f.things["vol-a"] = &thing{id: "vol-a", state: "available"}
	return f
}

func (f *fake) do(r *http.Request) (*http.Response, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var body []byte
	if r.Body != nil {
		body, _ = io.ReadAll(r.Body)
	}
	q, err := url.ParseQuery(string(body))
	if err != nil {
		f.t.Error(err)
	}
	action := q.Get("Action")
	f.calls[action]++
	var now fakeFault
	if list := f.faults[action]; len(list) > 0 {
		now, f.faults[action] = list[0], list[1:]
	}
	reply := func(status int, text string) (*http.Response, error) {
		return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(text)), Request: r}, nil
	}
	switch now {
	case throttle:
		return reply(503, apiError("RequestLimitExceeded", "Request limit exceeded."))
	case fail500:
		return reply(500, apiError("InternalError", "An internal error has occurred"))
	case cut:
		return nil, errors.New("connection reset by peer")
	}
	status, text := f.act(action, q)
	switch now {
	case after500:
		return reply(500, apiError("InternalError", "An internal error has occurred"))
	case cutAfter:
		return nil, errors.New("connection reset by peer")
	case garbage:
		return reply(200, "<html>gateway")
	case half:
		return &http.Response{StatusCode: 200, Header: http.Header{}, Request: r, Body: io.NopCloser(io.MultiReader(bytes.NewReader([]byte(text[:len(text)/2])), broken{}))}, nil
	}
	return reply(status, text)
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func apiError(code, text string) string {
	return "<Response><Errors><Error><Code>" + code + "</Code><Message>" + text + "</Message></Error></Errors><RequestID>x</RequestID></Response>"
}

// act answers a call; what changes something is counted when it is new.
func (f *fake) act(action string, q url.Values) (int, string) {
	wrap := func(inner string) (int, string) {
		return 200, "<" + action + "Response><requestId>x</requestId>" + inner + "</" + action + "Response>"
	}
	create := func(prefix, state string) *thing {
		if token := q.Get("ClientToken"); token != "" {
			if id := f.tokens[token]; id != "" {
				return f.things[id]
			}
			defer func() { f.tokens[token] = fmt.Sprintf("%s-%d", prefix, f.n) }()
		}
		f.n++
		f.done[action]++
		id := fmt.Sprintf("%s-%d", prefix, f.n)
		f.things[id] = &thing{id: id, state: state, left: 2, volume: q.Get("VolumeId"), tag: q.Get("TagSpecification.1.Tag.1.Value")}
		return f.things[id]
	}
	one := func(key, missing string) (*thing, int, string) {
		if t := f.things[q.Get(key)]; t != nil {
			return t, 0, ""
		}
		return nil, 400, apiError(missing+".NotFound", "The id '"+q.Get(key)+"' does not exist")
	}
	turn := func(t *thing, from, to string) {
		if t.left--; t.left <= 0 && t.state == from {
			t.state = to
		}
	}
	switch action {
	case "CreateSnapshot":
		return wrap(create("snap", "pending").snapshot())
	case "DescribeSnapshots":
		if name := q.Get("Filter.1.Name"); name != "" {
			set := ""
			for _, t := range f.things {
				if strings.HasPrefix(t.id, "snap") && (name == "tag:cw-request" && t.tag == q.Get("Filter.1.Value.1") || name == "volume-id" && t.volume == q.Get("Filter.1.Value.1")) {
					if name != "volume-id" && f.hide > 0 {
						f.hide--
						continue
					}
					set += "<item>" + strings.ReplaceAll(t.snapshot(), "state>", "status>") + "</item>"
				}
			}
			return wrap("<snapshotSet>" + set + "</snapshotSet>")
		}
		t, status, text := one("SnapshotId.1", "InvalidSnapshot")
		if t == nil {
			return status, text
		}
		turn(t, "pending", "completed")
		return wrap("<snapshotSet><item>" + t.snapshot() + "</item></snapshotSet>")
	case "CreateVolume":
		return wrap("<volumeId>" + create("vol", "creating").id + "</volumeId><status>creating</status><size>10</size>")
	case "DescribeVolumes":
		t, status, text := one("VolumeId.1", "InvalidVolume")
		if t == nil {
			return status, text
		}
		turn(t, "creating", "available")
		at := ""
		if t.instance != "" {
			turn(t, "attaching", "attached")
			at = "<item><instanceId>" + t.instance + "</instanceId><device>/dev/sdf</device><status>" + t.state + "</status></item>"
			return wrap("<volumeSet><item><volumeId>" + t.id + "</volumeId><size>10</size><status>in-use</status><attachmentSet>" + at + "</attachmentSet></item></volumeSet>")
		}
		return wrap("<volumeSet><item><volumeId>" + t.id + "</volumeId><size>10</size><status>" + t.state + "</status></item></volumeSet>")
	case "AttachVolume":
		t := f.things[q.Get("VolumeId")]
		if t.instance != "" {
			return 400, apiError("VolumeInUse", "it is in use")
		}
		t.instance, t.state, t.left = q.Get("InstanceId"), "attaching", 2
		f.done[action]++
		return wrap("<status>attaching</status>")
	case "DetachVolume":
		t := f.things[q.Get("VolumeId")]
		if t.instance == "" {
			return 400, apiError("IncorrectState", "it is available")
		}
		t.instance, t.state = "", "available"
		return wrap("<status>detaching</status>")
	case "RunInstances":
		return wrap("<instancesSet><item><instanceId>" + create("i", "pending").id + "</instanceId><instanceState><name>pending</name></instanceState></item></instancesSet>")
	case "DescribeInstances":
		t, status, text := one("InstanceId.1", "InvalidInstanceID")
		if t == nil {
			return status, text
		}
		turn(t, "pending", "running")
		return wrap("<reservationSet><item><instancesSet><item><instanceId>" + t.id + "</instanceId><instanceState><name>" + t.state + "</name></instanceState><privateIpAddress>192.0.2.7</privateIpAddress></item></instancesSet></item></reservationSet>")
	case "DeleteVolume", "DeleteSnapshot", "TerminateInstances":
		for _, key := range []string{"VolumeId", "SnapshotId", "InstanceId.1"} {
			delete(f.things, q.Get(key))
		}
		return wrap("<return>true</return>")
	}
	f.t.Errorf("the fake does not know %s", action)
	return 400, apiError("InvalidAction", action)
}

func (t *thing) snapshot() string {
	return "<snapshotId>" + t.id + "</snapshotId><volumeId>" + t.volume + "</volumeId><status>" + t.state + "</status><startTime>2026-11-21T11:00:00.000Z</startTime><volumeSize>10</volumeSize><fullSnapshotSizeInBytes>4096</fullSnapshotSizeInBytes>"
}

// until asks until a state comes, a bounded number of times.
func until[T any](t *testing.T, ask func(context.Context) (T, error), good func(T) bool) T {
	t.Helper()
	var got T
	for range 20 {
		var err error
		if got, err = ask(t.Context()); err != nil {
			t.Fatal(err)
		}
		if good(got) {
			return got
		}
	}
	t.Fatalf("never came: %+v", got)
	return got
}

func TestWholeLife(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	ctx := t.Context()
	f.faults["DescribeSnapshots"], f.faults["DescribeVolumes"] = []fakeFault{throttle, fail500, cut}, []fakeFault{throttle, throttle}
	made, err := f.d.CreateSnapshots(ctx, cloud.CreateOptions{Volumes: []string{"vol-a"}})
	if err != nil {
		t.Fatal(err)
	}
	s := until(t, func(ctx context.Context) (cloud.Snapshot, error) { return f.d.Snapshot(ctx, made[0].ID) }, func(s cloud.Snapshot) bool { return s.State == cloud.Available })
	if s.Kind != cloud.Full || s.Size != 4096 || s.Total != 10<<30 {
		t.Errorf("%+v", s)
	}
	v, err := f.d.RestoreSnapshot(ctx, s.ID, "x")
	if err != nil {
		t.Fatal(err)
	}
	volume := func(ctx context.Context) (cloud.Volume, error) { return f.d.Volume(ctx, v.ID) }
	until(t, volume, func(v cloud.Volume) bool { return v.State == cloud.Available })
	m, err := f.d.LaunchMachine(ctx, "x")
	if err != nil {
		t.Fatal(err)
	}
	until(t, func(ctx context.Context) (cloud.Machine, error) { return f.d.Machine(ctx, m.ID) }, func(m cloud.Machine) bool { return m.State == cloud.InUse && m.Address == "192.0.2.7" })
	f.faults["AttachVolume"] = []fakeFault{cutAfter} // the repeat is told that it is in use
	if _, err := f.d.AttachVolume(ctx, v.ID, m.ID); err != nil {
		t.Fatal(err)
	}
	until(t, volume, func(v cloud.Volume) bool { return v.State == cloud.InUse && v.Machine == m.ID })
	f.faults["DetachVolume"] = []fakeFault{cutAfter}
	if err := errors.Join(f.d.DetachVolume(ctx, v.ID), f.d.DeleteVolume(ctx, v.ID), f.d.DeleteMachine(ctx, m.ID), f.d.DeleteSnapshot(ctx, s.ID)); err != nil {
		t.Fatal(err)
	}
	if len(f.things) != 1 || f.done["AttachVolume"] != 1 {
		t.Errorf("left %v", f.things)
	}
	if got, err := f.d.Machine(ctx, m.ID); err != nil || got.State != cloud.Gone {
		t.Errorf("%+v %v", got, err)
	}
}

// Whatever happens to the answer, a create is done once.
func TestCreatesAreDoneOnce(t *testing.T) {
	t.Parallel()
	creates := map[string]func(context.Context, *fake) (string, error){
		"CreateSnapshot": func(ctx context.Context, f *fake) (string, error) {
			s, err := f.d.CreateSnapshots(ctx, cloud.CreateOptions{Volumes: []string{"vol-a"}, Name: "x"})
			if err != nil {
				return "", err
			}
			return s[0].ID, nil
		},
		"CreateVolume": func(ctx context.Context, f *fake) (string, error) {
			v, err := f.d.RestoreSnapshot(ctx, "snap-1", "x")
			return v.ID, err
		},
		"RunInstances": func(ctx context.Context, f *fake) (string, error) {
			m, err := f.d.LaunchMachine(ctx, "x")
			return m.ID, err
		},
	}
	for action, create := range creates {
		for _, faults := range [][]fakeFault{{throttle, throttle}, {fail500}, {after500}, {cut}, {cutAfter}, {half}, {garbage}, {throttle, fail500, cutAfter}} {
			for _, hide := range []int{0, 1} {
				f := newFake(t)
				f.faults[action], f.hide = faults, hide
				id, err := create(t.Context(), f)
				if err != nil || id == "" || f.done[action] != 1 {
					t.Errorf("%s after %v, %d hidden: %q %v, done %d times", action, faults, hide, id, err, f.done[action])
				}
			}
		}
	}
}

func TestSeveralVolumesAtOneMoment(t *testing.T) {
	t.Parallel()
	d := recorded(t, Options{}, "describe-group", "describe-group-instance", "create-snapshots", "describe-older")
	made, err := d.CreateSnapshots(t.Context(), cloud.CreateOptions{Volumes: []string{"vol-d1", "vol-d2"}, Name: "both"})
	if fault.KindOf(err) != fault.Partial || !strings.Contains(err.Error(), "vol-d2") {
		t.Errorf("EC2 left one out: %v", err)
	}
	want := cloud.Snapshot{ID: "snap-d1", Volume: "vol-d1", Parent: "snap-old", Kind: cloud.Incremental, State: cloud.Pending, Captured: true, Progress: -1, Size: -1, Total: 10 << 30, Created: time.Date(2026, 11, 21, 11, 0, 0, 0, time.UTC)}
	if len(made) != 1 || made[0] != want {
		t.Errorf("%+v", made)
	}
}

func TestAListThatDoesNotEnd(t *testing.T) {
	t.Parallel()
	d := driver(Options{}, func(r *http.Request) (*http.Response, error) {
		text, _ := json.Marshal(map[string]any{"BlockSize": 512, "NextToken": "again"})
		return &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(bytes.NewReader(text)), Request: r}, nil
	})
	if n, err := d.ChangedBytes(t.Context(), "b", "a"); err == nil || n != cloud.Unknown {
		t.Errorf("%d %v", n, err)
	}
}

func TestProgress(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]float64{"80%": 0.8, "100%": 1, "": -1, "done": -1, "-3%": -1, "120%": -1, "0%": 0} {
		if got := progress(in); got != want {
			t.Errorf("%q: %v, want %v", in, got, want)
		}
	}
}

func TestWhatIsMissingIsSaidBefore(t *testing.T) {
	t.Parallel()
	d := driver(Options{}, func(*http.Request) (*http.Response, error) { return nil, errors.New("asked") })
	if _, err := d.LaunchMachine(t.Context(), "x"); fault.KindOf(err) != fault.Usage {
		t.Errorf("%v", err)
	}
	if _, err := d.RestoreSnapshot(t.Context(), "s", "x"); fault.KindOf(err) != fault.Usage || !strings.Contains(fault.HintOf(err), "zone=eu-central-1a") {
		t.Errorf("%v", err)
	}
	if err := d.MoveAddress(t.Context(), "nonsense", "i"); fault.KindOf(err) != fault.Usage {
		t.Errorf("%v", err)
	}
}
