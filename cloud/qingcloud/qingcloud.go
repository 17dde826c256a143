// Package qingcloud drives QingCloud through its signed HTTP API: snapshots,
// volumes, instances, and public addresses or NICs that move.
//
// The API says yes first and works afterwards: a call that changes something
// returns a job, and the things themselves pass through states. So the calls
// here that make or attach something return once it is accepted, and the
// caller asks for its state; what only tidies up (detach) waits for its job.
//
// The API's is_full=0 lets the system decide what kind of snapshot it makes;
// what it became is read back. ApplySnapshots rolls a volume back where it is
// and restarts a running instance: nothing here calls it.
//
// Requests are GET, and net/http repeats a GET on its own when a connection
// that it reused breaks: a create might be made twice. Connections are
// therefore never reused.
package qingcloud

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"cw/cloud"
	"cw/fault"
)

// Options are where the API is and what is made there.
type Options struct {
	Zone     string // pek3a
	Endpoint string // "" is https://api.qingcloud.com/iaas/
	Keys     Keys
	Timeout  time.Duration // of one request; 0 is 30 s

	// What LaunchMachine makes.
	Image         string
	InstanceType  string
	VxNets        []string
	KeyPair       string
	SecurityGroup string
	// PublicAddress: SSH reaches the machines by their public address, not by
	// the one in their first network.
	PublicAddress bool

	HTTP  *http.Client                               // nil is one that reuses no connection
	Now   func() time.Time                           // nil is time.Now
	Sleep func(context.Context, time.Duration) error // nil sleeps
	Token func() string                              // nil is random: it makes names unique
}

// DefaultEndpoint is the public API.
const DefaultEndpoint = "https://api.qingcloud.com/iaas/"

// Driver implements cloud.Snapshotter, cloud.Machines and cloud.Addresses.
type Driver struct {
	o        Options
	endpoint *url.URL

	mu      sync.Mutex
	jobs    map[string]string // resource → the job that makes or changes it
	volumes map[string]int64  // volume → size in bytes
}

// New makes a driver; it asks nothing of the API yet.
func New(o Options) (*Driver, error) {
	if o.Zone == "" {
		return nil, fault.New(fault.Usage, "--driver-option zone=pek3a", "qingcloud: no zone is given")
	}
	if o.Keys.AccessKeyID == "" || o.Keys.SecretAccessKey == "" {
		return nil, fault.New(fault.Usage, keysHint, "qingcloud: no keys are given")
	}
	if o.Endpoint == "" {
		o.Endpoint = DefaultEndpoint
	}
	u, err := url.Parse(o.Endpoint)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return nil, fault.New(fault.Usage, "--driver-option endpoint="+DefaultEndpoint, "qingcloud: endpoint %q is no address", o.Endpoint)
	}
	if u.Scheme == "http" && !isLoopback(u.Hostname()) {
		return nil, fault.New(fault.Usage, "--driver-option endpoint=https://…", "qingcloud: endpoint %s is not encrypted", o.Endpoint)
	}
	if !strings.HasSuffix(u.Path, "/") {
		u.Path += "/" // the path is signed as the server sees it
	}
	if o.Timeout == 0 {
		o.Timeout = 30 * time.Second
	}
	if o.HTTP == nil {
		o.HTTP = &http.Client{Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true}}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Sleep == nil {
		o.Sleep = cloud.Wait
	}
	if o.Token == nil {
		o.Token = randomToken
	}
	return &Driver{o: o, endpoint: u, jobs: map[string]string{}, volumes: map[string]int64{}}, nil
}

func isLoopback(host string) bool {
	return host == "localhost" || host == "::1" || strings.HasPrefix(host, "127.")
}

func randomToken() string {
	b := make([]byte, 4)
	_, _ = rand.Read(b) // never fails
	return hex.EncodeToString(b)
}

// unique makes a name that no earlier call has used, so that what is found by
// it is of this call.
func (d *Driver) unique(name string) string {
	if name == "" {
		name = "cw"
	}
	return name + "-" + d.o.Token()
}

// remember keeps which job works on a resource.
func (d *Driver) remember(job string, ids ...string) {
	if job == "" {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, id := range ids {
		d.jobs[id] = job
	}
}

func (d *Driver) jobOf(id string) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.jobs[id]
}

// siblings are the resources of the same job.
func (d *Driver) siblings(id string) []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	var ids []string
	for other, job := range d.jobs {
		if job == d.jobs[id] && job != "" {
			ids = append(ids, other)
		}
	}
	slices.Sort(ids)
	return ids
}

func (d *Driver) forget(id string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.jobs, id)
}

// accepted is the answer to a call that changes something.
type accepted struct {
	Job texts `json:"job_id"`
}

// ended says why the job that works on a resource did not succeed; "" while it
// works, when it did, and when none is known.
func (d *Driver) ended(ctx context.Context, id string) (problem string, err error) {
	job := d.jobOf(id)
	if job == "" {
		return "", nil
	}
	j, err := d.job(ctx, job)
	switch {
	case err != nil:
		return "", err
	case j.Status == jobDone:
		d.forget(id)
		return "", nil
	case j.Status == jobFailed, j.Status == jobPartly:
		text := fmt.Sprintf("job %s ended with %q", job, string(j.Status))
		if j.Errors != "" {
			text += " (" + string(j.Errors) + ")"
		}
		return text, nil
	}
	return "", nil
}
