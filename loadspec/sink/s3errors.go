package sink

import (
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"strings"
	"syscall"

	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"cw/fault"
)

func codeOf(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorCode()
	}
	return ""
}

func (s *s3Store) endpoint() string {
	if s.o.Endpoint != "" {
		return s.o.Endpoint
	}
	return "Amazon S3"
}

// explain turns an error of the SDK into one a DBA can act on, and says
// whether another try may help.
func (s *s3Store) explain(what string, err error) (again bool, explained error) {
	var classified fault.Kinder
	if errors.As(err, &classified) {
		return false, err
	}
	var response *smithyhttp.ResponseError
	status := 0
	if errors.As(err, &response) && response.Response != nil {
		status = response.HTTPStatusCode()
	}
	code := codeOf(err)
	message := ""
	var api smithy.APIError
	if errors.As(err, &api) && api.ErrorMessage() != "" {
		message = ": " + api.ErrorMessage()
	}
	say := func(kind fault.Kind, hint, text string) error {
		if code != "" {
			message += " (" + code + ")"
		}
		return fault.New(kind, hint, "%s: %s at %s%s", what, text, s.endpoint(), message)
	}
	switch {
	case code == "NoSuchBucket":
		return false, say(fault.Failed, "check the bucket's name, the endpoint and the region", "bucket "+s.bucket+" does not exist")
	case code == "RequestTimeTooSkewed":
		return false, say(fault.Auth, "set this machine's clock: chronyc makestep, or timedatectl set-ntp true", "the clock of this machine is wrong")
	case code == "PermanentRedirect" || code == "AuthorizationHeaderMalformed" || status == http.StatusMovedPermanently:
		return false, say(fault.Usage, "give the bucket's region", "bucket "+s.bucket+" is in another region")
	case code == "InvalidAccessKeyId" || code == "XAdminUserNotFound" || code == "SignatureDoesNotMatch" || code == "InvalidToken" || code == "ExpiredToken":
		return false, say(fault.Auth, s.credentialHint(), "the credentials are refused")
	case status == http.StatusForbidden || status == http.StatusUnauthorized:
		return false, say(fault.Auth, "the key needs s3:PutObject and s3:AbortMultipartUpload on the prefix; "+s.credentialHint(), "writing is denied")
	case code == "BadDigest" || code == "XAmzContentChecksumMismatch" || code == "RequestTimeout":
		return true, say(fault.Unreachable, "", "the data did not arrive as it was sent")
	case status >= 500 || status == http.StatusTooManyRequests || status == http.StatusRequestTimeout || code == "SlowDown":
		return true, say(fault.Unreachable, "", "the store answers "+http.StatusText(status))
	case status >= 300:
		return false, say(fault.Failed, "is the endpoint an S3 service?", "unexpected answer "+http.StatusText(status))
	}
	return s.explainNetwork(what, err)
}

func (s *s3Store) explainNetwork(what string, err error) (again bool, explained error) {
	hint := "check the endpoint and the network: curl -sv " + s.o.Endpoint
	if s.o.Endpoint == "" {
		hint = "for a store other than Amazon's give its endpoint"
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
		return false, fault.New(fault.Failed, "add the store's CA to this machine: update-ca-certificates, or set AWS_CA_BUNDLE", "%s: the certificate of %s is not trusted: %w", what, s.endpoint(), rootCause(err))
	case errors.As(err, &dns) && dns.IsNotFound:
		return false, fault.New(fault.Unreachable, hint, "%s: host %s is not known", what, dns.Name)
	case errors.Is(err, syscall.ECONNREFUSED):
		return true, fault.New(fault.Unreachable, hint, "%s: %s refuses the connection", what, s.endpoint())
	case errors.As(err, &timeout) && timeout.Timeout():
		return true, fault.New(fault.Unreachable, hint, "%s: no answer of %s in time", what, s.endpoint())
	default:
		return true, fault.New(fault.Unreachable, hint, "%s: %s: %w", what, s.endpoint(), rootCause(err))
	}
}

func (s *s3Store) credentialHint() string {
	if s.o.Profile != "" {
		return "check them: aws sts get-caller-identity --profile " + s.o.Profile
	}
	return "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or name a profile"
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
