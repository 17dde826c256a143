package report

import (
	"math"
	"time"

	"cw/monitor"
)

// Forecast says when something is full, if it goes on as it did.
type Forecast struct {
	FullAt         *time.Time `json:"full_at,omitempty"`
	BytesPerDay    *float64   `json:"rate_bytes_per_day,omitempty"`
	Samples        int        `json:"samples"`
	HistorySeconds int64      `json:"history_seconds"`
	Confidence     string     `json:"confidence,omitempty"` // high, medium, low
	WhyNot         string     `json:"why_not,omitempty"`    // of full_at, or of all
}

// The confidence in a forecast.
const (
	High   = "high"
	Medium = "medium"
	Low    = "low"
)

// A forecast from less than these would be a guess.
const (
	leastSamples = 8
	leastHistory = 24 * time.Hour
	farthest     = 5 * 365 * 24 * time.Hour // beyond it nobody plans
)

// NewForecast looks ahead from samples in order of time, with the slope of
// monitor.Slope.
func NewForecast(history []Point, size float64) Forecast {
	f := Forecast{Samples: len(history)}
	if len(history) == 0 {
		f.WhyNot = "nobody has measured it yet: run cw monitor"
		return f
	}
	first, last := history[0], history[len(history)-1]
	span := last.At.Sub(first.At)
	f.HistorySeconds = int64(span.Seconds())
	if len(history) < leastSamples || span < leastHistory {
		f.WhyNot = "too little history: a forecast wants a day and " + count(leastSamples, "sample") + ", there are " + count(len(history), "sample") + " of " + span.Round(time.Minute).String()
		return f
	}
	points := monitor.Thin(history, 200)
	slope := monitor.Slope(points) // per second
	perDay := slope * 86400
	f.BytesPerDay = &perDay
	f.Confidence = confidence(points, slope, span)
	level := levelAt(points, slope, last.At)
	level = max(level, last.Value) // what is there now is there
	switch {
	case last.Value >= size:
		f.FullAt = &last.At
	case perDay < size/1e6: // less than a millionth a day is standing still
		f.WhyNot, f.Confidence = "it does not grow", ""
	default:
		left := time.Duration(min(float64(farthest)*2, max(0, size-level)/slope*1e9))
		if left > farthest {
			f.WhyNot = "not within five years at this rate"
			break
		}
		at := last.At.Add(left).Truncate(time.Second)
		f.FullAt = &at
		if left > 4*span { // far beyond what was seen
			f.Confidence = lower(f.Confidence)
		}
	}
	return f
}

// levelAt is where the line of that slope through the middle of the points is.
func levelAt(points []Point, slope float64, at time.Time) float64 {
	rest := make([]float64, len(points))
	for i, p := range points {
		rest[i] = p.Value + slope*at.Sub(p.At).Seconds()
	}
	return monitor.Median(rest)
}

// confidence compares how far the points are from the line with how far the
// line went.
func confidence(points []Point, slope float64, span time.Duration) string {
	end := points[len(points)-1].At
	level := levelAt(points, slope, end)
	off := make([]float64, len(points))
	for i, p := range points {
		off[i] = math.Abs(p.Value + slope*end.Sub(p.At).Seconds() - level)
	}
	noise := monitor.Median(off) / max(math.Abs(slope)*span.Seconds(), 1)
	switch {
	case span >= 7*24*time.Hour && noise < 0.1:
		return High
	case span >= 2*24*time.Hour && noise < 0.3:
		return Medium
	}
	return Low
}

func lower(c string) string {
	if c == High {
		return Medium
	}
	return Low
}
