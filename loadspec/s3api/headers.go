package s3api

import (
	"bytes"
	"context"
	"crypto/md5" //nolint:gosec // S3's protocol wants the key's
	"encoding/base64"
	"os"

	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"cw/fault"
)

// What headers are sent with which requests.
var (
	withCustomerKey = map[string]bool{ //nolint:gochecknoglobals // constant table
		"GetObject": true, "HeadObject": true, "PutObject": true, "CreateMultipartUpload": true, "UploadPart": true,
		"CompleteMultipartUpload": true, // of parts with checksums
	}
	withEncryption = map[string]bool{"PutObject": true, "CreateMultipartUpload": true} //nolint:gochecknoglobals // constant table
)

// headers adds to requests what the access says about encryption and who
// pays, before they are signed.
func (s *Store) headers() ([]func(*middleware.Stack) error, error) {
	type header struct {
		name, value string
		of          map[string]bool // operations; nil all
	}
	var all []header
	if s.RequesterPays {
		all = append(all, header{"X-Amz-Request-Payer", "requester", nil})
	}
	switch s.Encryption {
	case "s3":
		all = append(all, header{"X-Amz-Server-Side-Encryption", "AES256", withEncryption})
	case "kms":
		all = append(all, header{"X-Amz-Server-Side-Encryption", "aws:kms", withEncryption})
	}
	if s.KMSKey != "" {
		all = append(all, header{"X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id", s.KMSKey, withEncryption})
	}
	if s.CustomerKeyFile != "" {
		key, err := customerKey(s.CustomerKeyFile)
		if err != nil {
			return nil, err
		}
		sum := md5.Sum(key) //nolint:gosec // as above
		all = append(all,
			header{"X-Amz-Server-Side-Encryption-Customer-Algorithm", "AES256", withCustomerKey},
			header{"X-Amz-Server-Side-Encryption-Customer-Key", base64.StdEncoding.EncodeToString(key), withCustomerKey},
			header{"X-Amz-Server-Side-Encryption-Customer-Key-Md5", base64.StdEncoding.EncodeToString(sum[:]), withCustomerKey})
	}
	if len(all) == 0 {
		return nil, nil
	}
	add := middleware.BuildMiddlewareFunc("cw headers", func(ctx context.Context, in middleware.BuildInput, next middleware.BuildHandler) (middleware.BuildOutput, middleware.Metadata, error) {
		if r, ok := in.Request.(*smithyhttp.Request); ok {
			for _, h := range all {
				if h.of == nil || h.of[awsmiddleware.GetOperationName(ctx)] {
					r.Header.Set(h.name, h.value)
				}
			}
		}
		return next.HandleBuild(ctx, in)
	})
	return []func(*middleware.Stack) error{func(stack *middleware.Stack) error { return stack.Build.Add(add, middleware.After) }}, nil
}

// customerKey reads the 32 bytes of an SSE-C key.
func customerKey(file string) ([]byte, error) {
	const size = 32
	data, err := os.ReadFile(file) //nolint:gosec // the control file names it
	if err != nil {
		return nil, fault.New(fault.Usage, "", "SSE_C_KEY_FILE: %w", err)
	}
	if len(data) == size {
		return data, nil
	}
	key, err := base64.StdEncoding.DecodeString(string(bytes.TrimSpace(data)))
	if err != nil || len(key) != size {
		return nil, fault.New(fault.Usage, "make one: openssl rand -base64 32 > "+file, "SSE_C_KEY_FILE %s: holds neither 32 bytes nor their base64", file)
	}
	return key, nil
}
