package qingcloud

import (
	"context"
	"fmt"
	"strconv"

	"cw/fault"
)

// eipItem is one of DescribeEips.
type eipItem struct {
	ID       text `json:"eip_id"`
	Address  text `json:"eip_addr"`
	Status   text `json:"status"`
	Resource one[struct {
		ID text `json:"resource_id"`
	}] `json:"resource"`
}

// nicItem is one of DescribeNics.
type nicItem struct {
	ID       text `json:"nic_id"`
	Address  text `json:"private_ip"`
	Instance text `json:"instance_id"`
}

// MoveAddress implements cloud.Addresses. A public address (by its id, eip-…,
// or itself) is dissociated and associated; a NIC (by its id or its private
// address) is detached and attached. A VIP of a private network has no call to
// move it: the API only reserves it, and the guests answer for it.
func (d *Driver) MoveAddress(ctx context.Context, address, machine string) error {
	eip, ok, err := d.eip(ctx, address)
	switch {
	case err != nil:
		return fmt.Errorf("move %s: %w", address, err)
	case ok:
		err = d.moveEIP(ctx, eip, machine)
	default:
		var nic nicItem
		if nic, ok, err = d.nic(ctx, address); err == nil && !ok {
			return fault.New(fault.Usage, "let the guests move it (keepalived), and measure with cw perf vip and hooks",
				"QingCloud: %s is neither a public address nor that of a NIC in zone %s; the API moves no VIP of a private network", address, d.o.Zone)
		}
		if err == nil {
			err = d.moveNIC(ctx, nic, machine)
		}
	}
	if err != nil {
		return fmt.Errorf("move %s to %s: %w", address, machine, err)
	}
	return nil
}

func (d *Driver) moveEIP(ctx context.Context, eip eipItem, machine string) error {
	id := string(eip.ID)
	where := func(ctx context.Context) (string, error) {
		e, _, err := d.eip(ctx, id)
		return string(e.Resource.V.ID), err
	}
	if string(eip.Resource.V.ID) == machine {
		return nil
	}
	if eip.Resource.V.ID != "" {
		var out accepted
		if err := d.change(ctx, "DissociateEips", list(nil, "eips", id), &out, func(ctx context.Context) (bool, error) {
			at, err := where(ctx)
			return at == "", err
		}); err != nil {
			return err
		}
		if err := d.await(ctx, out.Job.first()); err != nil {
			return err
		}
	}
	var out accepted
	return d.change(ctx, "AssociateEip", map[string]string{"eip": id, "instance": machine}, &out, func(ctx context.Context) (bool, error) {
		at, err := where(ctx)
		return at == machine, err
	})
}

func (d *Driver) moveNIC(ctx context.Context, nic nicItem, machine string) error {
	id := string(nic.ID)
	where := func(ctx context.Context) (string, error) {
		n, _, err := d.nic(ctx, id)
		return string(n.Instance), err
	}
	if string(nic.Instance) == machine {
		return nil
	}
	if nic.Instance != "" {
		var out accepted
		if err := d.change(ctx, "DetachNics", list(nil, "nics", id), &out, func(ctx context.Context) (bool, error) {
			at, err := where(ctx)
			return at == "", err
		}); err != nil {
			return err
		}
		if err := d.await(ctx, out.Job.first()); err != nil {
			return err
		}
	}
	var out accepted
	return d.change(ctx, "AttachNics", list(map[string]string{"instance": machine}, "nics", id), &out, func(ctx context.Context) (bool, error) {
		at, err := where(ctx)
		return at == machine, err
	})
}

// page is the longest list that the API gives at once.
const page = 100

// eip finds a public address by its id or itself.
func (d *Driver) eip(ctx context.Context, address string) (eipItem, bool, error) {
	for offset := 0; ; offset += page {
		var out struct {
			Items []eipItem `json:"eip_set"`
		}
		if err := d.read(ctx, "DescribeEips", pageOf(offset), &out); err != nil {
			return eipItem{}, false, err
		}
		for _, e := range out.Items {
			if string(e.ID) == address || string(e.Address) == address {
				return e, true, nil
			}
		}
		if len(out.Items) < page {
			return eipItem{}, false, nil
		}
	}
}

// nic finds a NIC by its id or its private address.
func (d *Driver) nic(ctx context.Context, address string) (nicItem, bool, error) {
	for offset := 0; ; offset += page {
		var out struct {
			Items []nicItem `json:"nic_set"`
		}
		if err := d.read(ctx, "DescribeNics", pageOf(offset), &out); err != nil {
			return nicItem{}, false, err
		}
		for _, n := range out.Items {
			if string(n.ID) == address || string(n.Address) == address {
				return n, true, nil
			}
		}
		if len(out.Items) < page {
			return nicItem{}, false, nil
		}
	}
}

func pageOf(offset int) map[string]string {
	return map[string]string{"limit": strconv.Itoa(page), "offset": strconv.Itoa(offset)}
}
