package monitor

import _ "embed" // the sample

//go:embed sample.yaml
var sample string

// Sample is a commented configuration to begin with.
func Sample() string { return sample }
