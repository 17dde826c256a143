package net

import (
	"fmt"
	gonet "net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// NIC is a network interface of this host.
type NIC struct {
	Name      string   `json:"name"`
	Driver    string   `json:"driver,omitempty"` // "" of virtual ones
	Speed     float64  `json:"speed,omitempty"`  // bits per second as the driver says, 0 when it does not
	MTU       int      `json:"mtu"`
	Queues    int      `json:"queues"` // of the receiving side
	MAC       string   `json:"mac,omitempty"`
	Up        bool     `json:"up"`
	Addresses []string `json:"addresses"` // with the length of the prefix
	// Exceeded are counters of drivers that tell how often the cloud's limits
	// were met, as ethtool -S shows them (ENA: bw_in_allowance_exceeded, …).
	Exceeded map[string]uint64 `json:"exceeded,omitempty"`
}

// Interfaces lists this host's interfaces but the loopback.
func Interfaces() ([]NIC, error) {
	all, err := gonet.Interfaces()
	if err != nil {
		return nil, fmt.Errorf("list the network interfaces: %w", err)
	}
	nics := []NIC{}
	for _, i := range all {
		if i.Flags&gonet.FlagLoopback != 0 {
			continue
		}
		n := NIC{Name: i.Name, MTU: i.MTU, MAC: i.HardwareAddr.String(), Up: i.Flags&gonet.FlagUp != 0, Addresses: []string{}}
		addrs, err := i.Addrs()
		if err != nil {
			return nil, fmt.Errorf("addresses of %s: %w", i.Name, err)
		}
		for _, a := range addrs {
			n.Addresses = append(n.Addresses, a.String())
		}
		n.describe("/sys/class/net")
		stats, _ := ethtoolStats(i.Name) // not every driver has some
		for name, v := range stats {
			if strings.HasSuffix(name, "_allowance_exceeded") {
				if n.Exceeded == nil {
					n.Exceeded = map[string]uint64{}
				}
				n.Exceeded[name] = v
			}
		}
		nics = append(nics, n)
	}
	return nics, nil
}

// describe reads what sysfs tells; a value that is not there stays empty.
func (n *NIC) describe(class string) {
	dir := filepath.Join(class, n.Name)
	if link, err := os.Readlink(filepath.Join(dir, "device", "driver")); err == nil {
		n.Driver = filepath.Base(link)
	}
	if text, err := os.ReadFile(filepath.Join(dir, "speed")); err == nil {
		// In Mbit/s, -1 for unknown.
		if v, err := strconv.ParseFloat(strings.TrimSpace(string(text)), 64); err == nil && v > 0 {
			n.Speed = v * 1e6
		}
	}
	queues, _ := filepath.Glob(filepath.Join(dir, "queues", "rx-*"))
	n.Queues = len(queues)
}
