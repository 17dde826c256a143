// Package s3api is the way to S3-compatible stores, for those that read
// objects and those that write them: one client, made from the same settings,
// and one place that turns a store's errors into words a DBA can act on.
// Retries are not in it: readers go on at the byte reached, writers at the
// part.
package s3api

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"cw/fault"
)

// Access says which store it is and how to get in. The zero value is Amazon
// S3 with the credentials of the AWS chain.
type Access struct {
	Endpoint  string // of an S3-compatible store
	Region    string
	Profile   string // of ~/.aws
	PathStyle bool
	Anonymous bool

	RoleARN         string // role to take
	ExternalID      string
	CAFile          string // PEM of the authorities that are trusted instead of the machine's
	ServerName      string // in the store's certificate; "" that of the endpoint
	CustomerKeyFile string // of SSE-C
	RequesterPays   bool
	Encryption      string // of what is written: "", s3 or kms
	KMSKey          string

	Credentials aws.CredentialsProvider // instead of the AWS chain
	Stall       time.Duration           // longest silence before an answer
}

// Store is one store; its client is made on first use, since credentials may
// need the network.
type Store struct {
	Access

	mu  sync.Mutex
	api *s3.Client
}

// Client is the store's client. The SDK's own retries are off.
func (s *Store) Client(ctx context.Context) (*s3.Client, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.api != nil {
		return s.api, nil
	}
	var opts []func(*config.LoadOptions) error
	if s.Region != "" {
		opts = append(opts, config.WithRegion(s.Region))
	}
	if s.Profile != "" {
		opts = append(opts, config.WithSharedConfigProfile(s.Profile))
	}
	switch {
	case s.Anonymous:
		opts = append(opts, config.WithCredentialsProvider(aws.AnonymousCredentials{}))
	case s.Credentials != nil:
		opts = append(opts, config.WithCredentialsProvider(s.Credentials))
	}
	cfg, err := config.LoadDefaultConfig(ctx, opts...)
	var noProfile config.SharedConfigProfileNotExistError
	if errors.As(err, &noProfile) {
		return nil, fault.New(fault.Auth, "see the profiles with: aws configure list-profiles", "PROFILE %s is not in ~/.aws: %w", s.Profile, err)
	}
	if err != nil {
		return nil, fault.New(fault.Auth, "", "read AWS configuration: %w", err)
	}
	if cfg.Region == "" {
		cfg.Region = "us-east-1" // what S3-compatible stores expect, and where Amazon redirects from
	}
	if s.RoleARN != "" {
		assume := stscreds.NewAssumeRoleProvider(sts.NewFromConfig(cfg), s.RoleARN, func(o *stscreds.AssumeRoleOptions) {
			o.RoleSessionName = "cw"
			if s.ExternalID != "" {
				o.ExternalID = aws.String(s.ExternalID)
			}
		})
		cfg.Credentials = aws.NewCredentialsCache(assume)
	}
	transport, err := Transport(s.Access)
	if err != nil {
		return nil, err
	}
	headers, err := s.headers()
	if err != nil {
		return nil, err
	}
	s.api = s3.NewFromConfig(cfg, func(o *s3.Options) {
		if s.Endpoint != "" {
			o.BaseEndpoint = aws.String(s.Endpoint)
		}
		o.UsePathStyle = s.PathStyle
		o.HTTPClient = &http.Client{Transport: transport}
		o.Retryer = aws.NopRetryer{}
		o.APIOptions = append(o.APIOptions, headers...)
		o.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenRequired
		o.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenRequired
	})
	return s.api, nil
}

// Name is the store in messages.
func (s *Store) Name() string {
	if s.Endpoint != "" {
		return s.Endpoint
	}
	return "Amazon S3"
}
