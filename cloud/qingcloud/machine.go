package qingcloud

import (
	"context"
	"fmt"

	"cw/cloud"
	"cw/fault"
)

// instanceItem is one of DescribeInstances.
type instanceItem struct {
	ID         text `json:"instance_id"`
	Name       text `json:"instance_name"`
	Status     text `json:"status"`
	Transition text `json:"transition_status"`
	VxNets     []struct {
		Address text `json:"private_ip"`
		NIC     text `json:"nic_id"`
	} `json:"vxnets"`
	EIP one[struct {
		Address text `json:"eip_addr"`
	}] `json:"eip"`
	EIPs one[struct {
		Address text `json:"eip_addr"`
	}] `json:"eips"`
}

// CanLaunch says what LaunchMachine lacks; nil when it lacks nothing.
func (d *Driver) CanLaunch() error {
	for _, need := range []struct{ key, value, example string }{
		{"image", d.o.Image, "img-…"}, {"instance_type", d.o.InstanceType, "c4m8"}, {"keypair", d.o.KeyPair, "kp-…"},
	} {
		if need.value == "" {
			return fault.New(fault.Usage, "--driver-option "+need.key+"="+need.example, "QingCloud: to make an instance its %s has to be known", need.key)
		}
	}
	return nil
}

// LaunchMachine implements cloud.Machines. Login is by key pair only: a
// password would stand in the request's address.
func (d *Driver) LaunchMachine(ctx context.Context, name string) (cloud.Machine, error) {
	if err := d.CanLaunch(); err != nil {
		return cloud.Machine{}, err
	}
	name = d.unique(name)
	params := list(map[string]string{
		"image_id": d.o.Image, "instance_type": d.o.InstanceType, "count": "1", "instance_name": name,
		"login_mode": "keypair", "login_keypair": d.o.KeyPair,
	}, "vxnets", d.o.VxNets...)
	if d.o.SecurityGroup != "" {
		params["security_group"] = d.o.SecurityGroup
	}
	var out struct {
		accepted
		Instances texts `json:"instances"`
	}
	err := d.change(ctx, "RunInstances", params, &out, func(ctx context.Context) (bool, error) {
		items, err := d.describeInstances(ctx, map[string]string{"search_word": name})
		for _, it := range items {
			if string(it.Name) == name {
				out.Instances = texts{string(it.ID)}
				return true, nil
			}
		}
		return false, err
	})
	if err != nil {
		return cloud.Machine{}, fmt.Errorf("make instance %s: %w", name, err)
	}
	id := out.Instances.first()
	if id == "" {
		return cloud.Machine{}, fault.New(fault.Failed, "look for "+name+" in the console", "QingCloud: instance %s was accepted, but its id was not told", name)
	}
	d.remember(out.Job.first(), id)
	return cloud.Machine{ID: id, State: cloud.Pending}, nil
}

func (d *Driver) describeInstances(ctx context.Context, params map[string]string) ([]instanceItem, error) {
	var out struct {
		Items []instanceItem `json:"instance_set"`
	}
	params["verbose"], params["limit"] = "1", "100"
	err := d.read(ctx, "DescribeInstances", params, &out)
	return out.Items, err
}

func (d *Driver) instance(ctx context.Context, id string) (it instanceItem, ok bool, err error) {
	items, err := d.describeInstances(ctx, list(nil, "instances", id))
	if isNotFound(err) {
		return it, false, nil
	}
	for _, it := range items {
		if string(it.ID) == id {
			return it, true, err
		}
	}
	return it, false, err
}

// Machine implements cloud.Machines.
func (d *Driver) Machine(ctx context.Context, id string) (cloud.Machine, error) {
	it, ok, err := d.instance(ctx, id)
	if err != nil {
		return cloud.Machine{}, err
	}
	m := cloud.Machine{ID: id, State: cloud.Gone}
	if ok {
		m = d.readInstance(it)
	} else if d.jobOf(id) != "" {
		m.State = cloud.Pending
	}
	if m.State == cloud.Pending {
		if m.Problem, err = d.ended(ctx, id); m.Problem != "" {
			m.State = cloud.Failed
		}
	}
	return m, err
}

// readInstance puts an item into cw's words.
func (d *Driver) readInstance(it instanceItem) cloud.Machine {
	m := cloud.Machine{ID: string(it.ID), State: cloud.Pending}
	if d.o.PublicAddress {
		m.Address = string(it.EIP.V.Address)
		if m.Address == "" {
			m.Address = string(it.EIPs.V.Address)
		}
	} else {
		for _, n := range it.VxNets {
			if n.Address != "" {
				m.Address = string(n.Address)
				break
			}
		}
	}
	switch it.Status {
	case "pending":
	case "running":
		m.State = cloud.InUse
	case "stopped":
		m.State = cloud.Available
	case "terminated", "ceased":
		m.State = cloud.Gone
	case "suspended":
		m.State, m.Problem = cloud.Failed, "it is suspended: the account has no funds"
	default:
		m.State, m.Problem = cloud.Failed, fmt.Sprintf("its status is %q", string(it.Status))
	}
	return m
}

// StopMachine implements cloud.Machines: without asking the guest, as a power
// failure would.
func (d *Driver) StopMachine(ctx context.Context, id string) error {
	var out accepted
	params := list(map[string]string{"force": "1"}, "instances", id)
	err := d.change(ctx, "StopInstances", params, &out, func(ctx context.Context) (bool, error) {
		it, _, err := d.instance(ctx, id)
		return it.Transition == "stopping" || it.Status == "stopped", err
	})
	if err != nil {
		return fmt.Errorf("stop instance %s: %w", id, err)
	}
	return nil
}

// DeleteMachine implements cloud.Machines.
func (d *Driver) DeleteMachine(ctx context.Context, id string) error {
	var out accepted
	err := d.change(ctx, "TerminateInstances", list(nil, "instances", id), &out, func(ctx context.Context) (bool, error) {
		it, ok, err := d.instance(ctx, id)
		return err == nil && (!ok || it.Transition == "terminating" || it.Status == "terminated" || it.Status == "ceased"), err
	})
	if err != nil && !isNotFound(err) {
		return fmt.Errorf("delete instance %s: %w", id, err)
	}
	d.forget(id)
	return nil
}
