package qingcloud

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// A fault is what the fake does to the next call of an action.
type fakeFault string

const (
	refuse500 fakeFault = "500 before"     // does nothing, answers 500
	after500  fakeFault = "500 after"      // does it, answers 500
	cutBefore fakeFault = "cut before"     // does nothing, breaks the connection
	cutAfter  fakeFault = "cut after"      // does it, breaks the connection
	halfAfter fakeFault = "half an answer" // does it, breaks off in the answer
	htmlAfter fakeFault = "page after"     // does it, answers with a web page
	busy      fakeFault = "busy"           // ret_code 5100
	internal  fakeFault = "internal after" // does it, ret_code 5000
	limited   fakeFault = "429"
)

// fake is an API that keeps state: what was asked for happens when its job
// ends, and a job ends after it was asked for a few times.
type fake struct {
	t *testing.T
	d *Driver

	mu       sync.Mutex
	n        int
	faults   map[string][]fakeFault
	slow     int               // questions until a job ends
	fail     map[string]string // resource → how its job ends
	hide     int               // describes that do not show what is new
	calls    map[string]int
	done     map[string]int // what really happened, by action
	jobs     map[string]*fakeJob
	snaps    map[string]map[string]any
	vols     map[string]map[string]any
	machines map[string]map[string]any
	eips     map[string]map[string]any
	nics     []map[string]any
}

type fakeJob struct {
	action    string
	resources []string
	left      int
	end       func(ok bool)
	status    string
}

