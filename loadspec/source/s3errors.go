package source

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"syscall"
	"time"

	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/smithy-go"

	"cw/fault"
)

// errPrecondition marks an answer that the object is not the listed one.
var errPrecondition = errors.New("the object is not the one that was listed")

// explainAPI turns an error of the SDK into one a DBA can act on.
func (s *s3Store) explainAPI(what string, err error) (again bool, explained error) {
	var classified fault.Kinder
	if errors.As(err, &classified) {
		return false, err
	}
	bucket, _ := splitURL(what)
	status := 0
	var header http.Header
	var response *smithyhttp.ResponseError
	if errors.As(err, &response) && response.Response != nil {
		status, header = response.HTTPStatusCode(), response.Response.Header
	}
	code, message := "", ""
	var api smithy.APIError
	if errors.As(err, &api) {
		code, message = api.ErrorCode(), api.ErrorMessage()
	}
	say := func(kind fault.Kind, hint, format string, args ...any) error {
		text := fmt.Sprintf(format, args...)
		if message != "" && !strings.Contains(text, message) {
			text += ": " + message
		}
		if code != "" {
			text += " (" + code + ")"
		}
		return fault.New(kind, hint, "%s: %s at %s", what, text, s.endpoint())
	}
	switch {
	case code == "NoSuchBucket":
		return false, say(fault.Failed, "check the bucket's name, and ENDPOINT and REGION in the control file", "bucket %s does not exist", bucket)
	case code == "RequestTimeTooSkewed":
		return false, say(fault.Auth, "set this machine's clock: chronyc makestep, or timedatectl set-ntp true", "clock of this machine is wrong%s", skew(header))
	case code == "PermanentRedirect" || code == "AuthorizationHeaderMalformed" || code == "IllegalLocationConstraintException" || status == http.StatusMovedPermanently:
		region := header.Get("X-Amz-Bucket-Region")
		if region == "" {
			region = "the bucket's region"
		}
		return false, say(fault.Usage, "write REGION: "+region+" in the SOURCE block", "bucket %s is in another region", bucket)
	case code == "PreconditionFailed" || status == http.StatusPreconditionFailed || status == http.StatusRequestedRangeNotSatisfiable:
		return false, errPrecondition
	case code == "NoSuchKey" || code == "NotFound":
		return false, errPrecondition
	case code == "InvalidAccessKeyId" || code == "XAdminUserNotFound" || // versitygw says the latter
		code == "SignatureDoesNotMatch" || code == "InvalidToken" || code == "ExpiredToken" || code == "TokenRefreshRequired":
		return false, say(fault.Auth, s.credentialHint(), "credentials are refused")
	case status == http.StatusForbidden || status == http.StatusUnauthorized || code == "AccessDenied":
		return false, say(fault.Auth, "the key needs s3:ListBucket on the bucket and s3:GetObject on its objects; "+s.credentialHint(), "access to bucket %s is denied", bucket)
	case status >= 500 || status == http.StatusTooManyRequests || status == http.StatusRequestTimeout || code == "SlowDown" || code == "RequestTimeout":
		return true, say(fault.Unreachable, "", "the store answers %d %s", status, http.StatusText(status))
	case status != 0:
		return false, say(fault.Failed, "is ENDPOINT an S3 service?", "unexpected answer %d %s", status, http.StatusText(status))
	}
	return s.explainNetwork(what, err)
}

func (s *s3Store) explainNetwork(what string, err error) (again bool, explained error) {
	hint := "check ENDPOINT in the control file and the network: curl -sv " + s.endpoint()
	if s.src.Endpoint == "" {
		hint = "for a store other than Amazon's write ENDPOINT in the SOURCE block"
	}
	unreachable := func(format string, args ...any) error {
		return fault.New(fault.Unreachable, hint, "%s: %s: %s", what, s.endpoint(), fmt.Sprintf(format, args...))
	}
	var signing *v4.SigningError
	if errors.As(err, &signing) || strings.Contains(err.Error(), "get identity:") || strings.Contains(err.Error(), "get credentials:") {
		return false, fault.New(fault.Auth, s.credentialHint(), "%s: no credentials for %s: %w", what, s.endpoint(), rootCause(err))
	}
	var dns *net.DNSError
	var authority x509.UnknownAuthorityError
	var hostname x509.HostnameError
	var invalid x509.CertificateInvalidError
	var timeout net.Error
	switch {
	case errors.As(err, &authority), errors.As(err, &hostname), errors.As(err, &invalid):
		return false, fault.New(fault.Failed, "add the store's CA to this machine: update-ca-certificates, or set AWS_CA_BUNDLE", "%s: certificate of %s is not trusted: %w", what, s.endpoint(), rootCause(err))
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

func (s *s3Store) credentialHint() string {
	switch {
	case s.src.Anonymous:
		return "the bucket is not public: remove ANONYMOUS"
	case s.src.Profile != "":
		return "check them: aws sts get-caller-identity --profile " + s.src.Profile
	default:
		return "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or write PROFILE: name (or ANONYMOUS: true for a public bucket) in the SOURCE block"
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
