// Package ebs drives Amazon EC2 with its EBS volumes: snapshots, volumes,
// instances, and addresses that move. It is the only importer of the SDK's
// ec2 and ebs clients, which are slow to compile.
//
// EC2 says yes first and works afterwards; what makes or attaches something
// returns once it is accepted. A snapshot's point in time is fixed by then.
// CreateVolume and RunInstances are made once by a client token; CreateSnapshot
// has none, so a lost answer is looked for by a tag before it is asked again.
package ebs

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/ebs"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/smithy-go"

	"cw/cloud"
	"cw/fault"
)

// Options are where and what is made there. Credentials come by the SDK's own
// chain: environment, files, SSO, the instance's role.
type Options struct {
	Region          string
	Zone            string // availability zone of new volumes
	Profile         string // of the shared configuration
	CredentialsFile string // a shared credentials file in place of ~/.aws/credentials
	VolumeType      string // of new volumes; "" is EC2's default

	// What LaunchMachine makes.
	LaunchTemplate string // id; the rest may then be left out
	Image          string
	InstanceType   string
	Subnet         string
	KeyPair        string
	SecurityGroups []string
	// PublicAddress: SSH reaches the machines by their public address.
	PublicAddress bool
}

// Driver implements cloud.Snapshotter, cloud.Machines and cloud.Addresses.
type Driver struct {
	o      Options
	ec2    operations
	blocks *ebs.Client
	sleep  func(context.Context, time.Duration) error
	token  func() string

	mu    sync.Mutex
	made  map[string]bool   // ids of this driver's making: not listed yet is not gone
	chain map[string]string // snapshot → the one before it, "" for the first
}

// New makes a driver; it reads the credentials' files and asks no API yet.
func New(ctx context.Context, o Options) (*Driver, error) {
	load := []func(*config.LoadOptions) error{config.WithSharedConfigProfile(o.Profile)}
	if o.Region != "" {
		load = append(load, config.WithRegion(o.Region))
	}
	if o.CredentialsFile != "" {
		load = append(load, config.WithSharedCredentialsFiles([]string{o.CredentialsFile}))
	}
	c, err := config.LoadDefaultConfig(ctx, load...)
	if err != nil {
		return nil, fault.New(fault.Usage, "aws configure, or --driver-option profile=NAME", "ebs: %w", err)
	}
	if c.Region == "" {
		return nil, fault.New(fault.Usage, "--driver-option region=eu-central-1", "ebs: no region is given")
	}
	o.Region = c.Region
	return newDriver(o, c, cloud.Wait), nil
}

// newDriver makes a driver of a configuration.
func newDriver(o Options, c aws.Config, pause func(context.Context, time.Duration) error) *Driver {
	// Reads, and what a token or the state makes idempotent, are repeated by
	// the SDK: throttled, 5xx, broken connections.
	c.Retryer = func() aws.Retryer {
		return retry.NewStandard(func(s *retry.StandardOptions) {
			s.MaxAttempts, s.MaxBackoff = tries, 10*time.Second
			s.RateLimiter = noLimit{}
			if pause != nil {
				s.Backoff = retry.BackoffDelayerFunc(func(n int, _ error) (time.Duration, error) { return backoff(n), nil })
			}
		})
	}
	return &Driver{o: o, ec2: operationsOf(ec2.NewFromConfig(c)), blocks: ebs.NewFromConfig(c), sleep: pause, token: randomToken, made: map[string]bool{}, chain: map[string]string{}}
}

// noLimit lets every retry through: how many there are is limited already,
// and a long wait on one thing must not use up what another may need.
type noLimit struct{}

// GetToken implements retry's RateLimiter.
func (noLimit) GetToken(context.Context, uint) (func() error, error) {
	return func() error { return nil }, nil
}

// AddTokens implements retry's RateLimiter.
func (noLimit) AddTokens(uint) error { return nil }

// tries is how often a call is made that may succeed a moment later.
const tries = 6

func backoff(n int) time.Duration {
	return min(500*time.Millisecond<<min(n, 6), 10*time.Second)
}

func randomToken() string {
	b := make([]byte, 8)
	_, _ = rand.Read(b) // never fails
	return hex.EncodeToString(b)
}

func (d *Driver) remember(id string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.made[id] = true
}

// known says whether this driver made it, and forgets that it did when it is
// listed or deleted.
func (d *Driver) known(id string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.made[id]
}

func (d *Driver) forget(id string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.made, id)
}

// requestTag marks what a call made, so that it can be found when the answer
// was lost.
const requestTag = "cw-request"

// again repeats a call that a client token makes idempotent, when its answer
// came and could not be read: the SDK does not, and the id would be lost.
func (d *Driver) again(ctx context.Context, fn func() error) error {
	for try := 0; ; try++ {
		err := fn()
		var garbled *smithy.DeserializationError
		if err == nil || !errors.As(err, &garbled) || try+1 >= tries || ctx.Err() != nil {
			return err
		}
		if serr := d.sleep(ctx, backoff(try)); serr != nil {
			return serr
		}
	}
}

// tags are those of a new thing.
func tags(of types.ResourceType, name, token string) []types.TagSpecification {
	t := []types.Tag{{Key: aws.String(requestTag), Value: aws.String(token)}}
	if name != "" {
		t = append(t, types.Tag{Key: aws.String("Name"), Value: aws.String(name)})
	}
	return []types.TagSpecification{{ResourceType: of, Tags: t}}
}

// code is the API's word for an error, "" when it is not the API's.
func code(err error) string {
	var e smithy.APIError
	if errors.As(err, &e) {
		return e.ErrorCode()
	}
	return ""
}

// isGone tells an id that EC2 does not know (any more, or not yet).
func isGone(err error) bool {
	c := code(err)
	return strings.HasSuffix(c, ".NotFound") || c == "ResourceNotFoundException"
}

// explain gives an error its kind and hint.
func explain(err error) error {
	var said fault.Kinder
	if err == nil || errors.As(err, &said) {
		return err
	}
	switch c := code(err); {
	case c == "":
		return fault.Wrap(fault.Unreachable, "look at the network, the region and the credentials (aws sts get-caller-identity)", err)
	case c == "RequestExpired":
		return fault.Wrap(fault.Auth, "set this machine's clock: timedatectl set-ntp true", err)
	case c == "UnauthorizedOperation" || c == "AccessDeniedException":
		return fault.Wrap(fault.Auth, "the credentials lack the permission for this action: add it to their policy", err)
	case c == "AuthFailure" || c == "InvalidClientTokenId" || c == "SignatureDoesNotMatch" || c == "OptInRequired" || c == "ExpiredToken":
		return fault.Wrap(fault.Auth, "look at the credentials: aws sts get-caller-identity", err)
	case strings.Contains(c, "LimitExceeded") || strings.HasPrefix(c, "Insufficient"):
		return fault.Wrap(fault.Failed, "raise the quota, or take another zone or instance type", err)
	}
	return err
}
