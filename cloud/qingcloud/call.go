package qingcloud

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"cw/fault"
)

// Codes of the API.
const (
	codeMalformed = 1100
	codeAuth      = 1200
	codeExpired   = 1300
	codeDenied    = 1400
	codeNotFound  = 2100
	codeFunds     = 2400
	codeQuota     = 2500
	codeInternal  = 5000
	codeBusy      = 5100
	codeResources = 5200
	codeUpdating  = 5300
)

// maxBody is the longest answer that is read.
const maxBody = 16 << 20

// callError is a call that did not succeed.
type callError struct {
	action string
	code   int // the API's; 0 when it did not answer in its own words
	err    error
	// temporary: the same call may succeed a moment later.
	temporary bool
	// unknown: the cloud may have done it all the same.
	unknown bool
}

func (e *callError) Error() string { return "QingCloud: " + e.action + ": " + e.err.Error() }

func (e *callError) Unwrap() error { return e.err }

// FaultKind implements fault.Kinder.
func (e *callError) FaultKind() fault.Kind {
	switch e.code {
	case codeAuth, codeExpired, codeDenied:
		return fault.Auth
	case codeMalformed:
		return fault.Usage
	case 0:
		return fault.Unreachable
	}
	return fault.Failed
}

// FaultHint implements fault.Hinter.
func (e *callError) FaultHint() string {
	switch e.code {
	case codeAuth:
		return "look at the keys in ~/" + KeysFile + " (--driver-option credentials_file=PATH) and at the console's API key page"
	case codeExpired:
		return "set this machine's clock: timedatectl set-ntp true"
	case codeDenied:
		return "the key may not do this, or the resource is busy with something else: look at it in the console"
	case codeNotFound:
		return "look at the id and at --driver-option zone=ZONE"
	case codeFunds, codeQuota:
		return "raise the quota or the balance of the account"
	case codeResources:
		return "the zone has none left of this type: another --driver-option zone or instance_type"
	case 0:
		return "look at the network and at --driver-option endpoint=URL"
	}
	return ""
}

// isNotFound tells that the API does not know an id.
func isNotFound(err error) bool {
	var e *callError
	return errors.As(err, &e) && e.code == codeNotFound
}

// answer is what all answers have.
type answer struct {
	RetCode number `json:"ret_code"`
	Message text   `json:"message"`
}

// call makes one request.
func (d *Driver) call(ctx context.Context, action string, params map[string]string, out any) error {
	all := map[string]string{"action": action, "zone": d.o.Zone}
	maps.Copy(all, params)
	fail := func(temporary, unknown bool, code int, format string, args ...any) error {
		return &callError{action: action, code: code, err: fmt.Errorf(format, args...), temporary: temporary, unknown: unknown}
	}
	ctx, cancel := context.WithTimeoutCause(ctx, d.o.Timeout, fmt.Errorf("no answer within %s", d.o.Timeout))
	defer cancel()
	u := *d.endpoint
	u.RawQuery = signedQuery(u.Path, all, d.o.Keys, d.o.Now())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return fail(false, false, 0, "%w", withoutURL(err))
	}
	resp, err := d.o.HTTP.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return fail(true, !isDial(err), 0, "%w", withoutURL(err))
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	switch {
	case err != nil:
		return fail(true, true, 0, "the answer broke off: %w", withoutURL(err))
	case resp.StatusCode == http.StatusTooManyRequests:
		return fail(true, false, 0, "HTTP %s", resp.Status)
	case resp.StatusCode >= 500:
		return fail(true, true, 0, "HTTP %s", resp.Status)
	case resp.StatusCode != http.StatusOK:
		return fail(false, false, 0, "HTTP %s", resp.Status)
	}
	var a answer
	if err := json.Unmarshal(body, &a); err != nil || !a.RetCode.Set {
		return fail(true, true, 0, "the answer is not the API's: %.80q", body)
	}
	if code := int(a.RetCode.N); code != 0 {
		temporary := code == codeInternal || code == codeBusy || code == codeUpdating
		return fail(temporary, code == codeInternal, code, "%s (ret_code %d)", message(a), code)
	}
	if err := json.Unmarshal(body, out); err != nil {
		return fail(false, true, 0, "read the answer: %w", err)
	}
	return nil
}

func message(a answer) string {
	if a.Message == "" {
		return "refused without a reason"
	}
	return string(a.Message)
}

// isDial tells a connection that never came about: nothing was sent on it.
func isDial(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}

// withoutURL leaves the address out of an error: it holds the signature.
func withoutURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

// tries is how often a call is made that may succeed a moment later.
const tries = 6

// looks is how often change looks for what may have been done.
const looks = 3

// read makes a call that changes nothing, again when that may help.
func (d *Driver) read(ctx context.Context, action string, params map[string]string, out any) error {
	return d.retry(ctx, func() error { return d.call(ctx, action, params, out) }, func(e *callError) bool { return e.temporary })
}

// change makes a call that changes something. When it is not known whether the
// cloud took it, happened looks; only what did not happen is asked for again.
func (d *Driver) change(ctx context.Context, action string, params map[string]string, out any, happened func(context.Context) (bool, error)) error {
	return d.retry(ctx, func() error {
		err := d.call(ctx, action, params, out)
		var e *callError
		if !errors.As(err, &e) || !e.unknown || ctx.Err() != nil {
			return err
		}
		// What was accepted may take a moment to be seen.
		for look := range looks {
			if serr := d.o.Sleep(ctx, backoff(look)); serr != nil {
				return serr
			}
			did, lerr := happened(ctx)
			if lerr != nil {
				return fmt.Errorf("%w; whether it was done is not known: %w", err, lerr)
			}
			if did {
				return nil
			}
		}
		e.temporary = true // it was not done
		return err
	}, func(e *callError) bool { return e.temporary })
}

func (d *Driver) retry(ctx context.Context, fn func() error, again func(*callError) bool) error {
	for try := 0; ; try++ {
		err := fn()
		var e *callError
		if err == nil || !errors.As(err, &e) || !again(e) || try+1 >= tries {
			return err
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if serr := d.o.Sleep(ctx, backoff(try)); serr != nil {
			return serr
		}
	}
}

// backoff is the pause after the n-th failure, 0 the first.
func backoff(n int) time.Duration {
	return min(500*time.Millisecond<<min(n, 6), 10*time.Second)
}

// list makes the parameters of a list: name.1, name.2 and so on.
func list(params map[string]string, name string, values ...string) map[string]string {
	if params == nil {
		params = map[string]string{}
	}
	for i, v := range values {
		params[name+"."+strconv.Itoa(i+1)] = v
	}
	return params
}
