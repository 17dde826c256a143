// Package drivers opens the driver of a cloud by its name. It is the only
// package that knows them all; whoever uses one knows the interfaces of
// package cloud.
package drivers

import (
	"context"
	"slices"
	"strings"
	"time"

	"cw/cloud"
	"cw/fault"
	"cw/schema"
)

// Spec says which driver, and how it is set up.
type Spec struct {
	Driver  string
	Options map[string]string
	// Run runs commands on the machine that a local driver works on: over
	// SSH, or here.
	Run cloud.Runner
}

// Driver is an opened driver: what a cloud does not do is nil.
type Driver struct {
	Name      string
	Snapshots cloud.Snapshotter
	Volumes   cloud.Volumes
	Machines  cloud.Machines
	Addresses cloud.Addresses
	// CanLaunch, when set, says what LaunchMachine lacks.
	CanLaunch func() error
}

// Option is a key of Spec.Options.
type Option struct {
	Key  string
	Help string
}

// Info describes a driver for help texts.
type Info struct {
	Name    string
	Summary string
	Options []Option
}

// entry is one driver.
type entry struct {
	Info
	open func(ctx context.Context, s Spec) (*Driver, error)
}

// table lists the drivers. Those of a host's own filesystem take s.Run.
func table() []entry {
	return []entry{
		qingcloudEntry(),
		ebsEntry(),
		execEntry(),
	}
}

// List describes the drivers.
func List() []Info {
	var out []Info
	for _, e := range table() {
		out = append(out, e.Info)
	}
	return out
}

// Names are the drivers' names.
func Names() []string {
	var out []string
	for _, e := range table() {
		out = append(out, e.Name)
	}
	return out
}

// Open opens a driver. Options that it does not know are an error.
func Open(ctx context.Context, s Spec) (*Driver, error) {
	all := table()
	i := slices.IndexFunc(all, func(e entry) bool { return e.Name == s.Driver })
	if i < 0 {
		hint := "--driver " + strings.Join(Names(), "|")
		if n := schema.Nearest(s.Driver, Names()); n != "" {
			hint = "did you mean --driver " + n + "?"
		}
		return nil, fault.New(fault.Usage, hint, "there is no driver for cloud %q", s.Driver)
	}
	e := all[i]
	var keys []string
	for _, o := range e.Options {
		keys = append(keys, o.Key)
	}
	for key := range s.Options {
		if slices.Contains(keys, key) {
			continue
		}
		hint := "known are: " + strings.Join(keys, ", ")
		if n := schema.Nearest(key, keys); n != "" {
			hint = "did you mean " + n + "?"
		}
		return nil, fault.New(fault.Usage, hint, "cloud %s has no option %q", e.Name, key)
	}
	d, err := e.open(ctx, s)
	if err != nil {
		return nil, err
	}
	d.Name = e.Name
	if d.Volumes == nil && d.Snapshots != nil {
		d.Volumes = d.Snapshots
	}
	return d, nil
}

// ParseOptions reads key=value pairs; a key given twice, and a secret in a
// value's place, are errors.
func ParseOptions(pairs []string) (map[string]string, error) {
	options := map[string]string{}
	for _, p := range pairs {
		key, value, ok := strings.Cut(p, "=")
		if key = strings.TrimSpace(key); !ok || key == "" {
			return nil, fault.New(fault.Usage, "write --driver-option zone=pek3a", "--driver-option %q is not key=value", key)
		}
		if strings.Contains(key, "secret") || strings.Contains(key, "password") {
			return nil, fault.New(fault.Usage, "--driver-option credentials_file=PATH", "--driver-option %s: a secret does not belong on a command line, others can read it", key)
		}
		if _, twice := options[key]; twice {
			return nil, fault.New(fault.Usage, "give it once", "--driver-option %s is given twice", key)
		}
		options[key] = value
	}
	return options, nil
}

// duration reads an option that is a time.
func duration(s Spec, key string) (time.Duration, error) {
	text, ok := s.Options[key]
	if !ok {
		return 0, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		return 0, fault.New(fault.Usage, "write it as 30s or 5m", "cloud %s: option %s=%q is no time", s.Driver, key, text)
	}
	return d, nil
}

// items reads an option that is a list.
func items(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' })
}

// oneOf reads an option of few values.
func oneOf(s Spec, key string, values ...string) (string, error) {
	v := s.Options[key]
	if v == "" {
		return values[0], nil
	}
	if !slices.Contains(values, v) {
		return "", fault.New(fault.Usage, key+"="+strings.Join(values, "|"), "cloud %s: option %s=%q is not known", s.Driver, key, v)
	}
	return v, nil
}
