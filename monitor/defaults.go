package monitor

import "time"

// The values of what a configuration leaves out.
const (
	DefaultInterval  = 2 * time.Second
	DefaultListen    = "127.0.0.1:9187"
	DefaultGroupWait = 2 * time.Second
	DefaultRepeat    = 4 * time.Hour
	DefaultExecTime  = 30 * time.Second
	day              = 24 * time.Hour
)

// Defaults is the configuration without a file.
func Defaults() Config {
	return Config{
		Interval: DefaultInterval,
		Rules:    map[string]RuleChange{},
		Heal:     Heal{Attempts: 3, Window: 6 * time.Hour, Wait: 30 * time.Second},
		Keep:     Keep{Events: 90 * day, Alerts: 90 * day, Samples: 400 * day, Jobs: 400 * day, Audit: 400 * day},
	}
}

// Receiver is the receiver of a name.
func (c Config) Receiver(name string) (Receiver, bool) {
	for _, r := range c.Receivers {
		if r.Name == name {
			return r, true
		}
	}
	return Receiver{}, false
}
