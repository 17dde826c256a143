package metrics

import _ "embed" // the dashboard

//go:embed dashboard.json
var dashboard []byte

// Dashboard is a dashboard for Grafana, to be imported there.
func Dashboard() []byte { return dashboard }
