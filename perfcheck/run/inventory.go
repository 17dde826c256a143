package run

import (
	"cw/perfcheck/cpu"
	"cw/perfcheck/memory"
	"cw/perfcheck/net"
)

// inventory is what a machine is made of; its disks are added when their
// directories are prepared.
func inventory() (map[string]any, []net.NIC) {
	nics, _ := net.Interfaces() // a machine that does not tell has none to compare
	return map[string]any{"cpu": cpu.Describe(), "memory": memory.Describe(), "nics": nics}, nics
}
