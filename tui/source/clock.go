package source

import (
	"strconv"
	"strings"
	"time"
)

// clocksKept is how many readings of a host's clock are compared: the one
// that was least under way tells most.
const clocksKept = 16

// farClock is what is known of a host's clock.
type farClock struct {
	ahead []float64 // seconds, less what the reading was under way
	trip  float64   // seconds that a reading may have been under way; 0 is not known
	began time.Time // of the command whose first reading trip was taken from
}

// take adds a reading. How long one is under way is not known, but the first
// of a command has been so for less than the command runs.
func (c *farClock) take(s sample, began, now time.Time) {
	if s.date == 0 {
		return
	}
	if began.After(c.began) {
		if trip := now.Sub(began).Seconds(); c.trip == 0 || trip < c.trip {
			c.trip = trip
		}
		c.began = began
	}
	ahead := s.date - float64(now.UnixMicro())/1e6
	if s.coarse {
		ahead += 0.5
	}
	if len(c.ahead) == clocksKept {
		c.ahead = append(c.ahead[:0], c.ahead[1:]...)
	}
	c.ahead = append(c.ahead, ahead)
}

// offset is how far ahead the clock is at least, and how much more it may be.
func (c *farClock) offset() (*float64, float64) {
	if len(c.ahead) == 0 {
		return nil, 0
	}
	best := c.ahead[0]
	for _, a := range c.ahead {
		best = max(best, a)
	}
	return &best, c.trip
}

// wallClock reads seconds since 1970 as date +%s.%N prints them; where it
// knows no %N there are whole seconds.
func (s *sample) wallClock(text string) {
	whole, fraction, _ := strings.Cut(text, ".")
	if !digits(whole) {
		return
	}
	if !digits(fraction) {
		fraction, s.coarse = "0", true
	}
	v, err := strconv.ParseFloat(whole+"."+fraction, 64)
	if err != nil || v > 1e11 {
		return
	}
	s.date = v
}
