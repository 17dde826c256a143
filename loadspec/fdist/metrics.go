package fdist

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Metrics answers with the server's counters in Prometheus' text format.
// budget may be nil.
func Metrics(s *Server, budget *Budget) http.Handler {
	r := prometheus.NewRegistry()
	r.MustRegister(&collector{s: s, budget: budget}, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "cw_serve_start_time_seconds", Help: "When the server was started, in seconds since 1970.",
	}, func() float64 { return float64(s.started.Unix()) }))
	return promhttp.HandlerFor(r, promhttp.HandlerOpts{})
}

// collector reads the counters when it is asked.
type collector struct {
	s      *Server
	budget *Budget
}

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("cw_serve_"+name, help, labels, nil)
}

// Describe says nothing: the set of metrics is not checked at the start.
func (c *collector) Describe(chan<- *prometheus.Desc) {}

// Collect sends all metrics.
func (c *collector) Collect(out chan<- prometheus.Metric) {
	st := c.s.Stats()
	counter := func(name, help string, n int64) {
		out <- prometheus.MustNewConstMetric(desc(name, help), prometheus.CounterValue, float64(n))
	}
	gauge := func(name, help string, v float64, labels, values []string) {
		out <- prometheus.MustNewConstMetric(desc(name, help, labels...), prometheus.GaugeValue, v, values...)
	}
	counter("connections_total", "Connections accepted.", st.Connections.Load())
	counter("requests_total", "Requests with a whole header.", st.Requests.Load())
	counter("refused_total", "Requests answered with an error status.", st.Refused.Load())
	counter("sessions_total", "Sessions begun, reads and writes.", st.Sessions.Load())
	counter("sessions_failed_total", "Sessions ended by an error.", st.Failed.Load())
	counter("sent_bytes_total", "Bytes of rows sent to segments, before compression.", st.SentBytes.Load())
	counter("received_bytes_total", "Bytes of rows taken from segments.", st.Received.Load())
	counter("heartbeats_total", "Signs of life sent to segments that had to wait.", st.Heartbeats.Load())
	gauge("connections", "Connections open.", float64(st.Open.Load()), nil, nil)
	live, rate := map[string]float64{"read": 0, "write": 0}, map[string]float64{"read": 0, "write": 0}
	for _, i := range c.s.Sessions() {
		if i.Ended {
			continue
		}
		direction := "read"
		if i.Write {
			direction = "write"
		}
		live[direction]++
		rate[direction] += i.Rate
	}
	for d := range live {
		gauge("sessions", "Sessions that are not over.", live[d], []string{"direction"}, []string{d})
		gauge("rate_bytes_per_second", "Bytes of rows per second, the last seconds' average.", rate[d], []string{"direction"}, []string{d})
	}
	if c.budget == nil {
		return
	}
	for _, l := range c.budget.List() {
		gauge("limit_bytes_per_second", "Speed limits in force.", float64(l.Rate), []string{"scope", "name"}, []string{string(l.Scope), l.Name})
	}
}
