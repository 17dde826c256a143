package commands

import (
	"context"
	"fmt"
	"os"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/spf13/cobra"

	"cw/loadspec/s3api"
	"cw/perfcheck"
	store "cw/perfcheck/object"
	"cw/schema"
)

// objectFlags say which store is measured and how to get in. They are kept
// with the run; they hold no secret.
type objectFlags struct {
	URL         string
	Endpoint    string
	Region      string
	Profile     string
	RoleARN     string
	ExternalID  string
	CAFile      string
	PathStyle   bool
	Encryption  string
	KMSKey      string
	Credentials string
	Data        string
}

// Where the keys come from.
const (
	keysOfControl = "control"
	keysOfHosts   = "hosts"
)

func newPerfObject(a *App) *cobra.Command {
	o := perfOptions{Areas: []perfcheck.Area{perfcheck.Object}}
	c := &cobra.Command{
		Use: "object --url s3://BUCKET/PREFIX", Short: "Measure the road to object storage", Args: noArgs,
		Long: `Measure the road from hosts to an S3-compatible store: the time of new connections
(TCP and TLS), the first byte of small objects on a fixed schedule, ranged reads by
1 to 64 at a time and multipart uploads by part size, the knee where doubling adds
less than 5 %, all hosts together against one alone, and whether the store has a
private address. Every byte read is compared with what was put, every part sent with
the store's answer. Errors that a second attempt heals are counted; nothing moved is
an error, never a result.

What is put lies below PREFIX/cw-perf-RUN/ and is removed afterwards, unfinished
uploads included; what runs that were killed left is named, and removed by --clean.
Uploads are paid for by what they carry: --dry-run tells how long they last.

Keys come from this machine's AWS chain and travel to the hosts over the agent's
input, never in a command line; with --credentials hosts each host uses its own.` + perfExit + exitHelp(3, 4, 5, 6),
		Example: `  cw perf object --url s3://lake/bench --region eu-central-1
  cw perf object --url s3://lake/bench --endpoint https://s3.example.com -f hosts --profile standard
  cw perf object --url s3://lake/bench -f hosts --credentials hosts --only object.get
  cw perf object --url s3://lake/bench --require 'object.firstbyte.4k.rate20.response_p99<=100ms'`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.Object.URL == "" {
				return usagef("add --url s3://bucket/prefix", "which store to measure was not said")
			}
			return a.perf(cmd.Context(), &o)
		},
	}
	o.addObjectFlags(c)
	o.addFlags(c)
	return c
}

func (o *perfOptions) addObjectFlags(c *cobra.Command) {
	f, s := c.Flags(), &o.Object
	f.StringVar(&s.URL, "url", "", "where to put and read: s3://bucket/prefix")
	f.StringVar(&s.Endpoint, "endpoint", "", "URL of an S3-compatible store (default: Amazon's)")
	f.StringVar(&s.Region, "region", "", "region of the store")
	f.StringVar(&s.Profile, "s3-profile", "", "profile of ~/.aws")
	f.StringVar(&s.RoleARN, "role-arn", "", "role to take with the credentials")
	f.StringVar(&s.ExternalID, "external-id", "", "external id that the role asks for")
	f.StringVar(&s.CAFile, "ca-file", "", "PEM file of the authorities to trust instead of the machine's")
	f.BoolVar(&s.PathStyle, "path-style", false, "address buckets in the path (default with --endpoint)")
	f.StringVar(&s.Encryption, "encryption", "", "of what is put: s3 or kms")
	f.StringVar(&s.KMSKey, "kms-key", "", "key of --encryption kms")
	f.StringVar(&s.Credentials, "credentials", keysOfControl, "whose: control (this machine's, sent to the hosts) or hosts (each its own)")
	f.StringVar(&s.Data, "data", "", "how much is put by each host for the reads, as 1GB (default: the profile's);\nas little as a store keeps in its cache measures that")
}

// settings are what the hosts are told. Keys are looked up unless it is only a
// plan.
func (s *objectFlags) settings(ctx context.Context, profile string, plan bool) (*store.Settings, error) {
	if s.URL == "" {
		return nil, nil //nolint:nilnil // no store is measured
	}
	if _, _, err := store.ParseURL(s.URL); err != nil {
		return nil, err
	}
	out := &store.Settings{URL: s.URL, Data: store.DefaultData(profile), Access: s3api.Access{
		Endpoint: s.Endpoint, Region: s.Region, Profile: s.Profile, PathStyle: s.PathStyle || s.Endpoint != "", RoleARN: s.RoleARN, ExternalID: s.ExternalID,
		Encryption: s.Encryption, KMSKey: s.KMSKey,
	}}
	switch s.Encryption {
	case "", "s3", "kms":
	default:
		return nil, notKnown("--encryption", s.Encryption, "s3", "kms")
	}
	var err error
	if s.Data != "" {
		if out.Data, err = schema.ParseSize(s.Data); err != nil {
			return nil, usagef("write it as 1GB or 1GiB", "--data: %w", err)
		}
	}
	if s.CAFile != "" {
		if out.Authorities, err = os.ReadFile(s.CAFile); err != nil {
			return nil, usagef("a file in PEM form", "--ca-file: %w", err)
		}
	}
	switch {
	case s.Credentials != keysOfControl && s.Credentials != keysOfHosts:
		return nil, notKnown("--credentials", s.Credentials, "control", "hosts")
	case s.Credentials == keysOfHosts || plan:
		return out, nil
	}
	local := s3api.Store{Access: out.Access}
	local.CAFile = s.CAFile
	api, err := local.Client(ctx)
	if err != nil {
		return nil, err
	}
	keys, err := api.Options().Credentials.Retrieve(ctx)
	if err != nil {
		return nil, withHint(fmt.Errorf("keys for %s: %w", local.Name(), err), "aws configure, or --credentials hosts when the hosts have their own")
	}
	out.Keys = &aws.Credentials{AccessKeyID: keys.AccessKeyID, SecretAccessKey: keys.SecretAccessKey, SessionToken: keys.SessionToken}
	return out, nil
}
