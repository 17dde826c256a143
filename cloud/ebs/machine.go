package ebs

import (
	"context"
	"fmt"
	"net/netip"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/smithy-go"

	"cw/cloud"
	"cw/fault"
)

// CanLaunch says what LaunchMachine lacks; nil when it lacks nothing.
func (d *Driver) CanLaunch() error {
	if d.o.LaunchTemplate != "" || d.o.Image != "" && d.o.InstanceType != "" {
		return nil
	}
	return fault.New(fault.Usage, "--driver-option launch_template=lt-… , or image=ami-… and instance_type=m7i.xlarge", "EC2: what instance to make is not known")
}

// LaunchMachine implements cloud.Machines.
func (d *Driver) LaunchMachine(ctx context.Context, name string) (cloud.Machine, error) {
	if err := d.CanLaunch(); err != nil {
		return cloud.Machine{}, err
	}
	token := d.token()
	in := &ec2.RunInstancesInput{
		MinCount: aws.Int32(1), MaxCount: aws.Int32(1), InstanceType: types.InstanceType(d.o.InstanceType),
		ClientToken: aws.String(token), TagSpecifications: tags(types.ResourceTypeInstance, name, token), SecurityGroupIds: d.o.SecurityGroups,
	}
	for to, value := range map[**string]string{&in.ImageId: d.o.Image, &in.SubnetId: d.o.Subnet, &in.KeyName: d.o.KeyPair} {
		if value != "" {
			*to = aws.String(value)
		}
	}
	if d.o.LaunchTemplate != "" {
		in.LaunchTemplate = &types.LaunchTemplateSpecification{LaunchTemplateId: aws.String(d.o.LaunchTemplate)}
	}
	if d.o.Subnet == "" && d.o.Zone != "" {
		in.Placement = &types.Placement{AvailabilityZone: aws.String(d.o.Zone)} // beside its volumes
	}
	var r *ec2.RunInstancesOutput
	err := d.again(ctx, func() (err error) {
		r, err = d.ec2.RunInstances(ctx, in)
		return err
	})
	if err != nil {
		return cloud.Machine{}, fmt.Errorf("make instance %s: %w", name, explain(err))
	}
	if len(r.Instances) != 1 {
		return cloud.Machine{}, fault.New(fault.Failed, "look for the tag "+requestTag+"="+token, "EC2: instance %s was accepted, and %d were told", name, len(r.Instances))
	}
	m := d.readInstance(r.Instances[0])
	d.remember(m.ID)
	return m, nil
}

// instance asks for one instance.
func (d *Driver) instance(ctx context.Context, id string) (types.Instance, error) {
	r, err := d.ec2.DescribeInstances(ctx, &ec2.DescribeInstancesInput{InstanceIds: []string{id}})
	if err != nil {
		return types.Instance{}, err
	}
	for _, group := range r.Reservations {
		for _, in := range group.Instances {
			if aws.ToString(in.InstanceId) == id {
				return in, nil
			}
		}
	}
	return types.Instance{}, &notListed{id}
}

// notListed is an instance that EC2 answers about without listing it.
type notListed struct{ id string }

func (e *notListed) Error() string { return "EC2 does not list " + e.id }

// ErrorCode makes it like EC2's own word for it: a smithy.APIError.
func (e *notListed) ErrorCode() string { return "InvalidInstanceID.NotFound" }

// ErrorMessage implements smithy.APIError.
func (e *notListed) ErrorMessage() string { return e.Error() }

// ErrorFault implements smithy.APIError.
func (e *notListed) ErrorFault() smithy.ErrorFault { return smithy.FaultClient }

// Machine implements cloud.Machines.
func (d *Driver) Machine(ctx context.Context, id string) (cloud.Machine, error) {
	in, err := d.instance(ctx, id)
	if isGone(err) {
		if d.known(id) {
			return cloud.Machine{ID: id, State: cloud.Pending}, nil
		}
		return cloud.Machine{ID: id, State: cloud.Gone}, nil
	}
	if err != nil {
		return cloud.Machine{}, fmt.Errorf("ask for instance %s: %w", id, explain(err))
	}
	d.forget(id)
	return d.readInstance(in), nil
}

