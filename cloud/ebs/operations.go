package ebs

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/service/ec2"
)

// operation is one call of EC2's API.
type operation[In, Out any] func(context.Context, *In, ...func(*ec2.Options)) (*Out, error)

// operations are the calls that the driver makes. The client itself is in no
// type that outlives newDriver: as long as nothing can reach it by reflection,
// the linker leaves out the seven hundred calls that are not here, 30 MB of
// every cw that is brought to a host.
type operations struct {
	AssignPrivateIpAddresses operation[ec2.AssignPrivateIpAddressesInput, ec2.AssignPrivateIpAddressesOutput]
	AssociateAddress         operation[ec2.AssociateAddressInput, ec2.AssociateAddressOutput]
	AttachVolume             operation[ec2.AttachVolumeInput, ec2.AttachVolumeOutput]
	CreateSnapshot           operation[ec2.CreateSnapshotInput, ec2.CreateSnapshotOutput]
	CreateSnapshots          operation[ec2.CreateSnapshotsInput, ec2.CreateSnapshotsOutput]
	CreateVolume             operation[ec2.CreateVolumeInput, ec2.CreateVolumeOutput]
	DeleteSnapshot           operation[ec2.DeleteSnapshotInput, ec2.DeleteSnapshotOutput]
	DeleteVolume             operation[ec2.DeleteVolumeInput, ec2.DeleteVolumeOutput]
	DescribeAddresses        operation[ec2.DescribeAddressesInput, ec2.DescribeAddressesOutput]
	DescribeInstances        operation[ec2.DescribeInstancesInput, ec2.DescribeInstancesOutput]
	DescribeSnapshots        operation[ec2.DescribeSnapshotsInput, ec2.DescribeSnapshotsOutput]
	DescribeVolumes          operation[ec2.DescribeVolumesInput, ec2.DescribeVolumesOutput]
	DetachVolume             operation[ec2.DetachVolumeInput, ec2.DetachVolumeOutput]
	RunInstances             operation[ec2.RunInstancesInput, ec2.RunInstancesOutput]
	StopInstances            operation[ec2.StopInstancesInput, ec2.StopInstancesOutput]
	TerminateInstances       operation[ec2.TerminateInstancesInput, ec2.TerminateInstancesOutput]
}

func operationsOf(c *ec2.Client) operations {
	return operations{
		AssignPrivateIpAddresses: c.AssignPrivateIpAddresses, AssociateAddress: c.AssociateAddress, AttachVolume: c.AttachVolume,
		CreateSnapshot: c.CreateSnapshot, CreateSnapshots: c.CreateSnapshots, CreateVolume: c.CreateVolume,
		DeleteSnapshot: c.DeleteSnapshot, DeleteVolume: c.DeleteVolume, DescribeAddresses: c.DescribeAddresses,
		DescribeInstances: c.DescribeInstances, DescribeSnapshots: c.DescribeSnapshots, DescribeVolumes: c.DescribeVolumes,
		DetachVolume: c.DetachVolume, RunInstances: c.RunInstances, StopInstances: c.StopInstances, TerminateInstances: c.TerminateInstances,
	}
}
