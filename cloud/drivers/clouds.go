package drivers

import (
	"context"

	"cw/cloud/ebs"
	"cw/cloud/exec"
	"cw/cloud/qingcloud"
)

func qingcloudEntry() entry {
	return entry{Info: Info{
		Name: "qingcloud", Summary: "QingCloud by its signed HTTP API",
		Options: []Option{
			{"zone", "the zone, as pek3a (required)"},
			{"credentials_file", "YAML file with qy_access_key_id and qy_secret_access_key (default ~/" + qingcloud.KeysFile + ")"},
			{"endpoint", "the API's address (default " + qingcloud.DefaultEndpoint + ")"},
			{"timeout", "of one request (default 30s)"},
			{"image", "image of new instances"},
			{"instance_type", "type of new instances"},
			{"vxnets", "networks of new instances, the first is the one for SSH"},
			{"keypair", "SSH key pair of new instances"},
			{"security_group", "firewall of new instances"},
			{"address", "reach new instances by their private (default) or public address"},
		},
	}, open: func(_ context.Context, s Spec) (*Driver, error) {
		keys, err := qingcloud.ReadKeys(s.Options["credentials_file"])
		if err != nil {
			return nil, err
		}
		timeout, err := duration(s, "timeout")
		if err != nil {
			return nil, err
		}
		address, err := oneOf(s, "address", "private", "public")
		if err != nil {
			return nil, err
		}
		d, err := qingcloud.New(qingcloud.Options{
			Zone: s.Options["zone"], Endpoint: s.Options["endpoint"], Keys: keys, Timeout: timeout,
			Image: s.Options["image"], InstanceType: s.Options["instance_type"], VxNets: items(s.Options["vxnets"]),
			KeyPair: s.Options["keypair"], SecurityGroup: s.Options["security_group"], PublicAddress: address == "public",
		})
		if err != nil {
			return nil, err
		}
		return &Driver{Snapshots: d, Machines: d, Addresses: d, CanLaunch: d.CanLaunch}, nil
	}}
}

func ebsEntry() entry {
	return entry{Info: Info{
		Name: "ebs", Summary: "Amazon EC2 and EBS; credentials by the SDK's own chain",
		Options: []Option{
			{"region", "the region (default: the configuration's)"},
			{"zone", "availability zone of new volumes"},
			{"profile", "profile of ~/.aws/config"},
			{"credentials_file", "shared credentials file in place of ~/.aws/credentials"},
			{"volume_type", "type of new volumes, as gp3"},
			{"launch_template", "launch template of new instances, lt-…; else:"},
			{"image", "image of new instances"},
			{"instance_type", "type of new instances"},
			{"subnet", "subnet of new instances"},
			{"keypair", "SSH key pair of new instances"},
			{"security_groups", "security groups of new instances"},
			{"address", "reach new instances by their private (default) or public address"},
		},
	}, open: func(ctx context.Context, s Spec) (*Driver, error) {
		address, err := oneOf(s, "address", "private", "public")
		if err != nil {
			return nil, err
		}
		o := s.Options
		d, err := ebs.New(ctx, ebs.Options{
			Region: o["region"], Zone: o["zone"], Profile: o["profile"], CredentialsFile: o["credentials_file"], VolumeType: o["volume_type"],
			LaunchTemplate: o["launch_template"], Image: o["image"], InstanceType: o["instance_type"], Subnet: o["subnet"],
			KeyPair: o["keypair"], SecurityGroups: items(o["security_groups"]), PublicAddress: address == "public",
		})
		if err != nil {
			return nil, err
		}
		return &Driver{Snapshots: d, Machines: d, Addresses: d, CanLaunch: d.CanLaunch}, nil
	}}
}

func execEntry() entry {
	return entry{Info: Info{
		Name: "exec", Summary: "any cloud, by a program of yours: PROGRAM VERB with JSON on its standard input and output",
		Options: []Option{
			{"program", "the program (required)"},
			{"timeout", "of one call (default 1m)"},
		},
	}, open: func(ctx context.Context, s Spec) (*Driver, error) {
		timeout, err := duration(s, "timeout")
		if err != nil {
			return nil, err
		}
		d, err := exec.New(exec.Options{Program: s.Options["program"], Timeout: timeout})
		if err != nil {
			return nil, err
		}
		can, err := d.Abilities(ctx)
		if err != nil {
			return nil, err
		}
		opened := &Driver{}
		if can.Snapshots {
			opened.Snapshots = d
		}
		if can.Volumes {
			opened.Volumes = d
		}
		if can.Machines {
			opened.Machines = d
		}
		if can.Addresses {
			opened.Addresses = d
		}
		return opened, nil
	}}
}
