package net

import (
	"math"
	"strconv"
)

// Class is what a line seems to be.
type Class struct {
	Name     string  `json:"name"`     // 10G; "below 1G" and "above 100G" outside of the classes
	Line     float64 `json:"line"`     // bits per second of the nearest class
	Expected float64 `json:"expected"` // TCP payload in bytes per second that such a line carries
	Ratio    float64 `json:"ratio"`    // measured ÷ Expected
}

// lineGigabits are the classes of Ethernet.
var lineGigabits = [...]float64{1, 2.5, 10, 25, 40, 100} //nolint:gochecknoglobals // constant table

// Outside of these parts of the slowest and the fastest class the nearest
// class would not be the truth.
const (
	belowFirst = 0.75
	aboveLast  = 1.25
)

// Goodput is the share of a line's bits that is TCP payload: every packet of
// mtu bytes holds 52 of IP and TCP headers with time stamps, and takes 38 more
// of Ethernet (header, check sum, preamble, gap). 0.941 at 1500, 0.990 at 9000.
func Goodput(mtu int) float64 {
	if mtu < 576 {
		mtu = 1500
	}
	return float64(mtu-52) / float64(mtu+38)
}

// LineClass is the nearest class of a measured TCP throughput in bytes per
// second, by ratio. An unknown mtu is 0.
func LineClass(bytesPerSecond float64, mtu int) Class {
	var best Class
	nearest := math.Inf(1)
	for _, g := range lineGigabits {
		expected := g * 1e9 / 8 * Goodput(mtu)
		if far := math.Abs(math.Log(bytesPerSecond / expected)); far < nearest || best.Name == "" {
			nearest = far
			best = Class{Name: strconv.FormatFloat(g, 'g', -1, 64) + "G", Line: g * 1e9, Expected: expected, Ratio: bytesPerSecond / expected}
		}
	}
	switch {
	case best.Line == lineGigabits[0]*1e9 && !(best.Ratio >= belowFirst):
		best.Name = "below 1G"
	case best.Line == lineGigabits[len(lineGigabits)-1]*1e9 && best.Ratio > aboveLast:
		best.Name = "above 100G"
	}
	return best
}
