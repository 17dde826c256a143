package s3api

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"syscall"
	"time"

	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"cw/fault"
)

// ErrPrecondition is an answer that the object is not, or no longer, the one
// that was asked for.
var ErrPrecondition = errors.New("the object is not the one that was listed")

// Code is the store's word for an error, "" when it has none.
func Code(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorCode()
	}
	return ""
}

// Explain turns an error of the SDK about what, an s3:// URL, into one a DBA
// can act on, and says whether another try may help.
func (s *Store) Explain(what string, err error) (again bool, explained error) {
	var classified fault.Kinder
	if errors.As(err, &classified) {
		return false, err
	}
	bucket, _, _ := strings.Cut(strings.TrimPrefix(what, "s3://"), "/")
	status := 0
	var header http.Header
	var response *smithyhttp.ResponseError
	if errors.As(err, &response) && response.Response != nil {
		status, header = response.HTTPStatusCode(), response.Response.Header
	}
	code, message := Code(err), ""
	var api smithy.APIError
	if errors.As(err, &api) {
		message = api.ErrorMessage()
	}
	say := func(kind fault.Kind, hint, format string, args ...any) error {
		text := fmt.Sprintf(format, args...)
		if message != "" && !strings.Contains(text, message) {
			text += ": " + message
		}
		if code != "" {
			text += " (" + code + ")"
		}
		return fault.New(kind, hint, "%s: %s at %s", what, text, s.Name())
	}
	switch {
	case code == "NoSuchBucket":
		return false, say(fault.Failed, "check the bucket's name, and ENDPOINT and REGION", "bucket %s does not exist", bucket)
	case code == "RequestTimeTooSkewed":
		return false, say(fault.Auth, "set this machine's clock: chronyc makestep, or timedatectl set-ntp true", "clock of this machine is wrong%s", skew(header))
	case code == "PermanentRedirect" || code == "AuthorizationHeaderMalformed" || code == "IllegalLocationConstraintException" || status == http.StatusMovedPermanently:
		region := header.Get("X-Amz-Bucket-Region")
		if region == "" {
			region = "the bucket's region"
		}
		return false, say(fault.Usage, "write REGION: "+region+" beside the URL (cw serve: --s3-region)", "bucket %s is in another region", bucket)
	case code == "PreconditionFailed" || status == http.StatusPreconditionFailed || status == http.StatusRequestedRangeNotSatisfiable:
		return false, ErrPrecondition
	case code == "NoSuchKey" || code == "NotFound":
		return false, ErrPrecondition
	case code == "InvalidAccessKeyId" || code == "XAdminUserNotFound" || // versitygw says the latter
		code == "SignatureDoesNotMatch" || code == "InvalidToken" || code == "ExpiredToken" || code == "TokenRefreshRequired":
		return false, say(fault.Auth, s.credentialHint(), "credentials are refused")
	case status == http.StatusForbidden || status == http.StatusUnauthorized || code == "AccessDenied":
		return false, say(fault.Auth, "reading needs s3:ListBucket on the bucket and s3:GetObject on its objects, writing s3:PutObject and s3:AbortMultipartUpload; "+s.credentialHint(),
			"access to bucket %s is denied", bucket)
	case code == "BadDigest" || code == "XAmzContentChecksumMismatch":
		return true, say(fault.Unreachable, "", "the data did not arrive as it was sent")
	case status >= 500 || status == http.StatusTooManyRequests || status == http.StatusRequestTimeout || code == "SlowDown" || code == "RequestTimeout":
		return true, say(fault.Unreachable, "", "the store answers %d %s", status, http.StatusText(status))
	case status >= 300:
		return false, say(fault.Failed, "is ENDPOINT an S3 service?", "unexpected answer %d %s", status, http.StatusText(status))
	}
	return s.explainNetwork(what, err)
}

func (s *Store) explainNetwork(what string, err error) (again bool, explained error) {
	var signing *v4.SigningError
	if errors.As(err, &signing) || strings.Contains(err.Error(), "get identity:") || strings.Contains(err.Error(), "get credentials:") {
		return false, fault.New(fault.Auth, s.credentialHint(), "%s: no credentials for %s: %w", what, s.Name(), rootCause(err))
	}
	hint := "check ENDPOINT and the network: curl -sv " + s.Name()
	if s.Endpoint == "" {
		hint = "for a store other than Amazon's write ENDPOINT beside the URL (cw serve: --s3-endpoint)"
	}
	return explainNetwork(what, s.Name(), hint, err)
}

// ExplainNetwork does the same for a server that is no store.
func ExplainNetwork(url string, err error) (again bool, explained error) {
	var classified fault.Kinder
	if errors.As(err, &classified) {
		return false, err
	}
	return explainNetwork(url, "the server", "look at it: curl -sIv '"+url+"'", err)
}

func explainNetwork(what, server, hint string, err error) (again bool, explained error) {
	unreachable := func(format string, args ...any) error {
		return fault.New(fault.Unreachable, hint, "%s: %s: %s", what, server, fmt.Sprintf(format, args...))
	}
	var dns *net.DNSError
	var authority x509.UnknownAuthorityError
	var hostname x509.HostnameError
	var invalid x509.CertificateInvalidError
	var timeout net.Error
	switch {
	case errors.As(err, &authority), errors.As(err, &hostname), errors.As(err, &invalid):
		return false, fault.New(fault.Failed, "name its authority's certificate with CA_FILE beside the URL, or add it to this machine: update-ca-certificates", "%s: certificate of %s is not trusted: %w", what, server, rootCause(err))
	case errors.As(err, &dns) && dns.IsNotFound:
		return false, unreachable("host %s is not known", dns.Name)
	case errors.Is(err, syscall.ECONNREFUSED):
		return true, unreachable("connection refused")
	case errors.As(err, &timeout) && timeout.Timeout():
		return true, unreachable("no answer in time")
	default:
		return true, unreachable("%v", rootCause(err))
	}
}

func (s *Store) credentialHint() string {
	switch {
	case s.Anonymous:
		return "the bucket is not public: remove ANONYMOUS"
	case s.Profile != "":
		return "check them: aws sts get-caller-identity --profile " + s.Profile
	default:
		return "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or write PROFILE: name (or ANONYMOUS: true for a public bucket) beside the URL"
	}
}

// skew tells both clocks when the answer carries its time.
func skew(h http.Header) string {
	there, err := http.ParseTime(h.Get("Date"))
	if err != nil {
		return ""
	}
	here := time.Now()
	return fmt.Sprintf(" by %s (here %s, there %s)", here.Sub(there).Round(time.Second), here.UTC().Format(time.RFC3339), there.UTC().Format(time.RFC3339))
}

func rootCause(err error) error {
	for {
		next := errors.Unwrap(err)
		if next == nil {
			return err
		}
		err = next
	}
}