// readInstance puts an item into cw's words.
func (d *Driver) readInstance(in types.Instance) cloud.Machine {
	m := cloud.Machine{ID: aws.ToString(in.InstanceId), State: cloud.Pending, Address: aws.ToString(in.PrivateIpAddress)}
	if d.o.PublicAddress {
		m.Address = aws.ToString(in.PublicIpAddress)
	}
	if in.State == nil {
		return m
	}
	switch in.State.Name {
	case types.InstanceStateNameRunning:
		m.State = cloud.InUse
	case types.InstanceStateNameStopped:
		m.State = cloud.Available
	case types.InstanceStateNameTerminated, types.InstanceStateNameShuttingDown:
		// An instance that cannot start ends itself, and says why.
		m.State = cloud.Gone
		if in.StateReason != nil {
			m.Problem = aws.ToString(in.StateReason.Message)
		}
	case types.InstanceStateNamePending, types.InstanceStateNameStopping:
	}
	return m
}

// StopMachine implements cloud.Machines: the guest is not asked to shut down.
func (d *Driver) StopMachine(ctx context.Context, id string) error {
	if _, err := d.ec2.StopInstances(ctx, &ec2.StopInstancesInput{InstanceIds: []string{id}, Force: aws.Bool(true), SkipOsShutdown: aws.Bool(true)}); err != nil {
		return fmt.Errorf("stop instance %s: %w", id, explain(err))
	}
	return nil
}

// DeleteMachine implements cloud.Machines.
func (d *Driver) DeleteMachine(ctx context.Context, id string) error {
	_, err := d.ec2.TerminateInstances(ctx, &ec2.TerminateInstancesInput{InstanceIds: []string{id}})
	if err != nil && !isGone(err) {
		return fmt.Errorf("delete instance %s: %w", id, explain(err))
	}
	d.forget(id)
	return nil
}

// MoveAddress implements cloud.Addresses: an Elastic IP by its allocation or
// itself, or a private address, which goes to the machine's first interface.
func (d *Driver) MoveAddress(ctx context.Context, address, machine string) error {
	fail := func(err error) error {
		return fmt.Errorf("move %s to %s: %w", address, machine, explain(err))
	}
	allocation := address
	if ip, err := netip.ParseAddr(address); err == nil {
		if ip.IsPrivate() {
			in, err := d.instance(ctx, machine)
			if err != nil {
				return fail(err)
			}
			if len(in.NetworkInterfaces) == 0 {
				return fail(fault.New(fault.Failed, "look at the instance in the console", "it has no network interface"))
			}
			_, err = d.ec2.AssignPrivateIpAddresses(ctx, &ec2.AssignPrivateIpAddressesInput{
				NetworkInterfaceId: in.NetworkInterfaces[0].NetworkInterfaceId, PrivateIpAddresses: []string{address}, AllowReassignment: aws.Bool(true),
			})
			if err != nil {
				return fail(err)
			}
			return nil
		}
		r, err := d.ec2.DescribeAddresses(ctx, &ec2.DescribeAddressesInput{PublicIps: []string{address}})
		if err != nil {
			return fail(err)
		}
		if len(r.Addresses) != 1 {
			return fail(fault.New(fault.Usage, "aws ec2 describe-addresses lists them", "it is not an Elastic IP of this account"))
		}
		allocation = aws.ToString(r.Addresses[0].AllocationId)
	} else if !strings.HasPrefix(address, "eipalloc-") {
		return fail(fault.New(fault.Usage, "give an address or eipalloc-…", "it is neither an address nor an allocation"))
	}
	_, err := d.ec2.AssociateAddress(ctx, &ec2.AssociateAddressInput{AllocationId: aws.String(allocation), InstanceId: aws.String(machine), AllowReassociation: aws.Bool(true)})
	if err != nil {
		return fail(err)
	}
	return nil
}