func newFake(t *testing.T) *fake {
	t.Helper()
	f := &fake{
		t: t, slow: 2, faults: map[string][]fakeFault{}, fail: map[string]string{}, calls: map[string]int{}, done: map[string]int{},
		jobs: map[string]*fakeJob{}, snaps: map[string]map[string]any{}, vols: map[string]map[string]any{}, machines: map[string]map[string]any{}, eips: map[string]map[string]any{},
	}
	s := httptest.NewServer(f)
	t.Cleanup(s.Close)
	var err error
	f.d, err = New(Options{
		Zone: "pek3a", Endpoint: s.URL + "/iaas/", Keys: Keys{"ID", "SECRET"}, Image: "img", InstanceType: "c1m1", KeyPair: "kp-1",
		Sleep: func(ctx context.Context, _ time.Duration) error { return context.Cause(ctx) },
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range []string{"vol-a", "vol-b"} {
		f.vols[v] = map[string]any{"volume_id": v, "volume_name": v, "status": "available", "transition_status": "", "size": 10}
	}
	return f
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	q := r.URL.Query()
	raw, sig, _ := strings.Cut(r.URL.RawQuery, "&signature=")
	action := q.Get("action")
	f.calls[action]++
	var now fakeFault
	if list := f.faults[action]; len(list) > 0 {
		now, f.faults[action] = list[0], list[1:]
	}
	cut := func() {
		c, _, err := w.(http.Hijacker).Hijack()
		if err == nil {
			_ = c.Close()
		}
	}
	switch now {
	case refuse500:
		w.WriteHeader(http.StatusInternalServerError)
		return
	case limited:
		w.WriteHeader(http.StatusTooManyRequests)
		return
	case cutBefore:
		cut()
		return
	case busy:
		_, _ = w.Write([]byte(`{"ret_code":5100,"message":"ServerBusy"}`))
		return
	}
	answer := map[string]any{"ret_code": 1200, "message": "AuthFailure"}
	if sig == escape(signature("/iaas/", raw, "SECRET")) {
		answer = f.act(action, q.Get, q)
	}
	body, _ := json.Marshal(answer)
	switch now {
	case after500:
		w.WriteHeader(http.StatusBadGateway)
	case cutAfter:
		cut()
	case htmlAfter:
		_, _ = w.Write([]byte("<html>gateway</html>"))
	case internal:
		_, _ = w.Write([]byte(`{"ret_code":5000,"message":"InternalError"}`))
	case halfAfter:
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		_, _ = w.Write(body[:len(body)/2])
		if fl, ok := w.(http.Flusher); ok {
			fl.Flush()
		}
		cut()
	default:
		_, _ = w.Write(body)
	}
}

func listOf(q map[string][]string, name string) []string {
	var out []string
	for i := 1; ; i++ {
		v := q[name+"."+strconv.Itoa(i)]
		if len(v) == 0 {
			return out
		}
		out = append(out, v[0])
	}
}

func (f *fake) id(prefix string) string { f.n++; return fmt.Sprintf("%s-%04d", prefix, f.n) }

// start makes a job that ends after some questions.
func (f *fake) start(action string, resources []string, end func(ok bool)) string {
	id := f.id("j")
	f.jobs[id] = &fakeJob{action: action, resources: resources, left: f.slow, end: end, status: "pending"}
	return id
}

func (f *fake) act(action string, get func(string) string, q map[string][]string) map[string]any {
	ok := map[string]any{"ret_code": 0, "action": action + "Response"}
	missing := map[string]any{"ret_code": "2100", "message": "ResourceNotFound"}
	if !strings.HasPrefix(action, "Describe") {
		f.done[action]++
	}
	switch action {
	case "CreateSnapshots":
		var ids []string
		for _, v := range listOf(q, "resources") {
			if f.vols[v] == nil {
				return missing
			}
			id := f.id("ss")
			ids = append(ids, id)
			kind, parent := any("0"), "ss-root"
			if get("is_full") == "1" {
				kind, parent = 1, "self"
			}
			f.snaps[id] = map[string]any{
				"snapshot_id": id, "snapshot_name": get("snapshot_name"), "status": "pending", "is_taken": "0", "snapshot_type": kind,
				"parent_id": parent, "size": nil, "create_time": "2026-11-21T10:00:00Z", "resource": map[string]any{"resource_id": v},
			}
		}
		bad := map[string]bool{}
		for _, id := range ids {
			bad[id] = f.fail[f.snaps[id]["resource"].(map[string]any)["resource_id"].(string)] != ""
		}
		ok["snapshots"] = ids
		ok["job_id"] = []string{f.start(action, ids, func(bool) {
			for _, id := range ids {
				f.snaps[id]["is_taken"] = 1
				if !bad[id] {
					f.snaps[id]["status"], f.snaps[id]["size"] = "available", "64"
				}
			}
		})}
		if n := countTrue(bad); n == len(ids) {
			f.jobs[ok["job_id"].([]string)[0]].status = "will fail"
		} else if n > 0 {
			f.jobs[ok["job_id"].([]string)[0]].status = "will partly fail"
		}
	case "CreateVolumeFromSnapshot":
		if f.snaps[get("snapshot")] == nil {
			return missing
		}
		id := f.id("vol")
		f.vols[id] = map[string]any{"volume_id": id, "volume_name": get("volume_name"), "status": "pending", "transition_status": "creating", "size": "10"}
		ok["volume_id"], ok["job_id"] = id, f.start(action, []string{id}, func(bool) { f.vols[id]["status"], f.vols[id]["transition_status"] = "available", "" })
	case "AttachVolumes", "DetachVolumes":
		v := listOf(q, "volumes")[0]
		if f.vols[v] == nil {
			return missing
		}
		to := get("instance")
		id := f.start(action, []string{v}, func(good bool) {
			switch {
			case !good:
			case action == "AttachVolumes":
				f.vols[v]["status"], f.vols[v]["instances"] = "in-use", []any{map[string]any{"instance_id": to, "device": "/dev/vdc"}}
			default:
				f.vols[v]["status"], f.vols[v]["instances"] = "available", []any{}
			}
			f.vols[v]["transition_status"] = ""
		})
		f.vols[v]["transition_status"] = strings.ToLower(strings.TrimSuffix(action, "Volumes")) + "ing"
		if f.fail[v] != "" {
			f.jobs[id].status = "will fail"
			f.vols[v]["transition_status"] = ""
		}
		ok["job_id"] = id
	case "DeleteVolumes":
		delete(f.vols, listOf(q, "volumes")[0])
	case "DeleteSnapshots":
		delete(f.snaps, listOf(q, "snapshots")[0])
	case "RunInstances":
		id := f.id("i")
		f.machines[id] = map[string]any{"instance_id": id, "instance_name": get("instance_name"), "status": "pending", "vxnets": []any{map[string]any{"private_ip": ""}}}
		ok["instances"], ok["job_id"] = []string{id}, f.start(action, []string{id}, func(bool) {
			f.machines[id]["status"], f.machines[id]["vxnets"] = "running", []any{map[string]any{"private_ip": "192.0.2.7"}}
		})
	case "StopInstances":
		f.machines[listOf(q, "instances")[0]]["status"] = "stopped"
	case "TerminateInstances":
		delete(f.machines, listOf(q, "instances")[0])
	case "DissociateEips":
		f.eips[listOf(q, "eips")[0]]["resource"] = map[string]any{}
		ok["job_id"] = f.start(action, listOf(q, "eips"), func(bool) {})
	case "AssociateEip":
		f.eips[get("eip")]["resource"] = map[string]any{"resource_id": get("instance")}
	case "DescribeSnapshots":
		ok["snapshot_set"] = f.list(f.snaps, "snapshot_name", listOf(q, "snapshots"), get("search_word"))
	case "DescribeVolumes":
		ok["volume_set"] = f.list(f.vols, "volume_name", listOf(q, "volumes"), get("search_word"))
	case "DescribeInstances":
		ok["instance_set"] = f.list(f.machines, "instance_name", listOf(q, "instances"), get("search_word"))
	case "DescribeEips":
		ok["eip_set"] = f.list(f.eips, "eip_id", nil, "")
	case "DescribeNics":
		limit, _ := strconv.Atoi(get("limit"))
		offset, _ := strconv.Atoi(get("offset"))
		offset = min(offset, len(f.nics))
		ok["nic_set"] = f.nics[offset:min(offset+limit, len(f.nics))]
	case "DetachNics":
		f.nic(listOf(q, "nics")[0])["instance_id"] = ""
		ok["job_id"] = f.start(action, listOf(q, "nics"), func(bool) {})
	case "AttachNics":
		if f.nic(listOf(q, "nics")[0])["instance_id"] != "" {
			return map[string]any{"ret_code": 1400, "message": "PermissionDenied, it is attached"}
		}
		f.nic(listOf(q, "nics")[0])["instance_id"] = get("instance")
	case "DescribeJobs":
		var set []any
		for _, id := range listOf(q, "jobs") {
			j := f.jobs[id]
			if j == nil {
				continue
			}
			f.turn(j)
			set = append(set, map[string]any{"job_id": id, "job_action": j.action, "status": j.status, "resource_ids": strings.Join(j.resources, " "), "error_codes": ""})
		}
		ok["job_set"], ok["ret_code"] = set, "0"
	default:
		f.t.Errorf("the fake does not know %s", action)
	}
	return ok
}

func (f *fake) nic(id string) map[string]any {
	for _, n := range f.nics {
		if n["nic_id"] == id {
			return n
		}
	}
	return map[string]any{}
}

func countTrue(m map[string]bool) (n int) {
	for _, v := range m {
		if v {
			n++
		}
	}
	return n
}

// turn moves a job on by one question.
func (f *fake) turn(j *fakeJob) {
	if j.left--; j.left > 0 || j.end == nil {
		return
	}
	end := j.end
	j.end = nil
	switch j.status {
	case "will fail":
		end(false)
		j.status = "failed"
	case "will partly fail":
		end(true)
		j.status = "done with failure"
	default:
		end(true)
		j.status = "successful"
	}
}

func (f *fake) list(from map[string]map[string]any, nameKey string, ids []string, word string) []any {
	set := []any{}
	for _, id := range slices.Sorted(maps.Keys(from)) {
		it := from[id]
		if len(ids) > 0 && !slices.Contains(ids, id) || word != "" && !strings.Contains(it[nameKey].(string), word) {
			continue
		}
		if word != "" && f.hide > 0 {
			f.hide--
			continue
		}
		set = append(set, it)
	}
	return set
}
