package net_test

import (
	"context"
	"testing"
	"time"

	"cw/perfcheck"
	"cw/perfcheck/net"
)

const token = "the run's secret"

// listen starts a listening side on loopback.
func listen(t testing.TB) *net.Server {
	t.Helper()
	s, err := net.Listen(t.Context(), net.ListenOptions{Address: "127.0.0.1", Token: token})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// short is long enough to have one full second.
func short() perfcheck.Timing {
	return perfcheck.Timing{Warmup: 100 * time.Millisecond, Duration: 1050 * time.Millisecond}
}

func run(t testing.TB, job net.Job) perfcheck.Measurement {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	m, err := net.Run(ctx, job, nil)
	if err != nil {
		t.Fatal(err)
	}
	return m
}
