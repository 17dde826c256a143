package probe

import (
	"fmt"
	"time"

	"cw/monitor"
	"cw/schema"
	"cw/state"
)

const (
	// ForecastHistory is how far back samples matter for a forecast.
	ForecastHistory = 7 * 24 * time.Hour
	// leastHistory and leastSamples are what it takes: less is a guess.
	leastHistory = 6 * time.Hour
	leastSamples = 12
	// farthest is how many times its history a forecast looks ahead.
	farthest = 12
	// oldest is when the last sample is too old to go on from.
	oldest = time.Hour
)

// Forecast finds file systems that will be full soon, with the slope of
// monitor.Slope. samples are of state.MetricDiskUsed,
// sizes the newest state.MetricDiskSize.
func Forecast(name string, samples, sizes []state.Sample, rules Rules, now time.Time) (found []monitor.Condition, blind []monitor.Blind) {
	size := map[[2]string]float64{}
	for _, s := range sizes {
		size[[2]string{s.Host, s.Object}] = s.Value // the last one stays
	}
	for len(samples) > 0 {
		n := 1
		for n < len(samples) && samples[n].Host == samples[0].Host && samples[n].Object == samples[0].Object {
			n++
		}
		history := samples[:n]
		samples = samples[n:]
		first, last := history[0], history[n-1]
		span := last.At.Sub(first.At)
		of := size[[2]string{first.Host, first.Object}]
		if n < leastSamples || span < leastHistory || now.Sub(last.At) > oldest || of <= 0 {
			blind = append(blind, monitor.Blind{Rule: monitor.DiskForecast, Host: first.Host, Object: first.Object})
			continue
		}
		if rules.judge(monitor.DiskFull, last.Value/of) == state.Critical { // which says it all
			blind = append(blind, monitor.Blind{Rule: monitor.DiskForecast, Host: first.Host, Object: first.Object})
			continue
		}
		points := make([]monitor.Point, n)
		for i, h := range history {
			points[i] = monitor.Point{At: h.At, Value: h.Value}
		}
		slope := monitor.Slope(points)
		if slope <= 0 {
			continue
		}
		left := max(of-last.Value, 0)/slope - now.Sub(last.At).Seconds()
		if left > farthest*span.Seconds() {
			continue
		}
		severity := rules.judge(monitor.DiskForecast, max(left, 1))
		if severity == "" {
			continue
		}
		found = append(found, monitor.Condition{
			Rule: monitor.DiskForecast, Severity: severity, Cluster: name, Host: first.Host, Object: first.Object,
			Message: fmt.Sprintf("file system %s of host %s will be full in %s: it is %.0f %% full and grows by %s a day", first.Object, first.Host, inDays(left), 100*last.Value/of, schema.FormatSize(int64(slope*86400))),
			Remedy:  fmt.Sprintf("make room, or grow it: cw report %s says what is large", name),
		})
	}
	return found, blind
}

func inDays(seconds float64) string {
	if seconds < 48*3600 {
		return fmt.Sprintf("%.0f hours", seconds/3600)
	}
	return fmt.Sprintf("%.1f days", seconds/86400)
}
