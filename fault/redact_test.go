package fault_test

import (
	"testing"

	"cw/fault"
)

func TestRedact(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"postgres://dw:s3cret@db/x":            "postgres://dw:[redacted]@db/x",
		`{"password": "s3cret", "a": 1}`:       `{"password": [redacted], "a": 1}`,
		"  - PASSWORD: s3cret":                 "  - PASSWORD: [redacted]",
		"wrong or missing password: failed to": "wrong or missing password: failed to",
		"alter role dw password 's3cret'":      "alter role dw password [redacted]",
		"PASSWORD: s3cret":                     "PASSWORD: [redacted]",
		"aws_secret_access_key=s3cret":         "aws_secret_access_key=[redacted]",
		"password authentication failed for x": "password authentication failed for x",
		"password_file: ./dw1.pass":            "password_file: ./dw1.pass",
		"secret_access_key = s3cret region=x":  "secret_access_key = [redacted] region=x",
	} {
		if got := fault.Redact(in); got != want {
			t.Errorf("Redact(%q) = %q, want %q", in, got, want)
		}
	}
}
